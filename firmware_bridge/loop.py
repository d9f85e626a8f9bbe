"""The bridge's loop: a fixed grid of ticks, each one reading, one decision, one frame, one status.

The rim around the pure machine: reads the clock, the arm and the sockets. Deadlines advance by a fixed
step; a tick that starts late is counted, and ticks that passed meanwhile are skipped, never made up.
Whatever fails inside a tick or an answer becomes a latched fault or a refusal; nothing ends the loop but leaving.
"""

from __future__ import annotations

import collections
import dataclasses
import gc
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from firmware_bridge.config import BridgeConfig
from firmware_bridge.driver import ArmState, Driver
from firmware_bridge.errors import BridgeError, ChunkRefused, PortLost, to_wire
from firmware_bridge.messages import Chunk, Command, Info, Message, Reply, Status, Wire
from firmware_bridge.pulse import Pulse
from firmware_bridge.punctual import Grid, Lateness
from firmware_bridge.replug import Replug
from firmware_bridge.safety.modes import Mode, Reading, Step
from firmware_bridge.safety.state_machine import StateMachine
from firmware_bridge.service import Service
from firmware_bridge.words import tell

ORPHAN_GRACE_S = 1.0
SWITCH_S = 3.0  # the longest that switching the torque of all servos, verified, may block
REPLUG = "plug it in again, then rearm"


@dataclass(slots=True)
class Asked:
    """What signals ask for; their handlers only count."""

    leave: int = 0
    estop: int = 0


@dataclass(frozen=True, slots=True)
class Rim:
    """What else a loop hangs on, and where its numbering begins."""

    pulse: Pulse = field(default_factory=Pulse)
    asked: Asked = field(default_factory=Asked)
    replug: Replug | None = None
    remark: Callable[[], str] = str  # something to say in every note, "" mostly
    seq: int = 0
    tick: int = 0
    clock: Callable[[], float] = time.monotonic  # a simulation gives its own


@dataclass(slots=True)
class Counts:
    """What accumulates over ticks."""

    seq: int = 0
    clamped_total: int = 0
    clamps: collections.Counter[str] = field(default_factory=collections.Counter)


class Loop:
    """One arm, one machine, one service. `run` returns when the machine is done."""

    def __init__(
        self,
        arm: Driver,
        machine: StateMachine,
        service: Service,
        info: Info,
        config: BridgeConfig,
        rim: Rim | None = None,
    ) -> None:
        self.arm = arm
        self.machine = machine
        self.service = service
        self.info = info
        self.config = config
        self.rim = rim or Rim()
        self.counts = Counts(seq=self.rim.seq)
        self.lateness = Lateness()
        period = 1.0 / config.timing.rate_hz
        self.clock = self.rim.clock
        self.grid = Grid(self.clock() - self.rim.tick * period, period, self.rim.tick)
        self._leave_taken = 0
        self._estop_taken = 0
        self._driver = b""
        self._orphan_since: float | None = None
        self._lost: PortLost | None = None
        self._state: ArmState | None = None
        self._news = ""  # about the port, for the note

    def run(self, ready: Callable[[], None]) -> None:
        """Tick until there is nothing more to do; `ready` is called once, after the first tick."""
        grid = self.grid
        gc.disable()  # a collection inside a tick would make it late: collect between ticks instead
        gc.collect()
        gc.freeze()  # what lives until the end need not be looked at again
        grid.start = self.clock() - grid.tick * grid.period
        after = ready
        while not self.machine.done:
            if not self.service.serve_until(grid.due, self.answer):
                self._orphan_since = self.clock()
            self.turn(after)
            if after is ready:  # the first tick warmed everything up
                grid.start = self.clock() - (grid.tick - 1) * grid.period
                after = self._tidy

    def turn(self, after: Callable[[], None] = lambda: None) -> None:
        """One place on the grid, now: signals, the tick, what comes `after` it, the pulse; then the next is due."""
        now = self.clock()
        self.lateness.add(self.grid.begin(now))
        self._hear_signals(now)
        self.tick()
        after()
        self.rim.pulse.tick(self.counts.seq, self.grid.tick)
        self.grid.tick += 1

    def _tidy(self) -> None:
        if self.grid.tick % round(1.0 / self.grid.period) == 0:
            gc.collect()

    def tick(self) -> None:
        """One tick: read, decide, act, publish. Whatever fails becomes a latched fault."""
        step = Step()
        try:
            self._consider_port()
            step = self._read_and_decide()
            self._act(step)
        except PortLost as error:
            self._lose(error)
        except BridgeError as error:
            self.machine.failed(str(error))
        except Exception as error:  # our own mistake must not drop the arm
            self._mistake(error)
        try:
            if self._state is not None:
                self._publish(self._state, step)
        except Exception as error:
            self._mistake(error)

    def _mistake(self, error: Exception) -> None:
        if self.machine.mode is not Mode.FAULT:
            tell(traceback.format_exc())
        self.machine.failed(f"a mistake inside the bridge: {error!r}")

    def answer(self, client: bytes, message: Message | BridgeError) -> Message | None:
        """The answer to one message."""
        now = self.clock()
        try:
            if client == self._driver:
                self.machine.heard(now)
            if isinstance(message, BridgeError):
                return self._reply(message)
            if isinstance(message, Command) and message.name == "heartbeat":
                return None
            if isinstance(message, Command) and message.name == "hello":
                return self.info
            if isinstance(message, Command) and message.name == "wire":
                return Wire(self.counts.seq, self.arm.missed(), self.arm.facts.firmware)
            return self._reply(self._obey(client, message, now))
        except BridgeError as error:
            return self._reply(error)
        except Exception as error:  # no message, however made, may end the bridge
            tell(traceback.format_exc())
            return self._reply(BridgeError(f"a message that the bridge cannot handle: {error!r}"))

    # -- words

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
        if message.name == "cut":
            self._cut()
        if message.name in ("arm", "rearm"):
            self._driver = client
        return text

    def _cut(self) -> None:
        """Torque off at once: an emergency does not wait for the next tick."""
        if not self.info.live:
            return
        try:
            if self._lost is not None:
                raise self._lost
            self.rim.pulse.busy(SWITCH_S)
            self.machine.torque_asked()
            self.arm.torque_off()
            self.machine.torque_is(False)
        except PortLost as error:
            self._lose(error)
            self.machine.remark = "not one servo was told: the torque goes off as soon as the port is back"
            raise PortLost(f"{self.machine.remark}; {error}") from error
        except BridgeError as error:
            self.machine.failed(str(error))
            self.machine.remark = "torque off is not confirmed by every servo: it is sent again in each tick"
            raise

    def _reply(self, result: str | BridgeError) -> Reply:
        name, text = to_wire(result) if isinstance(result, BridgeError) else ("", result)
        return Reply(not name, text, name, self.machine.mode.value, self.counts.seq, self.grid.tick)

    # -- parts of a tick

    def _read_and_decide(self) -> Step:
        if self._lost is None:
            self._state = self.arm.read()
        state = self._state
        if state is None:  # lost before the first reading
            assert self._lost is not None
            raise self._lost
        if self._lost is not None:
            state = dataclasses.replace(state, fresh=np.zeros_like(state.fresh))
        return self.machine.step(Reading(self.clock(), self.grid.tick, state))

    def _act(self, step: Step) -> None:
        if self._lost is not None:
            if step.torque is not None:
                raise self._lost
            return
        if step.torque is not None:
            self.rim.pulse.busy(SWITCH_S)
            self.machine.torque_asked()
        if step.torque is True:
            self.machine.torque_is(True, self.arm.torque_on())
        elif step.torque is False:
            self.arm.torque_off()
            self.machine.torque_is(False)
        elif step.goal is not None:
            self.arm.send(step.goal)
        elif self.machine.rules.may_move and self.machine.torque != "off":
            self.arm.hold(step.support)  # also after a switch that failed half way: motors that are on need words

    def _hear_signals(self, now: float) -> None:
        asked = self.rim.asked
        if asked.estop > self._estop_taken:
            self._estop_taken = asked.estop
            try:
                self.machine.command("estop", now)
            except BridgeError as error:  # it is stopped already
                tell(str(error))
        if asked.leave > self._leave_taken:
            # A second signal means "now": the arm is left where it is, held.
            policy = self.config.exit_policy if self._leave_taken == 0 and asked.leave == 1 else "hold"
            self._leave_taken = asked.leave
            self.machine.leave(policy, now)
        elif self._orphaned(now) and self.machine.mode not in (Mode.PARKING, Mode.LOWERING):
            self.machine.leave(self.config.exit_policy, now)

    def _orphaned(self, now: float) -> bool:
        """Whether nobody is left to serve: starter or supervisor died, and no client drives any more."""
        if self._orphan_since is None and self.rim.pulse.alone:
            self._orphan_since = now
        if self._orphan_since is None:
            return False
        timing = self.config.timing
        patience = timing.client_timeout_s + timing.park_after_s + ORPHAN_GRACE_S
        driven_at = max(self._orphan_since, self.machine.driver_at or self._orphan_since)
        return self.machine.mode is Mode.SHADOW or now - driven_at > patience

    # -- a port that goes and comes

    def _lose(self, error: PortLost) -> None:
        self.machine.failed(str(error), way_out=REPLUG if self.rim.replug else "start the bridge again")
        if self._lost is None and self.rim.replug is not None:
            self.rim.replug.lost(self.arm)
        self._lost = error

    def _consider_port(self) -> None:
        replug = self.rim.replug
        if self._lost is None or replug is None:
            return
        arm = replug.back()
        if arm is None:
            self._news = f"waiting for the port: {replug.problem}" if replug.problem else "waiting for the port"
            return
        self.arm, self._lost = arm, None
        if self.info.live:
            self.machine.torque_is(arm.facts.torque == "on")
        self._news = (
            f"the port {self.info.port} is back, torque {arm.facts.torque}: rearm when the arm's space is clear"
        )
        tell(self._news)

    # -- publishing

    def _note(self) -> str:
        if self._news and self.machine.mode is not Mode.FAULT:
            self._news = ""
        alone = "its supervisor died: if this bridge dies too, nobody takes over" if self.rim.pulse.alone else ""
        return "; ".join(part for part in (self.machine.note, self._news, self.rim.remark(), alone) if part)

    def _publish(self, state: ArmState, step: Step) -> None:
        machine, counts = self.machine, self.counts
        counts.seq += 1
        counts.clamped_total += bool(step.clamped)
        counts.clamps.update(step.clamped)
        self.service.publish(
            Status(
                seq=counts.seq,
                tick=self.grid.tick,
                t=self.clock(),
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
                late_ticks=self.grid.missed,
                lateness_s=self.lateness.newest,
                worst_lateness_s=self.lateness.worst,
                clamped=step.clamped,
                clamped_total=counts.clamped_total,
                clamp_counts=tuple(counts.clamps.items()),
                chunk_seq=machine.mailbox.chunk_seq,
                fault=machine.fault,
                note=self._note(),
            )
        )
        machine.mailbox.published(counts.seq, self.grid.tick)
