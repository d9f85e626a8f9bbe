"""When the arm may move, and what each tick sends: the modes, as a pure machine that is given the time.

Takes readings, commands and chunks; gives a Step (send this goal, torque on, torque off, or nothing).
Never touches a bus. What it promises: no goal and no torque before `arm`; none at all without may_move;
none after an emergency stop until `rearm`; none in a tick in which a servo did not answer or had changed by
itself; torque goes off only at the park pose, when lowered, or when asked by name.

    starting -> shadow -arm-> ready <-chunk / end of chunk-> running
                  ^             |  pause / resume: paused;  park, a lost driver, heat: parking -> shadow
                  |             v
                  +-- rearm -- estop, fault (latched from any mode)     leaving: -> (lowering ->) stopped
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_bridge.config import EXIT_POLICIES
from firmware_bridge.errors import CommandRefused, sentence
from firmware_bridge.messages import Chunk
from firmware_bridge.safety.chunks import Mailbox
from firmware_bridge.safety.levels import Gauges, Verdict
from firmware_bridge.safety.modes import ALIVE, ARMED, LATCHED, WAYS_OUT, Mode, Reading, Rules, Step
from firmware_bridge.safety.motion import Motion, standing
from firmware_bridge.safety.steps import STEPS, Parking, lower
from firmware_bridge.safety.watch import changes, check_may_hold, faults, names, silence

Array = npt.NDArray[np.float64]
DOUBT = "but what is named may be limp: hold the arm by hand; the rest of it holds its last goal"
CUT = "hold the arm, then cut the torque: armside bridge stop --cut"


class StateMachine:
    """One arm's modes. `step` once per tick; commands and chunks between ticks."""

    def __init__(self, rules: Rules, mailbox: Mailbox) -> None:
        self.rules = rules
        self.mailbox = mailbox
        self.mode = Mode.STARTING
        self.torque = "unknown"  # "on", "off", "unknown"
        self.fault = ""
        self.note = ""  # of this tick
        self.remark = ""  # of this mode: what every note starts from
        self.motion: Motion = standing(np.zeros_like(rules.park_pose))
        self.parking = Parking()
        self.verdict = Verdict()  # of the last reading
        self.support = 1.0  # of the holding: fades while lowering, and only arming brings it back
        self.leaving = False
        self.driver_at: float | None = None  # s, when the client that drives was last heard
        self._gauges = Gauges(rules.levels, rules.limits.joints, rules.grippers, rules.envelope.lead)
        self._reading: Reading | None = None
        self._fresh_at: Array = np.zeros_like(rules.park_pose)
        self._want_torque: bool | None = None
        self._cutting = False
        self._armed_before = False
        self._doubt = False  # of this fault: whether all servos hold that were told to

    # -- each tick

    def step(self, reading: Reading) -> Step:
        """What to do in this tick."""
        if self._reading is None:
            self.motion = standing(reading.state.position)
            self._fresh_at[:] = reading.now
            if self.mode is Mode.STARTING:
                self.mode = Mode.SHADOW
        self._reading = reading
        self.note = self.remark
        self._watch_servos(reading)
        self._watch_driver(reading)
        return self._switch(reading) or self._move(reading)

    def _switch(self, reading: Reading) -> Step | None:
        """A switch of the torque, where one is due."""
        want, self._want_torque = self._want_torque, None
        if want is False or (self._cutting and self.torque != "off"):
            return Step(torque=False)
        if want is None:
            return None
        if reading.state.fresh.all():
            return Step(torque=True)
        self.failed(f"{names(self.rules, ~reading.state.fresh)} did not answer in the tick of arming")
        return Step(support=self.support)

    def _move(self, reading: Reading) -> Step:
        if self.mode is Mode.LOWERING:
            return lower(self)
        if not reading.state.fresh.all():
            self.motion = standing(self.motion.position)  # what was sent last is where it stands by the next goal
            self.add_note(f"{names(self.rules, ~reading.state.fresh)} did not answer: holding")
            return Step(support=self.support)
        return STEPS[self.mode](self, reading)

    def torque_asked(self) -> None:
        """A switch of the torque is on its way: until `torque_is` nobody knows."""
        self.torque = "unknown"

    def torque_is(self, on: bool, present: Array | None = None) -> None:
        """The bus did what a Step asked; `present` [D] is what goal was set to at torque on."""
        self.torque = "on" if on else "off"
        if present is not None:
            self.motion = standing(present)
            if not np.isfinite(present).all():
                self.failed(sentence("the place where the torque went on", expected="numbers", got=present.tolist()))
        if not on:
            self._cutting = False
            hot, self.parking.hot = self.parking.hot, ""
            if hot:
                self.failed(f"{hot}; it was parked")

    def adopt(self, why: str) -> None:
        """The arm may hold what a bridge that died commanded, `why`: nothing moves until `rearm`.

        Called before the first step, with `torque` set to what connecting found.
        """
        self._armed_before = self.rules.may_move
        if self.rules.may_move and self.torque == "unknown":
            self.torque = "on"
        self.failed(why)

    def failed(self, what: str, way_out: str = "rearm", doubt: bool = False) -> None:
        """Latch a fault: no goal leaves any more; the servos keep their torque and last goal.

        `doubt`: a servo that `what` names may have let go by itself, so nobody should rely on it.
        """
        if self.mode is Mode.STOPPED:
            self.remark = self.remark or what
        if self.mode in (Mode.FAULT, Mode.STOPPED):
            return
        hold = {
            "on": f"torque: on, {DOUBT if doubt else 'the arm holds its last goal'}",
            "off": "torque: off",
            "unknown": "torque: not known",
        }[self.torque]
        self._doubt = doubt
        self.fault = f"{what}; {hold}; goals are no longer sent; what to do when the cause is gone: {way_out}"
        self.mailbox.clear()
        self._want_torque = None
        self.parking.hot = ""
        if self.mode is Mode.LOWERING:
            lower(self)  # a tick of it, so that it ends even where no step is possible any more
        elif self.leaving:
            self.end()
        else:
            self.mode = Mode.FAULT

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
        self.remark = done if name in ("estop", "cut") else ""
        return done

    def chunk(self, chunk: Chunk, now: float) -> str:
        """Take a chunk. Raises ChunkRefused, CommandRefused in a mode that takes none."""
        if self.mode not in (Mode.SHADOW, Mode.READY, Mode.RUNNING):
            raise CommandRefused(sentence(f"a chunk in mode {self.mode.value}", do=WAYS_OUT[self.mode]))
        self.mailbox.offer(chunk)
        self.driver_at = now
        return "taken"

    def heard(self, now: float) -> None:
        """The driver lives."""
        if self.driver_at is not None:
            self.driver_at = now

    def leave(self, policy: str, now: float) -> None:
        """Begin to end by `policy`; while parking, "park" goes on and the other two end it at once.

        An arm that cannot be left holding is lowered instead of held, and once it is, only limp is faster.
        Raises CommandRefused for another policy.
        """
        if policy not in EXIT_POLICIES:
            raise CommandRefused(sentence("how to leave", expected=" or ".join(EXIT_POLICIES), got=policy))
        self.leaving = True
        self.mailbox.clear()
        if (policy == "limp" or self._cutting) and self.rules.may_move and self.torque != "off":
            self._want_torque = False
            self.mode = Mode.STOPPED
        elif policy == "park" and self.mode in ARMED:
            self.park(now)
        elif self.mode is not Mode.LOWERING:
            if self.mode is Mode.PARKING:
                self.remark = "parking was broken off"
            self.end()

    def end(self) -> None:
        """Nothing more to come but the lowering of an arm that cannot be left holding."""
        held = self.rules.may_move and self.torque != "off" and not self.rules.holds_alone
        self.mode = Mode.LOWERING if held else Mode.STOPPED
        self._want_torque = None

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
        if self.fault and self._doubt and self.torque == "on":
            state = f"torque on, {DOUBT}"
        return "; ".join(part for part in (self.fault, self.remark, state) if part)

    # -- commands, after the mode was checked

    def _arm(self, now: float) -> str:
        if not self.rules.may_move:
            do = "start the bridge with live=True (--live) when the arm's space is clear"
            raise CommandRefused(sentence("arm on a bridge that is not live", do=do))
        return self._hold_here(now)

    def _rearm(self, now: float) -> str:
        if self._armed_before:
            return self._hold_here(now)
        self.fault = ""
        self._cutting = False
        self.mode = Mode.SHADOW
        return "back in shadow: nothing was armed before"

    def _hold_here(self, now: float) -> str:
        check_may_hold(self._reading, self.verdict, self.rules)
        assert self._reading is not None
        self.motion = standing(self._reading.state.position)
        self._gauges.reset()  # what pressed before is let go by goal = present
        self.verdict = Verdict()
        self.driver_at = now
        self.fault = ""
        self.support = 1.0
        self._cutting = False
        self._want_torque = True
        self._armed_before = True
        self.mailbox.clear()
        self.mode = Mode.READY
        return "torque on with goal = present"

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
        self.parking.hot = ""
        self.leaving = False
        self.mode = Mode.ESTOP
        return "emergency stop latched: no goal is sent until rearm"

    def _cut(self, now: float) -> str:
        stopped = self._estop(now)
        if not self.rules.may_move:
            return f"{stopped}; this bridge is not live and sends no torque either: cut the arm's power by hand"
        self._cutting = True
        return f"{stopped}; torque off: the arm falls where nothing holds it"

    def park(self, now: float) -> str:
        """Begin to park."""
        if self.mode is Mode.SHADOW and self.torque == "on":
            raise CommandRefused(sentence("park before arm", do="arm, then park"))
        if self.mode is Mode.SHADOW:
            return "torque is not on: nothing to park"
        self.mailbox.clear()
        if self.mode is not Mode.PARKING:
            self.parking.begin(now)
        self.mode = Mode.PARKING
        return "parking"

    # -- watching

    def _watch_servos(self, reading: Reading) -> None:
        state = reading.state
        self._fresh_at[state.fresh] = reading.now
        ahead = self.motion.position - state.position if self.torque == "on" else np.zeros_like(state.position)
        self.verdict = self._gauges.update(reading.now, state, ahead)
        self.add_note(*self.verdict.notes)
        if self.mode not in (Mode.FAULT, Mode.STOPPED, Mode.LOWERING):
            silent = silence(reading, self._fresh_at, self.rules)
            if silent:
                self.failed(silent, doubt=True)
        if self.mode in ARMED:
            for fault in faults(reading, self.verdict, self.rules):
                self.failed(fault, doubt=any(state.alarms))
                return
        changed = changes(reading)
        if changed and self.mode in ARMED and self._want_torque is None:  # arming writes anew what was lost
            self.failed(changed, doubt=True)
            return
        self.add_note(changed)
        if self.verdict.hot and self.mode in ARMED:
            self.park(reading.now)
            self.parking.hot = self.verdict.hot
        elif self.verdict.hot and self.mode in LATCHED and self.torque == "on":
            self.add_note(CUT)

    def _watch_driver(self, reading: Reading) -> None:
        if self.driver_at is None or self.mode not in (Mode.READY, Mode.RUNNING, Mode.PAUSED):
            return
        silent_s = reading.now - self.driver_at
        if silent_s <= self.rules.client_timeout_s:
            return
        self.mailbox.clear()
        if self.mode is Mode.RUNNING:
            self.mode = Mode.READY
        self.add_note("the client is silent: holding")
        if silent_s > self.rules.client_timeout_s + self.rules.park_after_s:
            self.driver_at = None
            if self.rules.exit_policy != "hold":
                self.park(reading.now)

    def add_note(self, *texts: str) -> None:
        """More for this tick's note; empty texts add nothing."""
        self.note = "; ".join(text for text in (self.note, *texts) if text)


# word -> modes that allow it, what it does
_COMMANDS = {
    "arm": ((Mode.SHADOW,), StateMachine._arm),
    "rearm": (LATCHED, StateMachine._rearm),
    "pause": ((Mode.READY, Mode.RUNNING, Mode.PAUSED), StateMachine._pause),
    "resume": ((Mode.PAUSED, Mode.READY, Mode.RUNNING), StateMachine._resume),
    "estop": (ALIVE, StateMachine._estop),
    "cut": (ALIVE, StateMachine._cut),
    "park": ((*ARMED, Mode.SHADOW), StateMachine.park),
}
