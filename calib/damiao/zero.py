"""Where a YAM's motors stand in its home pose, and what that says of their zeros. Pure.

Takes the angle of one motor while its joint is at home; gives a verdict, a text and the zero that a file may hold.
A motor counts turns from where it was switched on, so whole turns say nothing of its zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from firmware_bridge.damiao.codec import MARGIN, TURN
from firmware_bridge.errors import sentence

RIGHT, OFF, WRONG = "right", "off", "wrong"
NEAR = math.radians(3.0)  # what folding by hand and backlash explain
FAR = math.radians(35.0)  # more than a motor's zero set carelessly, or a gear one tooth off, explains
KEEP, TAKE = "keep", "take"


@dataclass(frozen=True, slots=True)
class Zero:
    """One joint. Angles in rad of its motor."""

    joint: str
    verdict: str
    turns: int  # whole turns that its motor woke up away
    offset: float  # from its zero, without those turns
    options: tuple[str, ...]  # of KEEP, TAKE; the usual one first
    text: str

    def zero(self, choice: str) -> float:
        """What the file holds after `choice`."""
        return self.offset if choice == TAKE else 0.0


def judge(joint: str, motor_rad: float, direction: int, limits: tuple[float, float]) -> Zero:
    """`motor_rad` is read with `joint` at 0, folded; `limits` are the joint's."""
    turns = round(motor_rad / TURN)
    offset = motor_rad - TURN * turns
    degrees = math.degrees(offset)
    said = f"{joint} stands {degrees:+.1f} degrees from its motor's zero in the home pose"
    if turns:
        said += f" (its motor woke up {turns:+d} turn{'s' if abs(turns) > 1 else ''} away, which is taken into account)"
    if abs(offset) <= NEAR:
        return Zero(joint, RIGHT, turns, offset, (KEEP,), said)
    if abs(offset) > FAR:
        do = (
            "fold the arm as drawn; if it is folded, this motor's zero was set in another pose or it is another "
            "joint's motor: set its zero in the home pose with i2rt's set_zero or Damiao's tool"
        )
        text = sentence(said, expected=f"within {math.degrees(FAR):.0f} degrees", got=f"{degrees:+.1f} degrees", do=do)
        return Zero(joint, WRONG, turns, offset, (), text)
    low, high = limits
    kept = direction * offset  # where the joint would be said to stand
    if not low - MARGIN <= kept <= high + MARGIN:
        return Zero(joint, OFF, turns, offset, (TAKE,), f"{said}: with that zero it would be outside its range")
    # A joint whose range begins at home rests on its stop there; any other is only as straight as it was folded.
    options = (TAKE, KEEP) if low == 0.0 else (KEEP, TAKE)
    return Zero(joint, OFF, turns, offset, options, said)
