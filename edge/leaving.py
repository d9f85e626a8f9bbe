"""How the arm is left: parked, holding or limp, as the bridge was configured, whatever ended the run."""

from __future__ import annotations

import time

from edge.attach import ON_THE_WAY_DOWN, Handle
from edge.loop import Loop
from firmware_bridge.client import BridgeGone, CommandRefused


class Leaving:
    """Leaves the arm by the exit policy and ends or lets go of the bridge, once, from wherever the run stops."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._farewell: str | None = None

    def leave(self, loop: Loop | None = None, instead: str = "") -> str:
        """Parks where configured (recording it all; Ctrl-C once more holds instead), then closes it.

        `instead`: an exit policy that takes the place of parking.
        """
        if self._farewell is None:
            policy, note = "", ""
            if loop is not None and self._parks():
                policy, note = self._park(loop) if instead in ("", "park") else (instead, "")
            try:
                said = self._handle.close(policy)
                self._farewell = said if note in said else f"{note}; {said}"
            except BridgeGone as error:
                self._farewell = str(error)
        return self._farewell

    def _parks(self) -> bool:
        return self._handle.client.info.live and self._handle.exit_policy == "park"

    def _park(self, loop: Loop) -> tuple[str, str]:
        """Follows the parking to its end. Gives another exit policy where it was cut short, and a note."""
        client, control = loop.parts.client, loop.parts.control
        seen = control.interrupts
        deadline = time.monotonic() + self._handle.leaving_s
        try:
            reply = client.park()
            while time.monotonic() < deadline:
                status = client.status(timeout_s=1.0)
                loop.hear(status)
                if status.seq > reply.seq and status.mode not in ON_THE_WAY_DOWN:
                    return "", "parked" if status.mode == "shadow" else status.note
                if control.interrupts > seen:
                    loop.event("park", "cut short: holding here with torque on")
                    return "hold", "not parked: asked twice to end"
        except CommandRefused as error:  # after a fault or an emergency stop: it stays as it is
            loop.event("park", str(error))
        except BridgeGone:  # closing says it, and where the arm is
            return "", ""
        return "", ""

    def __enter__(self) -> Leaving:
        return self

    def __exit__(self, *raised: object) -> None:
        self.leave()
