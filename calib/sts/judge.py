"""What a sweep tells about an arm: findings with numbers and the likely cause, joint by joint.

Takes what was measured and zeroed, gives Findings for people; one that refuses keeps the calibration from being
written. Ways and tolerances: firmware_bridge/sts/travel.py; the words for widths: plausible.py. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calib.sts.zero import Zeroed
from firmware_bridge.sts.plausible import wanted, width_cause
from firmware_bridge.sts.travel import DEGREES_PER_TICK, TRAVEL

# Degrees between the pose that was asked for and the middle of the sweep. Half-turn only places the readings by the
# pose, and published calibrations are up to 17 degrees off; a zero that comes from the pose itself must be better.
POSE_OFF = {"half-turn": 25.0, "pose": 12.0}
HORN_OFF = 20.0  # degrees: worth a word, and harmless
HALF_TURN_OFF = 150.0
UNMOVED_DEG = 5.0  # no joint of any arm turns less
CLOSED_NEAR = 15.0  # degrees: a closed gripper is at its low end
SHORT, GOOD, WIDE, LOST = "short", "good", "wide", "lost"


@dataclass(frozen=True, slots=True)
class Finding:
    """One joint's, or the arm's."""

    joint: str
    what: str
    cause: str
    refuses: bool = True

    def __str__(self) -> str:
        return f"{self.joint}: {self.what}: {self.cause}"


def state(joint: str, width_deg: float) -> str:
    """Whether a joint's way can be accepted."""
    travel = TRAVEL[joint]
    if travel.free or travel.narrowest <= width_deg <= travel.widest:
        return GOOD
    return SHORT if width_deg < travel.narrowest else WIDE


def ways(widths_deg: Mapping[str, float]) -> tuple[Finding, ...]:
    """Joints whose way such an arm cannot have."""
    found = []
    for joint, width in widths_deg.items():
        if state(joint, width) == GOOD:
            continue
        what = f"its way is {width:.0f} degrees, expected {wanted(TRAVEL[joint])}"
        found.append(Finding(joint, what, width_cause(joint, width)))
    return tuple(found)


def torn(joints: Sequence[str]) -> tuple[Finding, ...]:
    """Joints of which readings were lost in the middle of a sweep that was not repeated."""
    what, cause = "readings were lost while it was swept", "one of its stops may be missing: sweep it again"
    return tuple(Finding(joint, what, cause) for joint in joints if not TRAVEL[joint].free)


def zeros(mode: str, rows: Mapping[str, Zeroed], grippers: Sequence[str]) -> tuple[Finding, ...]:
    """Joints whose pose and sweep do not belong together."""
    found = []
    most = POSE_OFF.get(mode)
    for joint, row in rows.items():
        if most is None or joint in grippers or TRAVEL[joint].free or abs(row.doubt_deg) <= most:
            continue
        off = f"{abs(row.doubt_deg):.0f} degrees {'above' if row.doubt_deg > 0 else 'below'}"
        what = f"the pose is {off} the middle of its sweep, expected {most:.0f} at most"
        cause = "the arm was not in the pose as drawn, the sweep missed a stop, or the horn slipped in between"
        found.append(Finding(joint, what, cause))
    return tuple(found)


def closed(gripper: str, low: float, high: float, at: float) -> tuple[Finding, ...]:
    """Where the gripper stood when it was asked to be closed; ticks of one sweep."""
    from_low, from_high = (at - low) * DEGREES_PER_TICK, (high - at) * DEGREES_PER_TICK
    if from_low <= CLOSED_NEAR:
        return ()
    if from_high <= CLOSED_NEAR:
        what = "closed, it stands at the high end of its sweep"
        cause = f"it is the wrong way round, open and closed would be exchanged; {turned(gripper)}"
        return (Finding(gripper, what, cause),)
    what = f"closed, it stands {from_low:.0f} degrees above the low end of its sweep"
    return (Finding(gripper, what, "it was not closed, or it was pressed beyond its stop while sweeping"),)


def turned(joint: str) -> str:
    """What to do about a servo that turns the other way."""
    return (
        f"take {joint}'s servo out and mount it as the assembly guide shows, its shaft on the other side "
        "(a calibration file has no sign for degrees)"
    )


def horns(rows: Mapping[str, Zeroed], grippers: Sequence[str]) -> tuple[Finding, ...]:
    """Horns that do not sit in the middle of their servos: nothing is refused for it. Grippers have no middle."""
    off = {joint: row.horn_deg for joint, row in rows.items() if joint not in grippers}
    off = {joint: degrees for joint, degrees in off.items() if abs(degrees) > HORN_OFF}
    found = []
    for joint, degrees in off.items():
        half = "half a turn" if abs(degrees) >= HALF_TURN_OFF else f"{degrees:+.0f} degrees"
        cause = "harmless, the offset makes up for it"
        found.append(Finding(joint, f"its horn sits {half} off the middle of the servo", cause, refuses=False))
    return tuple(found)
