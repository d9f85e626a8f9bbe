"""When the arm may move, and what each tick sends: the modes, as a pure machine that is given the time.

Takes readings, commands and chunks; gives a Step (send this goal, torque on, torque off, or nothing).
Never touches a bus. What it promises: no goal and no torque before `arm`; none at all without may_move;
none after an emergency stop until `rearm`; torque goes off only at the park pose, or when asked by name.

    starting -> shadow -arm-> ready <-chunk / end of chunk-> running
                  ^             |  pause / resume: paused;  park or a lost driver: parking -> shadow
                  |             v
                  +-- rearm -- estop, fault (latched from any mode)          leaving: -> stopped
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ChunkRefused, CommandRefused, sentence
from firmware_bridge.messages import Chunk
from firmware_bridge.safety.chunks import Mailbox
from firmware_bridge.safety.modes import ALIVE, ARMED, LATCHED, NOTHING, WAYS_OUT, Mode, Reading, Rules, Step
from firmware_bridge.safety.motion import Envelope, Motion, advance, standing

Array = npt.NDArray[np.float64]
OUTSIDE = 0.05  # rad beyond the servos' own range in which arming would make a servo jump
PARKED = 0.15  # rad: gravity and backlash leave a resting arm this far off (SO-ARM100 #134)


class StateMachine:
    """One arm's modes. `step` once per tick; commands and chunks between ticks."""

    def __init__(self, rules: Rules, mailbox: Mailbox) -> None:
        self.rules = rules
        self.mailbox = mailbox
        self.mode = Mode.STARTING
        self.torque = "unknown"  # "on", "off", "unknown"
        self.fault = ""
        self.note = ""  # of this tick
        self._remark = ""  # of this mode: what every note starts from
        self.motion: Motion = standing(np.zeros_like(rules.park_pose))
        self._reading: Reading | None = None
        self._fresh_at: Array = np.zeros_like(rules.park_pose)
        self._want_torque: bool | None = None
        self._armed_before = False
        self._driver_at: float | None = None
        self._there_since = 0.0
        self._leaving = False

    # -- each tick

    def step(self, reading: Reading) -> Step:
        """What to do in this tick."""
        if self.mode is Mode.STARTING:
            self.mode = Mode.SHADOW
            self.motion = standing(reading.state.position)
            self._fresh_at[:] = reading.now
        self._reading = reading
        self.note = self._remark
        self._watch_servos(reading)
        self._watch_driver(reading)
        if self._want_torque is not None:
            want, self._want_torque = self._want_torque, None
            return Step(torque=want)
        if not reading.state.fresh.all():
            silent = self._names(~reading.state.fresh)
            self.note = f"{silent} did not answer: holding"
            return NOTHING
        return _STEPS[self.mode](self, reading)

    def torque_asked(self) -> None:
        """A switch of the torque is on its way: until `torque_is` nobody knows."""
        self.torque = "unknown"

    def torque_is(self, on: bool, present: Array | None = None) -> None:
        """The bus did what a Step asked; `present` [D] is what goal was set to at torque on."""
        self.torque = "on" if on else "off"
        if present is not None:
            self.motion = standing(present)

    def failed(self, what: str, way_out: str = "rearm") -> None:
        """Latch a fault: no goal leaves any more; the servos keep their torque and last goal."""
        if self.mode is Mode.STOPPED:
            self._remark = self._remark or what
        if self.mode in (Mode.FAULT, Mode.STOPPED):
            return
        hold = {
            "on": "torque: on, the arm holds its last goal",
            "off": "torque: off",
            "unknown": "torque: not known",
        }[self.torque]
        self.fault = f"{what}; {hold}; goals are no longer sent; what to do when the cause is gone: {way_out}"
        self.mode = Mode.FAULT
        self.mailbox.clear()
        self._want_torque = None
        if self._leaving:
            self.mode = Mode.STOPPED

    # -- words

    def command(self, name: str, now: float) -> str:
        """Obey a word and return what it did. Raises CommandRefused."""
        row = _COMMANDS.get(name)
        if row is None:
            raise CommandRefused(sentence("command", expected=", ".join(_COMMANDS), got=name))
        allowed, act = row
        if self.mode not in allowed:
            wanted = ", ".join(mode.value for mode in allowed)
            raise CommandRefused(
                sentence(f"{name} in mode {self.mode.value}", expected=f"mode {wanted}", do=WAYS_OUT[self.mode])
            )
        done = act(self, now)
        self._remark = done if name == "estop" else ""
        return done

    def chunk(self, chunk: Chunk, now: float) -> str:
        """Take a chunk. Raises ChunkRefused, CommandRefused in a mode that takes none."""
        if self.mode not in (Mode.SHADOW, Mode.READY, Mode.RUNNING):
            raise CommandRefused(sentence(f"a chunk in mode {self.mode.value}", do=WAYS_OUT[self.mode]))
        self.mailbox.offer(chunk)
        self._driver_at = now
        return "taken"

    def heard(self, now: float) -> None:
        """The driver lives."""
        if self._driver_at is not None:
            self._driver_at = now

    def leave(self, policy: str, now: float) -> None:
        """Begin to end by `policy`; while parking, "park" goes on and the other two end it at once."""
        if policy == "limp" and self.rules.may_move and self.torque != "off":
            self._want_torque = False
            self.mode = Mode.STOPPED
        elif policy == "park" and self.mode in ARMED:
            self._park(now)
        else:
            if self.mode is Mode.PARKING:
                self._remark = "parking was broken off"
            self.mode = Mode.STOPPED
        self._leaving = True
        self.mailbox.clear()

    @property
    def commanded(self) -> Array:
        """The newest goal [D], sent or not."""
        return self.motion.position

    @property
    def done(self) -> bool:
        """Nothing more to send: the bridge may end."""
        return self.mode is Mode.STOPPED and self._want_torque is None

    def farewell(self) -> str:
        """Where the arm is left."""
        unknown = "torque as it was: this bridge sent neither goals nor torque"
        if self.rules.may_move:
            unknown = "torque not known: hold the arm by hand before cutting its power"
        state = {
            "on": "torque on: the arm holds its last goal; hold it by hand before cutting its power",
            "off": "torque off",
            "unknown": unknown,
        }[self.torque]
        return "; ".join(part for part in (self.fault, self._remark, state) if part)

    # -- commands, after the mode was checked

    def _arm(self, now: float) -> str:
        if not self.rules.may_move:
            do = "start the bridge with live=True (--live) when the arm's space is clear"
            raise CommandRefused(sentence("arm on a bridge that is not live", do=do))
        self._check_may_hold()
        self._driver_at = now
        return self._hold_here()

    def _rearm(self, now: float) -> str:
        if self._armed_before:
            self._check_may_hold()
            self._driver_at = now
            self.fault = ""
            return self._hold_here()
        self.fault = ""
        self.mode = Mode.SHADOW
        return "back in shadow: nothing was armed before"

    def _hold_here(self) -> str:
        self._want_torque = True
        self._armed_before = True
        self.mailbox.clear()
        self.mode = Mode.READY
        return "torque on with goal = present"

    def _check_may_hold(self) -> None:
        reading = self._reading
        if reading is None or not reading.state.fresh.all():
            who = "no servo yet" if reading is None else self._names(~reading.state.fresh)
            raise CommandRefused(sentence("arming needs every servo", got=f"silent: {who}", do="check its cable"))
        named = zip(self.rules.limits.joints, reading.state.alarms, strict=True)
        bad = [f"{name}: {alarm}" for name, alarm in named if alarm]
        if bad:
            raise CommandRefused(sentence("a servo reports an error", got="; ".join(bad), do="clear it, then again"))
        low, high = self.rules.servo_bounds
        outside = (reading.state.position < low - OUTSIDE) | (reading.state.position > high + OUTSIDE)
        outside &= ~self.rules.grippers
        if outside.any():
            do = "move the joint by hand into its range; if it is in it, calibrate the arm again"
            raise CommandRefused(
                sentence(
                    f"{self._names(outside)} outside the calibrated range: torque would make it jump",
                    expected=[f"{a:.3f}..{b:.3f} rad" for a, b in zip(low[outside], high[outside], strict=True)],
                    got=[f"{value:.3f}" for value in reading.state.position[outside]],
                    do=do,
                )
            )

    def _pause(self, now: float) -> str:
        self.mailbox.clear()
        self.mode = Mode.PAUSED
        return "holding"

    def _resume(self, now: float) -> str:
        self.mode = Mode.READY
        return "chunks are taken again"

    def _estop(self, now: float) -> str:
        self.mailbox.clear()
        self._want_torque = None
        self._leaving = False
        self.mode = Mode.ESTOP
        return "emergency stop latched: no goal is sent until rearm"

    def _park(self, now: float) -> str:
        if self.mode is Mode.SHADOW and self.torque == "on":
            raise CommandRefused(sentence("park before arm", do="arm, then park"))
        if self.mode is Mode.SHADOW:
            return "torque is not on: nothing to park"
        self.mailbox.clear()
        self.mode = Mode.PARKING
        return "parking"

    # -- one step in each mode, every servo having answered

    def _step_shadow(self, reading: Reading) -> Step:
        wish = self.mailbox.target(reading.tick)
        if wish is None:
            self.motion = standing(reading.state.position)
            return NOTHING
        moved = advance(wish, self.motion, reading.state.position, self.rules.envelope)
        self.motion = moved.motion
        self.note = "shadow: this goal is not sent"
        return Step(clamped=moved.cuts)

    def _step_moving(self, reading: Reading) -> Step:
        wish = self.mailbox.target(reading.tick)
        if wish is None:
            self.mode = Mode.READY
            self.note = self.note or "no chunk: holding"
            return NOTHING
        self.mode = Mode.RUNNING
        return self._towards(wish, reading, self.rules.envelope)

    def _step_parking(self, reading: Reading) -> Step:
        envelope = self.rules.envelope
        slow = np.minimum(envelope.limits.speed, self.rules.park_speed)
        slowly = dataclasses.replace(envelope, limits=dataclasses.replace(envelope.limits, speed=slow))
        self.note = "parking"
        if not np.array_equal(self.commanded, self.rules.park_pose):
            self._there_since = reading.now
            return self._towards(self.rules.park_pose, reading, slowly)
        off = np.abs(reading.state.position - self.rules.park_pose) * ~self.rules.grippers
        if off.max() <= PARKED:
            self._remark = "parked" if self._leaving else ""
            self.mode = Mode.STOPPED if self._leaving else Mode.SHADOW
            self._driver_at = None
            return Step(torque=False)
        if reading.now - self._there_since > self.rules.park_timeout_s:
            worst = self.rules.limits.joints[int(off.argmax())]
            self._remark = f"could not park: {worst} is {off.max():.2f} rad away; torque stays on"
            self.mode = Mode.STOPPED if self._leaving else Mode.PAUSED
            self._driver_at = None
        return NOTHING

    def _step_hold(self, reading: Reading) -> Step:
        return NOTHING

    def _towards(self, wish: Array, reading: Reading, envelope: Envelope) -> Step:
        try:
            moved = advance(wish, self.motion, reading.state.position, envelope)
        except ChunkRefused as error:
            self.failed(str(error))
            return NOTHING
        self.motion = moved.motion
        return Step(goal=moved.motion.position, clamped=moved.cuts)

    # -- watching

    def _watch_servos(self, reading: Reading) -> None:
        self._fresh_at[reading.state.fresh] = reading.now
        if self.mode in (Mode.FAULT, Mode.STOPPED):
            return
        silent = reading.now - self._fresh_at > self.rules.silent_fault_s
        if silent.any():
            wait = self.rules.silent_fault_s
            self.failed(f"{self._names(silent)} has not answered for {wait:g} s: check its cable and power")
            return
        for name, alarm in zip(self.rules.limits.joints, reading.state.alarms, strict=True):
            if alarm and self.mode in ARMED:
                self.failed(f"the servo of {name} reports: {alarm}")
                return

    def _watch_driver(self, reading: Reading) -> None:
        if self._driver_at is None or self.mode not in (Mode.READY, Mode.RUNNING, Mode.PAUSED):
            return
        silent_s = reading.now - self._driver_at
        if silent_s <= self.rules.client_timeout_s:
            return
        self.mailbox.clear()
        if self.mode is Mode.RUNNING:
            self.mode = Mode.READY
        self.note = "the client is silent: holding"
        if silent_s > self.rules.client_timeout_s + self.rules.park_after_s:
            self._driver_at = None
            if self.rules.exit_policy != "hold":
                self._park(reading.now)

    def _names(self, mask: npt.NDArray[np.bool_]) -> str:
        joints = self.rules.limits.joints
        return ", ".join(joints[index] for index in np.flatnonzero(mask))


_STEPS = {
    Mode.STARTING: StateMachine._step_hold,
    Mode.SHADOW: StateMachine._step_shadow,
    Mode.READY: StateMachine._step_moving,
    Mode.RUNNING: StateMachine._step_moving,
    Mode.PAUSED: StateMachine._step_hold,
    Mode.ESTOP: StateMachine._step_hold,
    Mode.PARKING: StateMachine._step_parking,
    Mode.FAULT: StateMachine._step_hold,
    Mode.STOPPED: StateMachine._step_hold,
}
# word -> modes that allow it, what it does
_COMMANDS = {
    "arm": ((Mode.SHADOW,), StateMachine._arm),
    "rearm": (LATCHED, StateMachine._rearm),
    "pause": ((Mode.READY, Mode.RUNNING, Mode.PAUSED), StateMachine._pause),
    "resume": ((Mode.PAUSED, Mode.READY, Mode.RUNNING), StateMachine._resume),
    "estop": (ALIVE, StateMachine._estop),
    "park": ((*ARMED, Mode.SHADOW), StateMachine._park),
}
