"""The bridge's loop: a fixed grid of ticks, each one reading, one decision, one frame, one status.

The rim around the pure machine: reads the clock, the arm and the sockets. Deadlines advance by a fixed
step; a tick that starts late is counted, and ticks that passed meanwhile are skipped, never made up.
"""

from __future__ import annotations

import collections
import dataclasses
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from firmware_bridge.config import BridgeConfig
from firmware_bridge.driver import ArmState, Driver
from firmware_bridge.errors import BridgeError, ChunkRefused, PortLost, to_wire
from firmware_bridge.messages import Chunk, Command, Info, Message, Reply, Status
from firmware_bridge.safety.modes import Mode, Reading, Step
from firmware_bridge.safety.state_machine import StateMachine
from firmware_bridge.service import Service

Array = npt.NDArray[np.float64]
ORPHAN_GRACE_S = 1.0


@dataclass(slots=True)
class Counts:
    """What accumulates over ticks."""

    seq: int = 0
    late_ticks: int = 0
    worst_lateness_s: float = 0.0
    lateness_s: float = 0.0
    clamped_total: int = 0
    clamps: collections.Counter[str] = field(default_factory=collections.Counter)


class Loop:
    """One arm, one machine, one service. `run` returns when the machine is done."""

    def __init__(self, arm: Driver, machine: StateMachine, service: Service, info: Info, config: BridgeConfig) -> None:
        self.arm = arm
        self.machine = machine
        self.service = service
        self.info = info
        self.config = config
        self.counts = Counts()
        self.leave_asked = 0  # set by signal handlers
        self._leave_taken = 0
        self._tick = 0
        self._driver = b""
        self._orphan_since: float | None = None
        self._lost: PortLost | None = None
        self._state: ArmState | None = None

    def run(self, ready: Callable[[], None]) -> None:
        """Tick until there is nothing more to do; `ready` is called once, after the first tick."""
        period = 1.0 / self.config.timing.rate_hz
        start = time.monotonic()
        announce = True
        while not self.machine.done:
            due = start + self._tick * period
            if not self.service.serve_until(due, self.answer):
                self._orphan_since = time.monotonic()
            now = time.monotonic()
            missed = int((now - due) / period)
            self.counts.late_ticks += missed
            self.counts.lateness_s = now - due
            self.counts.worst_lateness_s = max(self.counts.worst_lateness_s, now - due)
            self._tick += missed
            self._consider_leaving(now)
            self.tick()
            if announce:
                ready()
                announce = False
            self._tick += 1

    def tick(self) -> None:
        """One tick: read, decide, act, publish. Whatever fails becomes a latched fault."""
        step = Step()
        try:
            step = self._read_and_decide()
            self._act(step)
        except PortLost as error:
            self._lost = error
            self.machine.failed(str(error), way_out="start the bridge again")
        except BridgeError as error:
            self.machine.failed(str(error))
        except Exception as error:  # our own mistake must not drop the arm
            if self.machine.mode is not Mode.FAULT:
                traceback.print_exc(file=sys.stderr)
            self.machine.failed(f"a mistake inside the bridge: {error!r}")
        if self._state is not None:
            self._publish(self._state, step)

    def answer(self, client: bytes, message: Message | BridgeError) -> Message | None:
        """The answer to one message."""
        now = time.monotonic()
        if client == self._driver:
            self.machine.heard(now)
        if isinstance(message, BridgeError):
            return self._reply(message)
        if isinstance(message, Command) and message.name == "heartbeat":
            return None
        if isinstance(message, Command) and message.name == "hello":
            return self.info
        try:
            return self._reply(self._obey(client, message, now))
        except BridgeError as error:
            return self._reply(error)

    # -- inside

    def _obey(self, client: bytes, message: Message, now: float) -> str:
        if isinstance(message, Chunk):
            text = self.machine.chunk(message, now)
            self._driver = client
            return text
        if not isinstance(message, Command):
            raise ChunkRefused(f"a {type(message).__name__} is not for the bridge")
        if message.name == "shutdown":
            policy = message.argument or self.config.exit_policy
            self.machine.leave(policy, now)
            return f"leaving: {policy}"
        text = self.machine.command(message.name, now)
        if message.name in ("arm", "rearm"):
            self._driver = client
        return text

    def _reply(self, result: str | BridgeError) -> Reply:
        name, text = to_wire(result) if isinstance(result, BridgeError) else ("", result)
        return Reply(not name, text, name, self.machine.mode.value, self.counts.seq, self._tick)

    def _read_and_decide(self) -> Step:
        if self._lost is None:
            self._state = self.arm.read()
        state = self._state
        if state is None:
            return Step()
        if self._lost is not None:
            state = dataclasses.replace(state, fresh=np.zeros_like(state.fresh))
        return self.machine.step(Reading(time.monotonic(), self._tick, state))

    def _act(self, step: Step) -> None:
        if self._lost is not None:
            if step.torque is not None:
                raise self._lost
            return
        if step.torque is not None:
            self.machine.torque_asked()
        if step.torque is True:
            self.machine.torque_is(True, self.arm.torque_on())
        elif step.torque is False:
            self.arm.torque_off()
            self.machine.torque_is(False)
        elif step.goal is not None:
            self.arm.send(step.goal)
        elif self.machine.torque == "on":
            self.arm.hold(step.support)

    def _consider_leaving(self, now: float) -> None:
        if self.leave_asked > self._leave_taken:
            # A second signal means "now": the arm is left where it is, held.
            policy = self.config.exit_policy if self._leave_taken == 0 else "hold"
            self._leave_taken = self.leave_asked
            self.machine.leave(policy, now)
        elif self._orphan_since is not None and self.machine.mode is not Mode.PARKING:
            timing = self.config.timing
            patience = timing.client_timeout_s + timing.park_after_s + ORPHAN_GRACE_S
            if self.machine.mode is Mode.SHADOW or now - self._orphan_since > patience:
                self.machine.leave(self.config.exit_policy, now)

    def _publish(self, state: ArmState, step: Step) -> None:
        machine, counts = self.machine, self.counts
        counts.seq += 1
        counts.clamped_total += bool(step.clamped)
        counts.clamps.update(step.clamped)
        self.service.publish(
            Status(
                seq=counts.seq,
                tick=self._tick,
                t=time.monotonic(),
                arm=self.info.arm,
                mode=machine.mode.value,
                live=self.info.live,
                torque=machine.torque,
                measured=state.position,
                commanded=machine.commanded,
                velocity=state.velocity,
                load=state.load,
                current=state.current,
                temperature=state.temperature,
                voltage=state.voltage,
                servo_errors=state.errors,
                alarms=state.alarms,
                fresh=tuple(state.fresh.tolist()) if self._lost is None else (False,) * len(state.fresh),
                late_ticks=counts.late_ticks,
                lateness_s=counts.lateness_s,
                worst_lateness_s=counts.worst_lateness_s,
                clamped=step.clamped,
                clamped_total=counts.clamped_total,
                clamp_counts=tuple(counts.clamps.items()),
                chunk_seq=machine.mailbox.chunk_seq,
                fault=machine.fault,
                note=machine.note,
            )
        )
        machine.mailbox.published(counts.seq, self._tick)
