"""The error nibble of a Damiao feedback frame in words, with what to do. Data only."""

from __future__ import annotations

DISABLED, ENABLED = 0, 1
COMMUNICATION_LOST = 0xD
_POWER = "check the power supply and its cable, then rearm"
_COOL = "let it cool, take load off the arm, then rearm"
_TABLE = {
    0x0: ("disabled", "arm"),
    0x1: ("enabled", ""),
    0x8: ("over-voltage", _POWER),
    0x9: ("under-voltage", _POWER),
    0xA: ("over-current", "look for a jam or a short in its cable, then rearm"),
    0xB: ("the power stage is too hot", _COOL),
    0xC: ("the winding is too hot", _COOL),
    0xD: ("communication lost: no frame reached it within its TIMEOUT", "check its CAN cable, then rearm"),
    0xE: ("overload", "take load off the arm, then rearm"),
}
ERRORS = tuple(nibble for nibble in _TABLE if nibble >= 8)


def meaning(nibble: int) -> str:
    """What `nibble` says, in words."""
    return _TABLE.get(nibble, ("unknown to this version of Armside", ""))[0]


def alarm(nibble: int) -> str:
    """Why a motor that says `nibble` does not follow, and what to do; "" when it is just on or off."""
    if nibble in (DISABLED, ENABLED):
        return ""
    do = _TABLE.get(nibble, ("", "switch the arm's power off and on while holding it"))[1]
    return f"{meaning(nibble)} (error {nibble:X}); what to do: {do}"
