"""Where what calibrating learns about an arm goes: its files, and its profile, written whole, its comments kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from armside.calib_target import Target
    from calib.sts.save import Where


def where_of(target: Target, lerobot: str = "never") -> Where:
    """The files of an SO arm. `lerobot`: which of LeRobot's copies too, as --lerobot says."""
    from armside.calib_target import state_folder
    from calib.lerobot_files import targets
    from calib.sts.save import Where

    copies = targets(target.id, target.robot.name, lerobot)
    journal = state_folder() / "calibration" / f"{target.profile.name}.eeprom.json"
    return Where(target.calibration, copies, journal)


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
