"""The words of `armside jog`: `shoulder_pan=+5deg gripper=0.3`, and the keys of its terminal. Pure.

A sign means by how much (+5deg, -5deg); without one a joint goes to that value; `@` before it allows a negative one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence

from calib.keys import split
from policy_spec.errors import UsageError, sentence

WORD = re.compile(r"(?P<joint>\w+)=(?P<at>@?)(?P<sign>[+-]?)(?P<number>\d*\.?\d+)(?P<unit>deg|rad|%|)")
UNITS = {"deg": math.pi / 180, "rad": 1.0, "%": 0.01, "": 1.0}
FORM = "JOINT=+5deg (by), JOINT=20deg (to), JOINT=@-20deg (to a negative one), JOINT=0.1rad, GRIPPER=0.3 or 30%"


def wishes(words: Sequence[str], grippers: Collection[str]) -> dict[str, tuple[str, float]]:
    """joint -> ("to" or "by", rad or gripper 0..1). UsageError for a word that is not understood."""
    found: dict[str, tuple[str, float]] = {}
    for word in words:
        match = WORD.fullmatch(word)
        if match is None:
            raise UsageError(sentence("a joint to move", expected=FORM, got=word))
        joint, unit = match["joint"], match["unit"]
        if joint in found:
            raise UsageError(sentence(f"{joint} is given twice", do="give it once"))
        if (joint in grippers) != (unit in ("%", "")):
            expected = "0 (closed) to 1 (open), or %" if joint in grippers else "a unit: deg or rad"
            raise UsageError(sentence(word, expected=expected, got=unit or "no unit"))
        how = "by" if match["sign"] and not match["at"] else "to"
        value = float(match["number"]) * UNITS[unit] * (-1 if match["sign"] == "-" else 1)
        found[joint] = (how, value)
    return found


# What a terminal sends -> what it means here.
KEYS = {
    **dict.fromkeys(("\x1b[A", "\x1bOA", "k"), "up"),
    **dict.fromkeys(("\x1b[B", "\x1bOB", "j", "\t"), "down"),
    **dict.fromkeys(("\x1b[C", "\x1bOC", "l", "+", "="), "more"),
    **dict.fromkeys(("\x1b[D", "\x1bOD", "h", "-"), "less"),
    "]": "coarser",
    "[": "finer",
    " ": "halt",
    "e": "estop",
    "q": "quit",
}
HELP = "up/down joint   left/right move   [ ] step   space stop   e emergency stop   q quit"


def keys_of(text: str) -> list[str]:
    """What was typed, as words of KEYS; what is not known is left out."""
    return [KEYS[part] for part in split(text) if part in KEYS]
