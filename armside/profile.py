"""A robot's profile: one frozen dataclass from `~/.config/armside/robots/<id>.toml`, a path, or a bare type.

Takes the word after --robot, gives a Profile, and of it the bridge's configuration. A command line beats the
profile, the profile beats the defaults. Opens no port; profile_file.py writes, profile_keys.py knows the keys.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from armside import profile_keys
from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from firmware_bridge.config import BridgeConfig
    from firmware_bridge.robot import Robot

GOOD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of one robot. None or empty: not given, the default holds."""

    type: str  # a row of firmware_bridge.robots
    id: str = ""  # "": a bare type, no profile
    path: Path | None = None
    port: str = ""
    calibration: str = ""
    joint_frame: str = ""
    exit: str = ""
    rate_hz: float | None = None
    speed: float | None = None  # rad/s
    park_speed: float | None = None  # rad/s
    acceleration: float | None = None  # rad/s^2
    lead: float | None = None  # rad
    max_observation_age_s: float | None = None
    floor_m: float | bool | None = None  # False: no floor
    self_collision: bool | None = None
    mechanics: bool | None = None
    gripper: str = ""
    endpoint: str = ""
    keys: str = ""
    black_box: str = ""
    cameras: Mapping[str, str] = field(default_factory=dict)  # slot -> source
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # joint -> (lower, upper), rad
    park_pose: Mapping[str, float] = field(default_factory=dict)  # joint -> rad, gripper 0..1
    home_pose: Mapping[str, float] = field(default_factory=dict)
    keep_out: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # name -> x0 y0 z0 x1 y1 z1, m
    bases: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # left, right -> x y z yaw
    levels: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # quantity -> warn, limit, stop

    @property
    def name(self) -> str:
        """The id, or the type of a bare one."""
        return self.id or self.type

    def having(self, **given: Any) -> Profile:
        """With what a command line gives; None changes nothing."""
        return dataclasses.replace(self, **{key: value for key, value in given.items() if value is not None})


def robots_folder() -> Path:
    """Where profiles are: $XDG_CONFIG_HOME/armside/robots, by default under ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "armside" / "robots"


def known_ids() -> list[str]:
    """The ids that have a profile, sorted."""
    return sorted(path.stem for path in robots_folder().glob("*.toml"))


def resolve(word: str) -> Profile:
    """The profile that --robot names: a path ending in .toml, an id, or a type. Raises UsageError."""
    from armside.profile_file import load
    from firmware_bridge.robots import ROBOTS

    if word.endswith(".toml") or os.sep in word:
        return load(Path(word).expanduser())
    path = robots_folder() / f"{word}.toml"
    if word not in ROBOTS and GOOD_ID.fullmatch(word) and path.is_file():
        return load(path)
    if word in ROBOTS:
        return Profile(type=word)
    ids = known_ids()
    raise UsageError(
        sentence(
            f"no robot {word!r}",
            expected=f"a profile ({', '.join(ids) or 'there is none yet'}), a .toml file, or a type "
            f"({', '.join(ROBOTS)})",
            do=f"armside robot set {word} type=so101 port=/dev/ttyACM0",
        )
    )


def build(values: Mapping[str, Any], name: str, path: Path | None) -> Profile:
    """A profile from checked values by full key (`poses.park.elbow_flex`). Raises UsageError."""
    if "type" not in values:
        raise UsageError(sentence(f"profile {name} has no type", do=f"armside robot set {name} type=so101"))
    plain: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {}
    for word, value in values.items():
        key, below = profile_keys.split(word)
        if below:
            tables.setdefault(key, {})[below] = value
        else:
            plain[key] = value
    robot = _robot(plain["type"], name)
    if calibration := plain.get("calibration"):
        plain["calibration"] = str(_beside(calibration, path))
    for key in ("keys", "black_box"):
        if key in plain:
            plain[key] = str(_beside(plain[key], path))
    profile = Profile(
        id=name,
        path=path,
        cameras=tables.get("cameras", {}),
        limits=_joined(tables, "limits", robot),
        park_pose=_joined(tables, "poses.park", robot),
        home_pose=_joined(tables, "poses.home", robot),
        keep_out=tables.get("keep_out", {}),
        bases=tables.get("bases", {}),
        levels=tables.get("levels", {}),
        **plain,
    )
    check(profile)
    return profile


def check(profile: Profile) -> None:
    """What can be known to be wrong before a bridge starts. Raises UsageError."""
    from firmware_bridge.config import EXIT_POLICIES
    from policy_spec.frames import frame_names

    for key, value, allowed in (
        ("exit", profile.exit, EXIT_POLICIES),
        ("joint_frame", profile.joint_frame, frame_names()),
        ("bases", profile.bases, ("left", "right")),
    ):
        for word in [value] if isinstance(value, str) else value:
            if word and word not in allowed:
                raise UsageError(sentence(f"{key} of {profile.name}", expected=" or ".join(allowed), got=word))


def require_port(profile: Profile) -> None:
    """Raises UsageError without a port."""
    if not profile.port:
        raise UsageError(
            sentence(
                f"{profile.name} has no port",
                expected="--port, a port in its profile, or a bridge that runs already",
                do="--port sim for virtual servos; or armside robot set ID port=/dev/ttyACM0",
            )
        )


def to_bridge_config(profile: Profile, live: bool, *, named: bool = True) -> BridgeConfig:
    """What a bridge is told. `named`: it may be found by its id; a private one (a simulation) may not.

    Raises UsageError without a port, ConfigError for what does not fit together.
    """
    from firmware_bridge.config import BridgeConfig, Timing

    require_port(profile)
    given: dict[str, Any] = {
        "exit_policy": profile.exit or None,
        "speed": profile.speed,
        "park_speed": profile.park_speed,
        "acceleration": profile.acceleration,
        "lead": profile.lead,
        "self_collision": profile.self_collision,
        "mechanics": profile.mechanics,
    }
    timing: dict[str, Any] = {"rate_hz": profile.rate_hz, "max_observation_age_s": profile.max_observation_age_s}
    given = {key: value for key, value in given.items() if value is not None}
    if profile.floor_m is not None:
        given["floor"] = None if profile.floor_m is False else float(profile.floor_m)
    return BridgeConfig(
        robot=profile.type,
        port=profile.port,
        calibration=profile.calibration,
        live=live,
        park_pose=dict(profile.park_pose),
        home_pose=dict(profile.home_pose),
        limits=dict(profile.limits),
        keep_out=dict(profile.keep_out),
        bases=dict(profile.bases),
        levels=dict(profile.levels),
        gripper=profile.gripper,
        id=profile.name if named else "",
        endpoint=profile.endpoint,
        keys=profile.keys,
        black_box=profile.black_box,
        timing=Timing(**{key: value for key, value in timing.items() if value is not None}),
        **given,
    )


# -- inside


def _robot(kind: str, name: str) -> Robot:
    from firmware_bridge.robots import ROBOTS

    if kind not in ROBOTS:
        raise UsageError(sentence(f"type of {name}", expected=" or ".join(ROBOTS), got=kind))
    return ROBOTS[kind]


def _beside(text: str, path: Path | None) -> Path:
    file = Path(text).expanduser()
    return file if file.is_absolute() or path is None else path.absolute().parent / file


def _joined(tables: Mapping[str, Mapping[str, Any]], key: str, robot: Robot) -> dict[str, Any]:
    """A table in rad and its twin in degrees as one, in rad, of joints that this robot has."""
    found = dict(tables.get(key, {}))
    for joint, value in tables.get(f"{key}_deg", {}).items():
        word = f"{key}_deg.{joint}"
        if joint in found:
            raise UsageError(sentence(f"{key}.{joint} is given in rad and in degrees", do=f"remove {word}"))
        if joint in robot.grippers:
            raise UsageError(sentence(word, expected=f"{key}.{joint}, 0 (closed) to 1 (open)", got="degrees"))
        found[joint] = tuple(map(math.radians, value)) if isinstance(value, tuple) else math.radians(value)
    for joint in found:
        if joint not in robot.joints:
            raise profile_keys.unknown(joint, robot.joints, f" in {key}: no joint of {robot.name}")
    return found
