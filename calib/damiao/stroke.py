"""A gripper's two ends, found by pressing as softly as its friction allows: closed, open, and both once more. Pure.

Given the time and where the motor is, gives its next command. Commands have no spring: the motor pushes with
kd (velocity - v), so it can neither turn faster than `speed` nor push harder than `torque`, were this program to stop
at any moment. An end is where it stops, and stops again after backing off. Knows no bus and no person.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware_bridge.damiao.frames import Mit
from firmware_bridge.damiao.grippers import GRIPPERS, Gripper
from firmware_bridge.errors import CalibrationImplausible, sentence

NEWTONS = 10.0  # on the fingers, beside what friction takes: the weight of a litre of water
SPEED_M_S = 0.04  # of the opening
MARGIN = 0.95  # frames are cut to whole steps: never beyond the limit
SHORT, LONG = 0.88, 1.08  # a way against its type's
AGREE = 0.06  # rad between the first and the second time
SCALE_END = 12.3  # rad: beyond it the motor's own angle does not go on
COMING = 0.05  # rad/s: more than the noise of a motor that stands
SEEN = 5  # readings of a motor that stands
LEGS = ("close", "open", "close", "open")


@dataclass(frozen=True, slots=True)
class Gentle:
    """How the ends are looked for."""

    newtons: float = NEWTONS
    speed_m_s: float = SPEED_M_S
    still_rad: float = 0.02  # it has stopped when it moved less ...
    still_s: float = 0.3  # ... for so long
    back_rad: float = 0.15  # backed off before it must stop at the same place again
    same_rad: float = 0.04
    confirms: int = 6  # stops that were none, before it is said to stick and slip
    leg_s: float = 60.0


@dataclass(slots=True)
class _Window:
    """Whether something stands still: for long enough, and seen often enough, were this program to sleep meanwhile."""

    since: float = 0.0
    at: float = 0.0
    seen: int = 0

    def start(self, now: float, at: float) -> None:
        self.since, self.at, self.seen = now, at, 0

    def still(self, now: float, at: float, within: float, seconds: float) -> bool:
        self.seen += 1
        if abs(at - self.at) > within:
            self.start(now, at)
        return now - self.since >= seconds and self.seen >= SEEN


@dataclass(slots=True)
class Stroke:
    """The search. Raises CalibrationImplausible for ends that cannot be ends."""

    gripper: Gripper
    gentle: Gentle = field(default_factory=Gentle)
    ends: list[float] = field(default_factory=list)  # rad of the motor, one per finished leg
    _phase: str = "new"  # "run", "back", "again" within a leg
    _window: _Window = field(default_factory=_Window)
    _began: tuple[float, float] = (0.0, 0.0)  # s and rad, of the leg
    _stop: float = 0.0  # rad where it stopped first
    _tries: int = 0

    @property
    def torque(self) -> float:
        """N m: the most that a command asks of the motor."""
        return self.gripper.gentle_torque(self.gentle.newtons)

    @property
    def speed(self) -> float:
        """Rad/s of the motor."""
        return self.gentle.speed_m_s / self.gripper.steepest

    @property
    def doing(self) -> str:
        """What this leg does, "close" or "open"; "" when both ends were found twice."""
        return LEGS[len(self.ends)] if len(self.ends) < len(LEGS) else ""

    @property
    def _way(self) -> int:
        """1 or -1: which way it is pushed now."""
        leg = self.gripper.opens if self.doing == "open" else -self.gripper.opens
        return -leg if self._phase == "back" else leg

    def step(self, now: float, position: float, velocity: float) -> Mit | None:
        """The next command after a fresh reading; None when all is found."""
        if self._phase == "new":
            self._begin(now, position)
        self._check(now, position)
        if velocity * self._way < -COMING:  # it still turns the other way: where it turns round it seems to stand
            self._window.start(now, position)
        stopped = self._window.still(now, position, self.gentle.still_rad, self.gentle.still_s)
        if self._phase == "run" and stopped:
            self._go("back", now, position)
            self._stop = position
        elif self._phase == "back" and (stopped or abs(position - self._stop) >= self.gentle.back_rad):
            self._go("again", now, position)
        elif self._phase == "again" and stopped:
            self._confirm(now, position)
        if not self.doing:
            return None
        return self._push(velocity)

    def _begin(self, now: float, position: float) -> None:
        self._began, self._tries = (now, position), 0
        self._go("run", now, position)

    def _go(self, phase: str, now: float, position: float) -> None:
        self._phase = phase
        self._window.start(now, position)

    def _confirm(self, now: float, position: float) -> None:
        if abs(position - self._stop) <= self.gentle.same_rad:
            self.ends.append(position)
            if self.doing:
                self._begin(now, position)
            return
        self._tries += 1
        self._stop = position
        self._go("back", now, position)

    def _push(self, velocity: float) -> Mit:
        # While it still turns the other way it is braked no harder than it may be pushed.
        wanted = min(velocity + self.speed, max(velocity - self.speed, self.speed * self._way))
        wanted = min(self.speed, max(-self.speed, wanted))
        return Mit(0.0, wanted, 0.0, MARGIN * self.torque / self.speed, 0.0)

    def _check(self, now: float, position: float) -> None:
        began, start = self._began
        longest = max(row.stroke for row in GRIPPERS.values()) * 1.25
        what = f"the gripper: no end while it should {self.doing}"
        do = "look whether the motor still turns the fingers: a coupling may slip, or the gripper is of another kind"
        if abs(position) > SCALE_END:
            got = f"{position:+.2f} rad: its motor woke up turns away"
            do = "close the gripper by hand, switch the arm off and on, then again"
            raise CalibrationImplausible(sentence(what, expected=f"within +-{SCALE_END} rad", got=got, do=do))
        if abs(position - start) > longest:
            raise CalibrationImplausible(sentence(what, expected=f"within {longest:.1f} rad", got="none", do=do))
        if now - began > self.gentle.leg_s or self._tries > self.gentle.confirms:
            do = "move the fingers by hand: something rubs or catches"
            raise CalibrationImplausible(sentence(f"{what}: it sticks and slips", got=f"{position:+.2f} rad", do=do))


@dataclass(frozen=True, slots=True)
class Ends:
    """Rad of the motor."""

    closed: float
    open: float

    @property
    def way(self) -> float:
        return abs(self.open - self.closed)


def judge(gripper: Gripper, ends: list[float]) -> Ends:
    """The gripper's ends of four found ones. Raises CalibrationImplausible, naming the likely cause."""
    first, second = Ends(ends[0], ends[1]), Ends(ends[2], ends[3])
    found = Ends((first.closed + second.closed) / 2, (first.open + second.open) / 2)
    low, high = SHORT * gripper.stroke, LONG * gripper.stroke
    what = f"the gripper's way, closed to open, of a {gripper.name}"
    expected = f"{low:.2f}..{high:.2f} rad"
    apart = max(abs(first.closed - second.closed), abs(first.open - second.open))
    if apart > AGREE:
        got = f"{first.way:.2f} rad, then {second.way:.2f}"
        do = "something was between the fingers one of the times, or they slip: take it away, then again"
        raise CalibrationImplausible(sentence(what, expected="the same twice", got=got, do=do))
    if low <= found.way <= high:
        return found
    got = f"{found.way:.2f} rad"
    others = [row.name for row in _like(gripper, found.way)]
    if others:
        named = " or ".join(f"--gripper {name}" for name in others)
        do = f"that is the way of another type: {named}; if it is a {gripper.name}, see what is between the fingers"
    elif found.way < low:
        do = "take away what is between the fingers, or what stops them; then again"
    else:
        do = "look whether a coupling slips, and which gripper this is"
    raise CalibrationImplausible(sentence(what, expected=expected, got=got, do=do))


def mirrored(gripper: Gripper) -> str:
    """The type that closes where this one opens, "" where none is known."""
    found = [row.name for row in _like(gripper, gripper.stroke) if row.opens == -gripper.opens]
    return found[0] if found else ""


def _like(gripper: Gripper, way: float) -> list[Gripper]:
    """Other types with the same motor whose way this could be."""
    others = [row for row in GRIPPERS.values() if row.motor == gripper.motor and row.name != gripper.name]
    return [row for row in others if SHORT * row.stroke <= way <= LONG * row.stroke]
