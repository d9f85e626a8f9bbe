"""What must never happen to an arm, judged from outside: by what reached its servos and what was read from them.

Takes each call on the driver with the touches that it left on the virtual servos, each accepted word and each
status; gives a list of Broken rules. Shares no arithmetic with the bridge's safety core: limits are intersected
here again, speeds and accelerations are differences of what was sent, space is soak_space.py's. Knows nothing of
buses; the rigs (soak_sts.py, soak_can.py) turn journals into touches.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.soak_space import Space
from firmware_bridge.config import BridgeConfig
from firmware_bridge.driver import ArmState
from firmware_bridge.robot import Robot

Array = npt.NDArray[np.float64]
ARMED = ("ready", "running", "paused", "parking")
ROUND = 1e-6  # relative, and rad
PARKED = 0.16  # rad
FALL = 3.0  # rad/s of a limp joint: how far it may get between being measured and being held
SPACE = 1e-4  # m
SWITCH_S = 3.0  # a tick that switches torque, or connects
TICK_S = 0.25  # any other, of virtual time


@dataclass(frozen=True, slots=True)
class Touch:
    """One thing that reached one joint's servo."""

    t: float  # s, virtual
    joint: int
    what: str  # "goal", "start" (goal with torque on), "mit", "on", "off", "limit", or the name of another write
    value: float = 0.0  # of a goal, in the joint's own unit
    here: float = 0.0  # where the joint stood
    grain: float = 0.0  # resolution of `value`


@dataclass(frozen=True, slots=True)
class Call:
    """One call on the driver."""

    name: str
    argument: Any
    result: Any
    error: BaseException | None
    t: tuple[float, float]  # began, ended
    touches: Sequence[Touch]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the arm may do, intersected by the judge itself; [D] each."""

    lower: Array
    upper: Array
    speed: Array
    acceleration: Array
    lead: Array
    park: Array
    grippers: npt.NDArray[np.bool_]
    dt: float
    holds_alone: bool

    @classmethod
    def of(cls, robot: Robot, config: BridgeConfig, servos: tuple[Array, Array]) -> Bounds:
        rows = []
        for index, name in enumerate(robot.joints):
            low, high = float(servos[0][index]), float(servos[1][index])
            for table in (robot.limits, config.limits):
                if name in table:
                    low, high = max(low, table[name][0]), min(high, table[name][1])
            park = dict(zip(robot.joints, robot.park_pose, strict=True)) | dict(config.park_pose)
            rows.append((low, high, min(robot.speed[index], config.speed), min(max(park[name], low), high)))
        lower, upper, speed, park_pose = (np.array(column) for column in zip(*rows, strict=True))
        many = len(robot.joints)
        hard = np.full(many, config.acceleration) if config.acceleration else np.array(robot.acceleration)
        lead = np.full(many, config.lead) if config.lead else np.array(robot.lead)
        grippers = np.array([name in robot.grippers for name in robot.joints])
        dt = 1.0 / config.timing.rate_hz
        return cls(lower, upper, speed, hard, lead, park_pose, grippers, dt, robot.holds_alone)


@dataclass(slots=True)
class Findings:
    """Counts that show that something was judged at all, and what was broken."""

    broken: list[tuple[str, str]] = field(default_factory=list)  # rule, what happened
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    worst_tick_s: float = 0.0
    place: str = ""  # which tick
    message: object = None  # the newest command

    def note(self, rule: str, what: str) -> None:
        self.broken.append((rule, f"{self.place}, after {self.message!r:.160}: {what}"))


class Judge:
    """Of one machine's life on one arm."""

    def __init__(self, bounds: Bounds, space: Space, findings: Findings, sample: int = 50) -> None:
        self.bounds = bounds
        self.space = space
        self.found = findings
        self.mode = "shadow"
        self._sample = sample
        self._may_switch = False  # arm or rearm was accepted, for the tick that follows
        self._may_goal = False
        self._may_drop = False  # torque off was asked for
        self._cutting = False
        self._leaving = False
        self._armed_before = False
        self._last: Array | None = None  # goal in effect
        self._held: Array = np.full(len(bounds.park), np.nan)  # goal of each motor that is told again and again
        self._velocity = np.zeros(len(bounds.park))
        self._state: ArmState | None = None
        self._fresh_goal = False
        self._lost = False
        self._switched = False
        self._pending_cuts: tuple[float, Array, Array] | None = None
        self._here: Array = bounds.park

    # -- words

    def adopted(self, touches: Sequence[Touch]) -> None:
        """What opening an arm did that may hold: only goal = present, only where torque was on."""
        self._armed_before = True
        for touch in touches:
            if touch.what in ("goal", "mit"):
                self._held[touch.joint] = touch.value
                self._near(touch, 0.05, "adopting")
            elif touch.what in ("on", "start"):
                self.found.note("torque", f"adopting switched joint {touch.joint} on")

    def asked(self, name: str) -> None:
        """A word is about to be given: a cut acts before it is answered."""
        self._cutting = name == "cut"

    def word(self, name: str, argument: str, accepted: bool) -> None:
        """A word was answered."""
        self._cutting = False
        if not accepted:
            return
        self.found.counts[name] += 1
        if name in ("arm", "rearm"):
            self._may_switch = name == "arm" or self._armed_before
            self._armed_before = self._armed_before or name == "arm"
        elif name in ("estop", "cut"):
            self._may_switch = self._may_goal = False
            self._may_drop = self._may_drop or name == "cut"
            self._leaving = False
        elif name == "shutdown":
            self._may_switch = self._may_switch and argument == "park"  # an arm is on before it parks
            self._leaving = True
            self._may_drop = self._may_drop or argument == "limp"

    # -- calls on the driver

    def called(self, call: Call, mode: str) -> None:
        """`mode`: of the machine, when the call was made."""
        handler = getattr(self, f"_on_{call.name}")
        handler(call, mode)
        allowed = _ALLOWED[call.name]
        for touch in call.touches:
            if touch.what not in allowed:
                self.found.note("frames", f"{touch.what} reached joint {touch.joint} in {call.name}, mode {mode}")

    def reading(self, state: ArmState, lost: bool) -> None:
        """What a tick read; `lost`: a servo that answered had no torque then."""
        self._state, self._lost = state, lost
        self._here = state.position
        self.found.counts["readings"] += 1

    def _on_read(self, call: Call, mode: str) -> None:
        pass

    def _on_close(self, call: Call, mode: str) -> None:
        pass

    def _on_hold(self, call: Call, mode: str) -> None:
        for touch in call.touches:
            held = self._held[touch.joint]
            if touch.what == "mit" and not self.bounds.grippers[touch.joint]:
                if np.isnan(held):
                    self._held[touch.joint] = touch.value
                elif abs(touch.value - held) > touch.grain + ROUND:
                    self.found.note("goal", f"holding moved joint {touch.joint}: {held} -> {touch.value}, mode {mode}")

    def _on_torque_on(self, call: Call, mode: str) -> None:
        self._switched = True
        self.found.counts["torque on"] += 1
        if not self._may_switch:
            self.found.note("torque", f"torque on without arm or rearm, mode {mode}")
        for touch in call.touches:
            held = abs(touch.value - self._held[touch.joint]) <= touch.grain + ROUND  # a motor that holds, meanwhile
            if touch.what in ("start", "mit") and not held:
                self._held[touch.joint] = touch.value
                speed = FALL if self._state is None else FALL + 3.0 * abs(float(self._state.velocity[touch.joint]))
                self._near(touch, speed * (touch.t - call.t[0]) + 0.02, "torque on")
        self._may_goal = call.error is None
        self._may_drop = False
        if call.error is None:
            self._last = np.array(call.result)
            self._velocity = np.zeros_like(self._last)

    def _on_torque_off(self, call: Call, mode: str) -> None:
        self._switched = True
        self.found.counts["torque off"] += 1
        off = np.abs(self._here - self.bounds.park)[~self.bounds.grippers].max()
        lowered = self._leaving and not self.bounds.holds_alone
        if not (self._may_drop or self._cutting or lowered or off <= PARKED):
            self.found.note("torque", f"torque off {off:.2f} rad from the park pose, not asked for, mode {mode}")
        self._may_goal = self._may_switch = False

    def _on_send(self, call: Call, mode: str) -> None:
        goal = np.asarray(call.argument, dtype=np.float64)
        self._fresh_goal = True
        self.found.counts["goals"] += 1
        if not self._may_goal or mode not in ARMED:
            self.found.note("goal", f"a goal in mode {mode}, allowed by words: {self._may_goal}")
        if self._state is None or not self._state.fresh.all():
            self.found.note("goal", "a goal in a tick in which a servo was silent")
        if self._lost:
            self.found.note("goal", "a goal after a servo lost its torque")
        self._place(goal)
        if call.error is None:
            for touch in call.touches:
                self._arrived(touch, goal)
        self._held = goal.copy()

    def _arrived(self, touch: Touch, goal: Array) -> None:
        if touch.what not in ("goal", "mit"):
            return
        self.found.counts["goals at servos"] += 1
        wanted = float(goal[touch.joint])
        if touch.what == "mit" and self.bounds.grippers[touch.joint]:  # drawn towards where it is, by its grip
            low, high = min(wanted, touch.here) - 0.05, max(wanted, touch.here) + 0.05
            if not low <= touch.value <= high:
                self.found.note("limits", f"gripper {touch.joint} at {touch.here} sent to {touch.value}, not {wanted}")
        elif abs(touch.value - wanted) > touch.grain + ROUND:
            self.found.note("limits", f"joint {touch.joint} was sent to {touch.value}, commanded {wanted}")

    # -- a goal against its limits

    def _place(self, goal: Array) -> None:
        bounds, last = self.bounds, self._last
        if not np.isfinite(goal).all():
            self.found.note("limits", f"a goal that is no number: {goal}")
            return
        if last is None:
            self.found.note("goal", "a goal before any torque on")
            self._last = goal
            return
        velocity = (goal - last) / bounds.dt
        self._check("limits", goal > np.maximum(bounds.upper, last) + ROUND, goal, "above its upper limit")
        self._check("limits", goal < np.minimum(bounds.lower, last) - ROUND, goal, "below its lower limit")
        self._check("speed", np.abs(velocity) > bounds.speed * (1 + ROUND) + ROUND, velocity, "faster than its speed")
        lead = np.maximum(bounds.lead, np.abs(last - self._here))
        self._check("lead", np.abs(goal - self._here) > lead + ROUND, goal - self._here, "further ahead than its lead")
        change, most = velocity - self._velocity, bounds.acceleration * bounds.dt
        hard = np.abs(change) > most * (1 + ROUND) + ROUND / bounds.dt
        if hard.any():  # excused where a cut named in the status takes speed away, see `tick`
            faster = hard & (np.abs(velocity) > np.abs(self._velocity) + most)
            self._check("acceleration", faster, change / bounds.dt, "speeds up harder than its acceleration")
            self._pending_cuts = (bounds.dt, change, hard)
        if self._sample and self.found.counts["goals"] % self._sample == 0:
            self._look_around(goal, last)
        self._last, self._velocity = goal.copy(), velocity

    def _look_around(self, goal: Array, last: Array) -> None:
        self.found.counts["poses in space"] += 1
        before, after = self.space.clearance(last), self.space.clearance(goal)
        for name, free in after.items():
            if free < min(before[name], 0.0) - SPACE:
                self.found.note("space", f"{name} by {-free:.4f} m, before {-before[name]:.4f} m")

    def _check(self, rule: str, wrong: npt.NDArray[np.bool_], values: Array, what: str) -> None:
        for index in np.flatnonzero(wrong).tolist():
            self.found.note(rule, f"joint {index} {what}: {values[index]:.6g}")

    def _near(self, touch: Touch, far: float, what: str) -> None:
        if abs(touch.value - touch.here) > far + touch.grain:
            self.found.note("goal", f"{what}: joint {touch.joint} at {touch.here:.4f} told {touch.value:.4f}")

    # -- the end of a tick

    def tick(self, mode: str, clamped: Sequence[str], t: tuple[float, float]) -> None:
        """After a tick: the mode that it left and what it says was cut."""
        self.found.counts["ticks"] += 1
        self.found.counts[f"mode {mode}"] += 1
        lasted = t[1] - t[0]
        self.found.worst_tick_s = max(self.found.worst_tick_s, lasted)
        if lasted > (SWITCH_S if self._switched else TICK_S):
            self.found.note("hang", f"a tick of {lasted:.3f} s, mode {mode}")
        if self._pending_cuts is not None:
            excuses = [cut for cut in clamped if not cut.startswith(("speed ", "acceleration "))]
            if not excuses:
                dt, change, hard = self._pending_cuts
                self._check("acceleration", hard, change / dt, f"brakes harder than its acceleration ({clamped})")
        elif not self._fresh_goal:
            self._stopped(mode)
        if mode not in ARMED:
            self._may_goal = False
        self.mode = mode
        self._fresh_goal = self._switched = self._may_switch = False
        self._pending_cuts = None

    def _stopped(self, mode: str) -> None:
        """A tick without a goal: where all was well, the command must have come to rest before."""
        bounds = self.bounds
        going = np.abs(self._velocity) > bounds.acceleration * bounds.dt * (1 + ROUND) + ROUND / bounds.dt
        well = self._state is not None and self._state.fresh.all() and mode in ARMED and not self._switched
        if well and self._may_goal:
            self._check("acceleration", going, self._velocity, "stopped without braking")
        self._velocity = np.zeros_like(self._velocity)


_HOLDING = ("mit", "clear")
_ALLOWED = {  # call -> touches that it may leave
    "read": ("limit", "clear"),
    "send": ("goal", *_HOLDING),
    "hold": _HOLDING,
    "torque_on": ("start", "on", "off", "limit", "lock", "enable", *_HOLDING),
    "torque_off": ("off", *_HOLDING),
    "close": ("off", *_HOLDING),
}
