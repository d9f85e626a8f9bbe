"""The bridge of a run: one that it starts, or one that runs already and goes on afterwards.

Takes a BridgeConfig or an Attach, gives a Handle whose `close` leaves the arm as configured and says where it is.
An own bridge ends with the run; another's is only let go of: parked, held or limp, but running.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from firmware_bridge.client import (
    BridgeClient,
    BridgeConfig,
    BridgeHandle,
    CommandRefused,
    Status,
    Timing,
    connect_bridge,
    start_bridge,
)
from policy_spec.errors import sentence

START_S = 15.0
LATCHED = ("estop", "fault")
ON_THE_WAY_DOWN = ("parking", "lowering")
LEAVING_S = 60.0  # another's bridge is not asked how slowly it parks


@dataclass(frozen=True, slots=True)
class Attach:
    """A bridge that runs already."""

    where: str  # an arm's id, or an endpoint
    robot: str  # the kind of arm that is expected there
    port: str  # that it was started with, for people
    keys: str = ""
    exit_policy: str = ""  # how this run leaves the arm; "" = the bridge's own policy


class Handle(Protocol):
    """What a run needs of its bridge, whoever started it."""

    client: BridgeClient
    exit_policy: str
    leaving_s: float  # the longest that parking may take
    oldest_s: float  # chunks from an older observation are refused

    def take(self) -> str:
        """Torque on, chunks taken. Raises CommandRefused."""

    def close(self, exit_policy: str = "") -> str:
        """Leaves the arm, and says where it is. Raises BridgeGone."""


class Own:
    """A bridge of this run's own: it ends with it."""

    def __init__(self, handle: BridgeHandle) -> None:
        self._handle = handle
        self.client = handle.client
        self.exit_policy = handle.config.exit_policy
        self.leaving_s = handle.config.leaving_s
        self.oldest_s = handle.config.timing.max_observation_age_s

    def take(self) -> str:
        return self.client.arm().text

    def close(self, exit_policy: str = "") -> str:
        return self._handle.close(exit_policy)


class Attached:
    """Another's bridge: it goes on when the run is over, and is left as it was unless the run took it."""

    def __init__(self, client: BridgeClient, exit_policy: str) -> None:
        self.client = client
        self.exit_policy = exit_policy or client.info.exit_policy
        self.leaving_s = LEAVING_S
        self.oldest_s = Timing().max_observation_age_s
        self._taken = False
        self._farewell: str | None = None

    def take(self) -> str:
        mode = self.client.status(timeout_s=1.0).mode
        self._taken = True
        if mode == "paused":
            return self.client.resume().text
        if mode == "ready":
            return "it holds already: its torque was on"
        return self.client.arm().text

    def close(self, exit_policy: str = "") -> str:
        if self._farewell is None:
            try:
                self._farewell = f"{self._leave(exit_policy or self.exit_policy)}; its bridge goes on"
            except CommandRefused as error:  # somebody stopped it meanwhile
                self._farewell = f"left as it is: {error}; its bridge goes on"
            finally:
                self.client.disconnect()
        return self._farewell

    def _leave(self, policy: str) -> str:
        status = self.client.status(timeout_s=1.0)
        if not self.client.info.live:
            return "torque as it was: this bridge sends neither goals nor torque"
        if status.mode in LATCHED:
            return f"{status.fault or status.note or 'emergency stop'}; torque {status.torque}"
        if not self._taken or status.torque == "off":
            return f"torque {status.torque}"
        if policy == "park":
            status = self._park()
            return "parked; torque off" if status.torque == "off" else f"not parked: {status.fault or status.note}"
        if policy == "limp":
            return self.client.estop(cut=True).text
        if status.mode in ON_THE_WAY_DOWN:  # nothing else breaks it off
            return self.client.estop().text
        hold(self.client)
        after = "" if self.client.info.exit_policy == "hold" else "; its bridge parks it when nobody drives it for long"
        return f"torque on: the arm holds here{after}"

    def _park(self) -> Status:
        deadline = time.monotonic() + self.leaving_s
        reply = self.client.park()
        while True:
            status = self.client.status(timeout_s=1.0)
            over = status.mode not in ON_THE_WAY_DOWN and status.torque != "unknown"
            if (status.seq > reply.seq and over) or time.monotonic() > deadline:
                return status


def hold(client: BridgeClient) -> None:
    """Forget the chunk that is followed and hold here; the bridge takes chunks again afterwards."""
    client.pause()
    client.resume()


def open_bridge(bridge: BridgeConfig | Attach) -> Handle:
    """Starts it, or attaches to the one that runs. Raises BridgeError."""
    if isinstance(bridge, BridgeConfig):
        return Own(start_bridge(bridge, timeout_s=START_S))
    client = connect_bridge(bridge.where, keys=bridge.keys)
    try:
        check_free(client, bridge)
    except BaseException:
        client.disconnect()
        raise
    return Attached(client, bridge.exit_policy)


def check_free(client: BridgeClient, bridge: Attach) -> None:
    """That it is the arm that was meant, and that nobody else moves it. Raises CommandRefused, BridgeGone."""
    if client.info.arm != bridge.robot:
        what = f"the bridge of {bridge.where} drives another arm"
        do = "name the profile of that arm"
        raise CommandRefused(sentence(what, expected=bridge.robot, got=client.info.arm, do=do))
    status = client.status(timeout_s=1.0)
    if status.mode in ("running", *ON_THE_WAY_DOWN):
        do = "wait until it stands, or end the other one"
        what = f"the arm of {bridge.where} is being moved by somebody else"
        raise CommandRefused(sentence(what, got=f"mode {status.mode}", do=do))
    if status.mode in LATCHED:
        do = f"when its space is clear: armside bridge rearm {bridge.where}"
        what = f"the bridge of {bridge.where} is latched"
        raise CommandRefused(sentence(what, got=status.fault or "emergency stop", do=do))
