"""`armside bridge install ID`: udev rules and systemd units, shown first and written when that is confirmed.

Needs no root: where this user may not write, the files are put beside the profiles and the sudo commands are said.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from armside.profile import Profile


def add_arguments(parser: argparse.ArgumentParser, word: str) -> None:
    """The word's arguments."""
    parser.add_argument("id", metavar="ID", help="the profile of the robot; its port and calibration must be in it")
    parser.add_argument("--user", action="store_true", help="the unit for this user's own systemd, not the system's")
    parser.add_argument("--live", action="store_true", help="the unit starts the bridge with --live: it may move")
    parser.add_argument(
        "--run",
        dest="session",
        metavar="WORDS",
        help="a second unit, of a policy that starts with the machine: the words of armside run but for --robot and "
        "--live, such as 'policy.bundle --task \"pick up the cube\"'",
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="of that unit: start it again after a crash; without it the arm waits in its safe state for a person",
    )
    parser.add_argument("--dry-run", action="store_true", help="show it and write nothing")
    parser.add_argument("--yes", action="store_true", help="write without asking")
    parser.add_argument("--root", metavar="DIR", type=Path, default=Path("/"), help="of another system, to prepare it")
    parser.epilog = (
        "examples: armside bridge install blue --dry-run; "
        "armside bridge install blue --live --run 'policy.bundle --task \"pick up the cube\"'"
    )


@dataclass(frozen=True, slots=True)
class File:
    """A file to be written."""

    path: Path
    text: str


def run(args: argparse.Namespace) -> int:
    """Shows, asks, writes, and says what is next."""
    from armside.profile import resolve, to_bridge_config
    from policy_spec.errors import UsageError, sentence

    profile = resolve(args.id)
    to_bridge_config(profile, args.live)  # a service that cannot start is no service
    files = plan(args, profile)
    for file in files:
        print(f"--- {file.path}{'' if _read(file.path) != file.text else '   (is so already)'}\n{file.text}")
    if args.dry_run:
        return 0
    if not args.yes:
        if not sys.stdin.isatty():
            raise UsageError(sentence("nobody can confirm here", expected="--yes, or --dry-run"))
        if input("write these files? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing was written")
            return 1
    commands = [command for file in files for command in put(file)]
    for line in (*commands, *after(args, profile)):
        print(f"next: {line}")
    return 0


def plan(args: argparse.Namespace, profile: Profile) -> list[File]:
    """The files and where they go."""
    from armside.run_install import session_of
    from armside.system_files import RULES_FILE, UNIT_FILE, session_unit, udev_rules, unit, usb_port

    program = str(Path(sys.executable).with_name("armside"))
    if args.user:
        config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
        place, user = config / "systemd/user", ""
    else:
        import pwd

        place, user = args.root / "etc/systemd/system", pwd.getpwuid(os.getuid()).pw_name
    rules = udev_rules(usb_port(profile.name, profile.port, args.root))
    bridge = unit(program, user, os.getuid(), args.live)
    files = [File(args.root / "etc/udev/rules.d" / RULES_FILE, rules), File(place / UNIT_FILE, bridge)]
    session = session_of(args, profile, program, user)
    return [*files, File(place / session.file, session_unit(session))] if session else files


def put(file: File) -> list[str]:
    """Writes a file; where this user may not, puts it aside and gives the command that installs it."""
    from armside.profile import robots_folder
    from armside.profile_file import write

    if _read(file.path) == file.text:
        return []
    try:
        write(file.path, file.text)
    except OSError as error:  # root's, or a system that is read-only
        aside = robots_folder().parent / "install" / file.path.name
        write(aside, file.text)
        print(f"{aside}: put there, because {file.path.parent} cannot be written: {error.strerror}")
        return [f"sudo install -D -m 644 {shlex.quote(str(aside))} {shlex.quote(str(file.path))}"]
    print(f"{file.path}: written")
    return []


def after(args: argparse.Namespace, profile: Profile) -> list[str]:
    """What makes the files count."""
    from armside.system_files import usb_port

    system, sudo = ("systemctl --user", "") if args.user else ("sudo systemctl", "sudo ")
    lines = [
        "sudo udevadm control --reload && sudo udevadm trigger, or plug the adapter in again",
        f"{sudo}loginctl enable-linger $USER".strip() + "   (bridges of this user outlive its last session)",
        f"{system} daemon-reload && {system} enable --now armside-bridge@{profile.name}",
    ]
    if args.session:
        lines.append(f"{system} enable --now armside-run-{profile.name}, after a run by hand with the same words")
    if usb_port(profile.name, profile.port, args.root) and profile.port != f"/dev/armside-{profile.name}":
        lines.insert(1, f"armside robot set {profile.name} port=/dev/armside-{profile.name}")
    return lines


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
