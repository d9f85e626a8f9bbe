"""What is good, worn and bad: a row per quantity, with the reason for its numbers and what to do. Data only.

`levels` are the largest values that are good, and worn; beyond it is bad. Numbers of a gripper count % of
its stroke as if they were degrees. Levels of heat and voltage are those at which the bridge itself acts.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from firmware_bridge.safety.levels import LEVELS

GOOD, WORN, UNFINISHED, BAD = "good", "worn", "not finished", "bad"
ORDER = (GOOD, WORN, UNFINISHED, BAD)
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Check:
    """One quantity of a joint, a field of result.JointHealth."""

    key: str
    words: str
    unit: str  # "deg" becomes % of a gripper
    levels: tuple[float, float]
    do: str
    why: str  # where the numbers come from
    notable: float  # a change since the last check that is more than noise
    digits: int = 1
    falling: bool = False  # small is bad
    magnitude: bool = False  # of either sign

    @property
    def good(self) -> float:
        return self.levels[0]

    @property
    def worn(self) -> float:
        return self.levels[1]


_GEARS = "turn it gently by hand, torque on, and feel its gears; check the horn screw too, whose play comes on top"
_BAND = "look for a cable or a bracket that rubs; a soft P (16) widens it; swap the servo if neither helps"
_LOAD = "take weight off; check the supply, and that nothing rubs"
_COOL = "let it cool; look what it presses against; lighten the work"
_POWER = "check the supply's amperes, its cable and the plugs from servo to servo"
_CABLE = "push in the plugs of this servo and of the one before it; swap that cable; then the adapter"


def _heat(family: str) -> tuple[float, float]:
    row = next(row for row in LEVELS[family] if row.quantity == "temperature")
    return row.thresholds[0], row.thresholds[1]


_COMMON = (
    Check(
        "followed",
        "follows",
        "of its way",
        (0.6, 0.3),
        do="free it; check its plug, and what the bridge said",
        why="a play of 2.5 degrees leaves 0.7 of a way of 8; what does not follow cannot be judged otherwise",
        notable=0.2,
        digits=2,
        falling=True,
    ),
    Check(
        "backlash",
        "backlash",
        "deg",
        (1.2, 2.5),
        do=_GEARS,
        why="an STS3215 has about 1 degree when new (SO-ARM100 #134)",
        notable=0.3,
    ),
    Check(
        "dead_band",
        "dead band",
        "deg",
        (0.5, 1.0),
        do=_BAND,
        why="six ticks; with P = 16 small goals do nothing (lerobot #3400)",
        notable=0.2,
    ),
    Check(
        "error",
        "error at rest",
        "deg",
        (1.5, 3.0),
        do=_LOAD,
        why="1.8 to 2.6 degrees were measured under 1.5 kg at 10 cm (SO-ARM100 #134)",
        notable=0.5,
        magnitude=True,
    ),
    Check(
        "lag_ms",
        "lag",
        "ms",
        (150.0, 300.0),
        do=_LOAD,
        why="a servo's own loop, the wire and a tick",
        notable=40.0,
        digits=0,
    ),
    Check(
        "temperature",
        "temperature",
        "C",
        _heat("sts"),
        do=_COOL,
        why="where the bridge warns, and where it slows down (firmware_bridge/safety/levels.py)",
        notable=NEVER,
        digits=0,
    ),
    Check(
        "heating",
        "heats up by",
        "C/min",
        (2.0, 4.0),
        do=_COOL,
        why="71 C after 110 min of work is 0.4 C/min on average (SO-ARM100 #134); five times that is too much here",
        notable=1.0,
    ),
    Check(
        "sag",
        "voltage sags by",
        "%",
        (6.0, 12.0),
        do=_POWER,
        why="of its voltage at rest; one joint alone; 12 % of 7.4 V is 0.9 V",
        notable=3.0,
    ),
    Check(
        "sag_together",
        "voltage sags, all moving, by",
        "%",
        (10.0, 18.0),
        do=_POWER,
        why="18 % of 7.4 V leaves 6.1 V: short of the 4.6 V at which the bridge warns, with the arm unloaded",
        notable=4.0,
    ),
    Check(
        "load",
        "pulls at rest",
        "% of full",
        (50.0, 70.0),
        do=_LOAD,
        why="it gives up at 80 % held for 2 s (Overload_Torque); a stretched arm takes 46 % at 7.4 V by its model",
        notable=10.0,
        digits=0,
    ),
    Check(
        "missed_per_1000",
        "lost answers",
        "per 1,000",
        (1.0, 10.0),
        do=_CABLE,
        why="with one retry, 10 per 1,000 is a joint not known every two minutes at 100 Hz",
        notable=1.0,
    ),
    Check(
        "unread_per_1000",
        "not read at all",
        "per 1,000",
        (0.2, 2.0),
        do=_CABLE,
        why="the arm holds in such a tick",
        notable=0.5,
    ),
)
# Where another family of servos differs: key -> good and worn, why.
_OTHER = {
    "damiao": {
        "backlash": (
            (1.0, 2.0),
            "friction over the wrist's stiffness, 0.06 N m / 10 N m/rad both ways, is 0.7 degrees",
        ),
        "lag_ms": ((250.0, 400.0), "kd / kp is 150 ms at the wrist, plus wire and tick"),
        "temperature": (_heat("damiao"), "where the bridge warns, and where it slows down"),
    }
}
CHECKS: dict[str, tuple[Check, ...]] = {
    "sts": _COMMON,
    **{
        family: tuple(
            dataclasses.replace(check, levels=rows[check.key][0], why=rows[check.key][1])
            if check.key in rows
            else check
            for check in _COMMON
        )
        for family, rows in _OTHER.items()
    },
}
LATE_GOOD = 5.0  # ticks per 1,000: the computer's part; it is said, and is no fault of the arm
SUPPLIES = ((0.0, 5.6, "5 V"), (5.6, 9.0, "7.4 V"), (9.0, 16.0, "12 V"), (16.0, 60.0, "24 V"))


def supply_of(volts: float) -> str:
    """The kind of supply that reads so at rest."""
    return next((name for low, high, name in SUPPLIES if low <= volts < high), f"{volts:.1f} V")


def grade(check: Check, value: float) -> str:
    """The verdict of one value."""
    got = abs(value) if check.magnitude else value
    sign = -1.0 if check.falling else 1.0
    if sign * got <= sign * check.good:
        return GOOD
    return WORN if sign * got <= sign * check.worn else BAD
