"""`armside bridge`: the process that drives an arm, in this terminal; and the words to one that runs.

    armside bridge --robot blue --live       start it here
    armside bridge stop                      emergency stop, from any terminal

Each word is a module of its own with `add_arguments` and `run`; at import none reads more than the standard library,
so that an emergency stop is not kept waiting.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

# word -> module, what it does; the order is that of a day's work.
WORDS: dict[str, tuple[str, str]] = {
    "status": ("bridge_status", "show every joint, mode, clamps and faults of the bridges that run"),
    "stop": ("bridge_stop", "emergency stop, now: one robot, or every one"),
    "rearm": ("bridge_words", "leave an emergency stop or fault: torque on with goal = where the arm is"),
    "end": ("bridge_words", "end a bridge by its exit policy: park, hold or limp"),
    "keys": ("bridge_keys", "make CURVE keys, for clients on other machines"),
    "install": ("bridge_install", "udev rules and a systemd unit, shown before they are written"),
}
EXAMPLES = (
    "examples: armside bridge --robot so101 --port sim; armside bridge --robot blue --live; "
    "armside bridge status blue; armside bridge stop; armside bridge rearm blue; armside bridge end blue"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a start, and the words."""
    from armside.arm_args import add_arm_arguments, add_exit_arguments
    from armside.scenes import add_scene_argument

    parser.epilog = EXAMPLES
    add_arm_arguments(parser, robot="")
    add_scene_argument(parser)
    add_exit_arguments(parser, "park")
    parser.add_argument("--rate", type=float, metavar="HZ", help="ticks per second (default: 100 for SO, 200 for YAM)")
    parser.add_argument("--speed", type=float, metavar="RAD_PER_S", help="the fastest that any joint is commanded")
    parser.add_argument("--park-speed", type=float, metavar="RAD_PER_S", help="while parking (default: 0.5)")
    parser.add_argument("--floor", metavar="M", help="height of the table above the base, or none (default: -0.01)")
    parser.add_argument(
        "--endpoint", metavar="ZMQ", help="ipc://PATH or tcp://ADDRESS:PORT (default: ipc, for this user alone)"
    )
    parser.add_argument("--keys", metavar="DIR", help="CURVE keys, for an endpoint that other machines reach")
    parser.add_argument("--black-box", metavar="FILE", help="record all that the bridge is told and answers")
    words = parser.add_subparsers(metavar="WORD", dest="word", title="words to a bridge that runs")
    for name, (module, summary) in WORDS.items():
        word = words.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        found = importlib.import_module(f"armside.{module}")
        found.add_arguments(word, name)
        word.set_defaults(run=found.run)
        word.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Runs the bridge here until it is told to leave."""
    from armside.arm_args import ArmChoice
    from armside.profile import known_ids, resolve, to_bridge_config
    from armside.profile_keys import from_text
    from armside.scenes import with_scene
    from firmware_bridge.supervisor import serve
    from policy_spec.errors import UsageError, sentence

    if args.rate is not None and not args.rate > 0:  # 0 in a configuration is the robot's own rate
        raise UsageError(sentence("--rate", expected="Hz above 0", got=args.rate))
    if not args.robot:
        known = ", ".join(known_ids()) or "there is none yet"
        do = "armside bridge --robot so101 --port sim starts virtual servos"
        raise UsageError(sentence("which robot?", expected=f"--robot with a profile ({known}) or a type", do=do))
    profile = resolve(args.robot).having(
        port=args.port,
        calibration=absolute(args.calibration),
        exit=args.exit,
        rate_hz=args.rate,
        speed=args.speed,
        park_speed=args.park_speed,
        floor_m=None if args.floor is None else from_text("floor_m", args.floor),
        endpoint=args.endpoint,
        keys=absolute(args.keys),
        black_box=absolute(args.black_box),
    )
    choice = ArmChoice(profile, args.live)
    config = with_scene(to_bridge_config(profile, args.live), args.scene)
    moves = "virtual servos" if choice.simulated else "live" if args.live else "reads only: --live was not given"
    print(f"{config.id}: {config.robot} on {config.port}, {moves}; leaves by: {config.exit_policy}", flush=True)
    print(f"Ctrl-C ends it so; a second one holds. Emergency stop: armside bridge stop {config.id}", flush=True)
    return serve(config, human=True)


def absolute(path: str | None) -> str | None:
    """Clients that read it from the registry stand in another folder."""
    return None if path is None else str(Path(path).expanduser().absolute())
