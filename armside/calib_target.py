"""--robot, --id and --port of the verbs that set up an arm: which arm is meant, and where its files are.

Takes the parsed words, gives a Target. These verbs hold the port themselves, so a bridge of the same robot must not
run. Opens nothing.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from armside.profile import Profile
    from firmware_bridge.robot import Robot

SIM = "sim"  # the port of a virtual arm


@dataclass(frozen=True, slots=True)
class Target:
    """One arm. `profile` has what the command line gave in it; `id` is "" for a bare type."""

    profile: Profile
    robot: Robot
    id: str
    known: bool  # its profile is written already

    @property
    def port(self) -> str:
        return self.profile.port

    @property
    def calibration(self) -> Path:
        """The calibration file that it has, or will have."""
        return Path(self.profile.calibration) if self.profile.calibration else calibration_folder() / f"{self.id}.json"


def calibration_folder() -> Path:
    """Where calibration files are written: beside the profiles' folder, $XDG_CONFIG_HOME/armside/calibration."""
    from armside.profile import robots_folder

    return robots_folder().parent / "calibration"


def state_folder() -> Path:
    """What must outlive a process but is no setting: $XDG_STATE_HOME/armside, by default under ~/.local/state."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "armside"


def add_target_arguments(group: Any, *, robot: str | None = "so101") -> None:
    """--robot, --id, --port. `robot` None: it must be given."""
    default = f" (default: {robot})" if robot else ""
    group.add_argument(
        "--robot",
        default=robot,
        required=robot is None,
        metavar="ROBOT",
        help=f"a type: so101, so100, yam, bi-yam; or the id of a profile, or a .toml file{default}",
    )
    group.add_argument("--id", default="", metavar="ID", help="the arm's own name, such as blue: its profile and files")
    group.add_argument("--port", help="the arm's port such as /dev/ttyACM0 or can0 (armside find-port); sim: virtual")


def choose_target(args: argparse.Namespace, *, needs_id: bool = True, needs_port: bool = True) -> Target:
    """The arm that is meant. Raises UsageError."""
    from armside.profile import Profile, require_port, resolve
    from armside.profile_file import file_of, load
    from firmware_bridge.robots import find

    given = resolve(args.robot)
    profile: Profile = given
    if given.id and args.id and args.id != given.id:
        what = f"--robot {args.robot} is the profile {given.id}"
        raise UsageError(sentence(what, expected="its type and another --id, or no --id", got=f"--id {args.id}"))
    if args.id and not given.id:
        path = file_of(args.id)
        if path.is_file():
            profile = load(path)
            if profile.type != given.type:
                what, do = f"the profile {args.id} is of another arm", "choose another --id, or give its own type"
                raise UsageError(sentence(what, expected=profile.type, got=given.type, do=do))
        else:
            profile = Profile(type=given.type, id=args.id, path=path)
    if needs_id and not profile.id:
        do = "--id blue, or any name of your own: it names the profile and the calibration file"
        raise UsageError(sentence("the arm needs a name", expected="--id", got="none", do=do))
    profile = profile.having(port=args.port)
    if needs_port:
        require_port(profile)
    known = profile.path is not None and profile.path.is_file()
    return Target(profile, find(profile.type), profile.id, known)


def refuse_running(target: Target) -> None:
    """A bridge of this robot holds the port. Raises UsageError."""
    from firmware_bridge.client import find_running

    running = find_running(target.profile.name)
    if running is not None and running.port == target.port:
        do = f"armside bridge end {running.id}, then again"
        what = f"the bridge of {running.id} drives this arm"
        raise UsageError(sentence(what, got=f"pid {running.supervisor}", do=do))


def refuse_real(target: Target) -> None:
    """A simulation must not take the place of what a real arm's profile and file hold. Raises UsageError."""
    from armside.profile_file import load

    if target.port != SIM or not target.id:
        return
    path = target.profile.path
    real = load(path).port if target.known and path is not None else ""
    if real == SIM or not (real or target.calibration.exists()):
        return
    kind = target.profile.type
    do = f"armside calibrate --robot {kind} --port sim, with --id and a new name"
    got = f"its port is {real}" if real else f"{target.calibration} is there"
    raise UsageError(
        sentence(f"{target.id} is a real arm, this is a simulation", expected="another --id, or none", got=got, do=do)
    )
