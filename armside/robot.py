"""`armside robot show|set`: the profiles of your arms."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from armside.profile import Profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    words = parser.add_subparsers(metavar="WORD", dest="word", required=True)
    shown = words.add_parser("show", help="every profile, or one with what is set and what is default")
    shown.add_argument("id", metavar="ID", nargs="?", help="an id, a .toml file, or a type")
    changed = words.add_parser(
        "set",
        help="make or change a profile",
        description="Makes or changes a profile; the whole is checked before it is written.",
        epilog="examples: armside robot set blue type=so101 port=/dev/ttyACM0 calibration=blue.json; "
        "armside robot set blue poses.park_deg.elbow_flex=90 cameras.cam0=/dev/video0; armside robot set blue speed=",
    )
    changed.add_argument("id", metavar="ID", help="a name of your own, such as blue")
    changed.add_argument("changes", metavar="KEY=VALUE", nargs="+", help="KEY= removes it; robot show lists the keys")
    for word in (shown, changed):
        word.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Shows or changes."""
    if args.word == "set":
        return change(args.id, args.changes)
    return show_one(args.id) if args.id else show_all()


def change(name: str, words: list[str]) -> int:
    """Writes the profile, and shows what changed."""
    from armside.profile_file import changed, diff, file_of, parse, read, write

    path = file_of(name)
    before = read(path) if path.exists() else ""
    after = changed(before, name, words)
    parse(after, name, path)
    lines = diff(before, after, str(path))
    if not lines:
        print(f"{path}: nothing changes")
        return 0
    write(path, after)
    print("\n".join([f"{path}:", *lines]))
    from firmware_bridge.client import find_running

    if find_running(name) is not None:
        print(f"a bridge of {name} runs with the old settings; armside bridge end {name}, then start it again")
    return 0


def show_all() -> int:
    """A line for each profile, and whether a bridge runs."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from armside.profile import known_ids, robots_folder
    from armside.profile_file import load
    from firmware_bridge.client import find_running
    from policy_spec.errors import UsageError

    table = Table(box=None, pad_edge=False)
    for column in ("id", "type", "port", "exit", "cameras", "bridge"):
        table.add_column(column, overflow="fold")
    wrong = []
    for name in known_ids():
        try:
            profile = load(robots_folder() / f"{name}.toml")
        except UsageError as error:
            wrong.append(str(error))
            table.add_row(escape(name), "[bold red]cannot be used[/]")
            continue
        running = find_running(name)
        bridge = f"pid {running.supervisor}" if running else "-"
        cells = (name, profile.type, profile.port or "-", profile.exit or "park", ", ".join(profile.cameras) or "-")
        table.add_row(*map(escape, cells), bridge)
    console = Console()
    if table.row_count:
        console.print(table)
    else:
        print(f"no profile in {robots_folder()}; armside robot set blue type=so101 port=/dev/ttyACM0 makes one")
    for text in wrong:
        console.print(f"[bold red]{escape(text)}[/]")
    return 1 if wrong else 0


def show_one(name: str) -> int:
    """Every key of one robot: its value, and where it is from."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from armside.profile import resolve
    from firmware_bridge.client import find_running

    profile = resolve(name)
    console = Console()
    running = find_running(profile.name)
    where = profile.path or f"no profile: the type {profile.type} as it is"
    bridge = f"its bridge runs: pid {running.supervisor} on {running.port}" if running else "no bridge of it runs"
    console.print(escape(f"{profile.name}: {where}; {bridge}"), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in ("key", "value", "from", "what it is"):
        table.add_column(column, overflow="fold")
    for key, value, given, means in rows(profile):
        style = "bold" if given else "dim"
        table.add_row(f"[{style}]{escape(key)}[/]", escape(value), "profile" if given else "default", escape(means))
    console.print(table)
    return 0


def rows(profile: Profile) -> Iterator[tuple[str, str, bool, str]]:
    """(key, value, whether it was given, what it means); tables in rad, whatever they were written in."""
    from armside.profile_keys import KEYS

    fields = {"poses.park": profile.park_pose, "poses.home": profile.home_pose}
    defaults = default_values(profile)
    for key, row in KEYS.items():
        if key.endswith("_deg"):
            continue
        if not row.table:
            value = getattr(profile, key)
            given = value not in (None, "")
            yield key, text(value if given else defaults.get(key, "-")), given, row.means
            continue
        table: Mapping[str, Any] = fields.get(key, getattr(profile, key, {}))
        for name, value in {**defaults.get(key, {}), **table}.items():
            yield f"{key}.{name}", text(value), name in table, row.means
        if not table and not defaults.get(key):
            yield f"{key}.NAME", "-", False, row.means


def default_values(profile: Profile) -> dict[str, Any]:
    """What holds where the profile says nothing."""
    from firmware_bridge.config import SIM, BridgeConfig
    from firmware_bridge.robots import find

    robot, config = find(profile.type), BridgeConfig(profile.type, SIM)
    plain = {
        "exit": config.exit_policy,
        "rate_hz": robot.rate_hz,
        "speed": min(max(robot.speed), config.speed),
        "park_speed": config.park_speed,
        "acceleration": max(robot.acceleration),
        "lead": max(robot.lead),
        "max_observation_age_s": config.timing.max_observation_age_s,
        "floor_m": config.floor,
        "self_collision": config.self_collision,
        "mechanics": config.mechanics,
    }
    tables = {
        "limits": dict(robot.limits),
        "poses.park": dict(zip(robot.joints, robot.park_pose, strict=True)),
        "poses.home": dict(zip(robot.joints, robot.home_pose, strict=True)),
    }
    return {**plain, **tables}


def text(value: Any) -> str:
    """A value for a person."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return ", ".join(text(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
