"""The keys of a robot's profile: name, what it takes, what it means. A table, and the checks of one value.

Takes a value as TOML gives it, or as text from a command line; gives it checked, as plain Python. Knows no file,
no robot and no bridge.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from policy_spec.errors import UsageError, sentence


@dataclass(frozen=True, slots=True)
class Key:
    """One key. A table (`[limits]`) has names of the user's own beneath it."""

    kind: str  # a row of KINDS
    means: str
    table: bool = False


KEYS: dict[str, Key] = {
    "type": Key("text", "which arm: so101, so100, yam, bi-yam"),
    "port": Key("text", "/dev/ttyACM0, a stable name under /dev/serial/by-id, can0, or sim"),
    "calibration": Key("text", "file; a relative path starts at the profile's folder"),
    "joint_frame": Key("text", "the policy's joint convention, never guessed for a real arm"),
    "exit": Key("text", "how the arm is left: park, hold or limp"),
    "rate_hz": Key("positive", "ticks of the bridge per second"),
    "speed": Key("positive", "rad/s, the fastest that any joint is commanded"),
    "park_speed": Key("positive", "rad/s while parking"),
    "acceleration": Key("positive", "rad/s^2 of every joint"),
    "lead": Key("positive", "rad that a command may run ahead of the measured joint"),
    "max_observation_age_s": Key("positive", "chunks predicted from an older observation are refused"),
    "floor_m": Key("height", "height of the table above the arm's base, or false: no floor"),
    "self_collision": Key("flag", "keep the links off each other"),
    "mechanics": Key("flag", "compare the calibrated ranges with the arm's mechanics"),
    "gripper": Key("text", "type of a YAM's gripper"),
    "endpoint": Key("text", "ipc:// or tcp://ADDRESS:PORT of the bridge"),
    "keys": Key("text", "folder of CURVE keys, for an endpoint that other machines reach"),
    "black_box": Key("text", "file that takes all that the bridge is told and answers"),
    "cameras": Key("text", "policy's slot = source", table=True),
    "limits": Key("pair", "joint = [lower, upper], rad", table=True),
    "limits_deg": Key("pair", "joint = [lower, upper], degrees", table=True),
    "poses.park": Key("number", "joint = rad, where it is parked", table=True),
    "poses.park_deg": Key("number", "joint = degrees", table=True),
    "poses.home": Key("number", "joint = rad, where `armside home` goes", table=True),
    "poses.home_deg": Key("number", "joint = degrees", table=True),
    "keep_out": Key("box", "name = [x0, y0, z0, x1, y1, z1], m from the base", table=True),
    "bases": Key("base", "left or right = [x, y, z, yaw], m and rad", table=True),
    "levels": Key("levels", "quantity = [warn, limit, stop]", table=True),
}


def split(word: str) -> tuple[str, str]:
    """`poses.park.elbow_flex` -> ("poses.park", "elbow_flex"); `port` -> ("port", ""). Raises UsageError.

    An unknown key names the nearest known one; a table's key needs a name beneath it, others have none.
    """
    if word in KEYS and not KEYS[word].table:
        return word, ""
    for name, key in KEYS.items():
        if key.table and word.startswith(f"{name}."):
            return name, word[len(name) + 1 :]
    if word in KEYS:
        raise UsageError(sentence(f"{word} is a table", expected=f"{word}.NAME ({KEYS[word].means})", got=word))
    raise unknown(word, KEYS)


def unknown(word: str, known: Iterable[str], where: str = "") -> UsageError:
    """The error of a key that does not exist."""
    near = difflib.get_close_matches(word, list(known), n=1)
    do = f"did you mean {near[0]}?" if near else "remove it"
    return UsageError(sentence(f"unknown key {word}{where}", expected=", ".join(known), do=do))


def check(word: str, value: object) -> Any:
    """The value of the key `word` (as `split` names it) as plain Python. Raises UsageError."""
    name, below = split(word)
    return KINDS[KEYS[name].kind].take(word if below else name, value)


def from_text(word: str, text: str) -> Any:
    """The same from a command line: `1.5`, `true`, `-1,1.5`."""
    name, _ = split(word)
    return check(word, KINDS[KEYS[name].kind].read(word, text))


# -- kinds


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be, and how it is typed."""

    take: Callable[[str, object], Any]
    read: Callable[[str, str], object]


def _text(word: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(sentence(word, expected="text", got=repr(value)))
    return str(value)


def _number(word: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UsageError(sentence(word, expected="a number", got=repr(value)))
    return float(value)


def _positive(word: str, value: object) -> float:
    number = _number(word, value)
    if number <= 0:
        raise UsageError(sentence(word, expected="a number above 0", got=number))
    return number


def _flag(word: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(sentence(word, expected="true or false", got=repr(value)))
    return bool(value)


def _height(word: str, value: object) -> float | bool:
    if value is False:
        return False
    return _number(f"{word} (m, or false: no floor)", value)


def _row(what: str, count: int) -> Callable[[str, object], tuple[float, ...]]:
    def take(word: str, value: object) -> tuple[float, ...]:
        if not isinstance(value, (list, tuple)) or len(value) != count:
            raise UsageError(sentence(word, expected=f"{count} numbers: {what}", got=repr(value)))
        return tuple(_number(word, item) for item in value)

    return take


def _pair(word: str, value: object) -> tuple[float, ...]:
    low, high = _row("lower, upper", 2)(word, value)
    if low >= high:
        raise UsageError(sentence(word, expected="lower < upper", got=f"{low:g}, {high:g}"))
    return low, high


def _box(word: str, value: object) -> tuple[float, ...]:
    box = _row("x0, y0, z0, x1, y1, z1", 6)(word, value)
    if any(low >= high for low, high in zip(box[:3], box[3:], strict=True)):
        raise UsageError(sentence(word, expected="x0 < x1, y0 < y1, z0 < z1", got=", ".join(f"{v:g}" for v in box)))
    return box


def _read_number(word: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(sentence(word, expected="a number", got=repr(text))) from None


def _read_flag(word: str, text: str) -> object:
    words: Mapping[str, bool] = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    return words.get(text.lower(), text)


def _read_height(word: str, text: str) -> object:
    return False if _read_flag(word, text) is False or text == "none" else _read_number(word, text)


def _read_row(word: str, text: str) -> list[float]:
    return [_read_number(word, part) for part in text.strip("[] ").split(",")]


KINDS = {
    "text": Kind(_text, lambda word, text: text),
    "number": Kind(_number, _read_number),
    "positive": Kind(_positive, _read_number),
    "flag": Kind(_flag, _read_flag),
    "height": Kind(_height, _read_height),
    "pair": Kind(_pair, _read_row),
    "box": Kind(_box, _read_row),
    "base": Kind(_row("x, y, z, yaw", 4), _read_row),
    "levels": Kind(_row("warn, limit, stop", 3), _read_row),
}
