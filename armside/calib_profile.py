"""What calibrating learns about an arm goes into its profile: written whole or not at all, comments kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from armside.calib_target import Target


def remember(target: Target, **keys: str) -> str:
    """Type, port and `keys` (such as calibration=PATH) into the arm's profile; says what changed. Raises UsageError."""
    from armside.profile_file import changed, diff, file_of, read, write

    path = target.profile.path or file_of(target.id)
    before = read(path) if path.is_file() else ""
    wanted = {"type": target.profile.type, "port": target.port, **keys}
    after = changed(before, target.id, [f"{key}={value}" for key, value in wanted.items() if value])
    if after == before:
        return f"profile {path}: unchanged"
    write(path, after)
    return "\n".join([f"profile {path}:", *(f"  {line}" for line in diff(before, after, target.id))])
