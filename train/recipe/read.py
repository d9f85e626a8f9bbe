"""A training run's TOML file, read and written: unknown keys are errors that name the nearest known one.

Takes a path and `key=value` settings; gives a Config. `write` gives TOML that reads back as the same Config. Knows
nothing of what the settings mean.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import tomlkit

from policy_spec.errors import UsageError, sentence
from train.recipe.config import Config
from train.recipe.stages import with_defaults

T = TypeVar("T")


def read_config(path: Path | str, settings: Sequence[str] = ()) -> Config:
    """The file, with settings such as `run.out=here` or `stages.0.steps=100` on top. Raises UsageError."""
    file = Path(path)
    try:
        data = parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(sentence(f"{file} cannot be read", expected="a TOML file", got=error)) from error
    for setting in settings:
        apply(data, setting)
    return config_of(data)


def config_of(data: dict[str, Any]) -> Config:
    """The parsed tables. Raises UsageError naming the key."""
    stages = data.get("stages", [])
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise UsageError(sentence("stages", expected="tables, each under [[stages]]", got=repr(stages)[:80]))
    return build(Config, {**data, "stages": [with_defaults(stage) for stage in stages]}, "")


def parse(text: str) -> dict[str, Any]:
    """TOML text. Raises ValueError."""
    parsed: dict[str, Any] = tomlkit.parse(text).unwrap()
    return parsed


def apply(data: dict[str, Any], setting: str) -> None:
    """Puts `a.b.0.c=value` where it belongs; the value is TOML, or plain text. Raises UsageError."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise UsageError(sentence("--set", expected="key=value", got=setting))
    try:
        value = parse(f"value = {text}")["value"]
    except ValueError:
        value = text
    here: Any = data
    *path, last = key.strip().split(".")
    for part in path:
        here = _inside(here, part, key)
    if isinstance(here, list):
        raise UsageError(sentence(f"--set {key}", expected="the name of a setting at the end", got=last))
    here[last] = value


def _inside(here: Any, part: str, key: str) -> Any:
    if isinstance(here, list):
        if not part.isdigit() or int(part) >= len(here):
            raise UsageError(sentence(f"--set {key}", expected=f"a number below {len(here)}", got=part))
        return here[int(part)]
    inner = here.setdefault(part, {})
    if not isinstance(inner, dict | list):
        raise UsageError(sentence(f"--set {key}", expected=f"a table called {part}", got=repr(inner)))
    return inner


def build(kind: type[T], data: Any, where: str) -> T:
    """A dataclass from a table, nested ones from nested tables. Raises UsageError."""
    if not isinstance(data, dict):
        raise UsageError(sentence(where or "the file", expected="a table", got=repr(data)[:80]))
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.5)
            do = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise UsageError(sentence(f"unknown setting {dotted(where, key)}", do=do))
    given = {key: converted(hints[key], value, dotted(where, key)) for key, value in data.items()}
    try:
        return kind(**given)
    except TypeError as error:
        missing = [name for name in ("start", "data", "stages") if name in known and name not in data]
        raise UsageError(sentence("settings are missing", expected=", ".join(f"[{m}]" for m in missing))) from error


def converted(hint: Any, value: Any, where: str) -> Any:
    """A value as its field wants it. Raises UsageError."""
    if isinstance(hint, type) and is_dataclass(hint):
        return build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(sentence(where, expected="a list", got=repr(value)))
        inner = typing.get_args(hint)[0]
        return tuple(converted(inner, item, f"{where}.{i}") for i, item in enumerate(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(hint, type | types.UnionType) or not isinstance(value, hint) or _bool_for_number(hint, value):
        name = getattr(hint, "__name__", str(hint))
        raise UsageError(sentence(where, expected={"str": "text", "int": "a whole number"}.get(name, name), got=value))
    return value


def _bool_for_number(hint: Any, value: Any) -> bool:
    return isinstance(value, bool) and hint is not bool


def dotted(where: str, key: str) -> str:
    """The whole name of a setting."""
    return f"{where}.{key}" if where else key


def write(config: Config) -> str:
    """TOML with every setting said."""
    return "\n".join(_lines(config, "")).strip() + "\n"


def _lines(item: Any, where: str) -> list[str]:
    plain, tables = list[str](), list[str]()
    for field in fields(item):
        value, name = getattr(item, field.name), dotted(where, field.name)
        if is_dataclass(value):
            tables += ["", f"[{name}]", *_lines(value, name)]
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            for inner in value:
                tables += ["", f"[[{name}]]", *_lines(inner, name)]
        else:
            plain.append(f"{field.name} = {_value(value)}")
    return [*plain, *tables]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return repr(value)
