"""Profiles as files: read whole, changed without losing a comment, written whole or not at all.

Takes a path and words such as `speed=1.5`, gives Profiles and the lines that changed. Knows no bridge.
"""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from armside import profile_keys
from armside.profile import GOOD_ID, Profile, build, robots_folder
from armside.profile_keys import KEYS
from policy_spec.errors import UsageError, sentence


def load(path: Path) -> Profile:
    """The profile in a file. Raises UsageError."""
    return parse(read(path), path.stem, path)


def read(path: Path) -> str:
    """The text of a profile. Raises UsageError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(sentence(f"profile {path} cannot be read", got=error)) from None


def parse(text: str, name: str, path: Path | None = None) -> Profile:
    """A profile from TOML. Raises UsageError that names the key, and the nearest known one."""
    try:
        return build(values_of(_document(text, name)), name, path)
    except UsageError as error:
        raise UsageError(f"profile {path or name}: {error}") from None


def values_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Checked values by full key, in the file's order."""
    return {word: profile_keys.check(word, value) for word, value in _leaves(document)}


def changed(text: str, name: str, words: Sequence[str]) -> str:
    """The text with `key=value` set and `key=` removed; comments stay. Raises UsageError."""
    document = _document(text, name)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(sentence("a change", expected="key=value, or key= to remove it", got=word))
        path = _path_of(key)
        if value:
            _put(document, path, profile_keys.from_text(key, value))
        else:
            _remove(document, path)
    return tomlkit.dumps(document)


def diff(before: str, after: str, name: str) -> list[str]:
    """What changed, line by line, as `diff -u` shows it without its head."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def file_of(name: str) -> Path:
    """The file of an id. Raises UsageError for an id that could be mistaken for something else."""
    from firmware_bridge.robots import ROBOTS

    if not GOOD_ID.fullmatch(name) or name in ROBOTS or name.endswith(".toml"):
        expected = "letters, digits, - and _, and not a type of arm"
        raise UsageError(sentence("an id", expected=expected, got=name, do="choose a name of its own, such as blue"))
    return robots_folder() / f"{name}.toml"


def write(path: Path, text: str) -> None:
    """Whole or not at all: a temporary file beside it, synced, then renamed over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


# -- inside


def _document(text: str, name: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise UsageError(sentence(f"{name} is not TOML", got=error)) from None


def _leaves(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if key == "poses" and isinstance(value, Mapping):
            for pose, joints in value.items():
                yield from _table(f"poses.{pose}", joints)
        elif key in KEYS and KEYS[key].table:
            yield from _table(key, value)
        elif isinstance(value, Mapping) and key not in KEYS:
            raise profile_keys.unknown(f"[{key}]", KEYS)
        else:
            profile_keys.split(key)
            yield key, _plain(value)


def _table(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if key not in KEYS:
        raise profile_keys.unknown(key, [word for word in KEYS if word.startswith("poses.")])
    if not isinstance(value, Mapping):
        raise UsageError(sentence(key, expected=f"a table: {KEYS[key].means}", got=repr(_plain(value))))
    for name, item in value.items():
        yield f"{key}.{name}", _plain(item)


def _plain(value: Any) -> Any:
    return value.unwrap() if hasattr(value, "unwrap") else value


def _path_of(word: str) -> list[str]:
    key, below = profile_keys.split(word)
    return [*key.split("."), *([below] if below else [])]


def _put(document: tomlkit.TOMLDocument, path: Sequence[str], value: Any) -> None:
    place: Any = document
    for part in path[:-1]:
        if part not in place:
            place[part] = tomlkit.table(is_super_table=part == "poses")
        place = place[part]
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e9:
        value = int(value)
    place[path[-1]] = value


def _remove(document: tomlkit.TOMLDocument, path: Sequence[str]) -> None:
    places: list[Any] = [document]
    for part in path:
        if part not in places[-1]:
            raise UsageError(sentence(f"{'.'.join(path)} is not set", do="armside robot show ID lists what is"))
        places.append(places[-1][part])
    for part, place in reversed(list(zip(path, places[:-1], strict=True))):
        del place[part]
        if place is document or len(place):
            return
