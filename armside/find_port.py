"""`armside find-port`: which port the arm is on, by its adapter, by its servos' answers, or by unplugging it.

Joins a terminal with calib's ports. Without --probe and --unplug nothing is opened, asked or disturbed.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from armside.calib_target import add_target_arguments, choose_target
from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from armside.calib_target import Target
    from armside.find_port_show import Answer
    from calib.ports import Place, Port

WAIT_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    add_target_arguments(parser)
    how = parser.add_argument_group("how").add_mutually_exclusive_group()
    how.add_argument(
        "--probe", action="store_true", help="ask the servos on each known adapter who they are; only reads"
    )
    how.add_argument("--unplug", action="store_true", help="pull the arm's USB cable and put it back, when asked")
    parser.add_argument(
        "--ports",
        action="append",
        default=[],
        metavar="GLOB",
        help="look at these instead of /dev/ttyACM* and /dev/ttyUSB*, known adapters or not, such as '/dev/ttyTHS*'",
    )
    parser.add_argument(
        "--wait", type=float, default=WAIT_S, metavar="S", help=f"for hands, in seconds (default: {WAIT_S:g})"
    )
    parser.add_argument("--json", action="store_true", help="for programs; exit code 1 where no single port was found")
    parser.add_argument(
        "--yes", action="store_true", help="answer every question with its usual answer; nobody is asked"
    )
    parser.add_argument("--script", metavar="FILE", type=Path, help='answers by name: {"answers": {"unplug": "yes"}}')
    parser.epilog = (
        "examples: armside find-port; armside find-port --probe; armside find-port --unplug --id blue (writes it into "
        "the profile). --probe opens ports: an Arduino on a known adapter restarts"
    )


def run(args: argparse.Namespace) -> int:
    """Finds it, says it, and writes it into the profile when the arm has a name."""
    from armside.find_port_show import show

    target = choose_target(args, needs_id=False, needs_port=False)
    place = _place(args)
    if args.unplug:
        answer = _unplugged(args, place)
    elif args.probe:
        answer = _probed(args, target, place)
    else:
        answer = _listed(target, place)
    if answer.port is not None and target.id:
        answer = dataclasses.replace(answer, saved=_save(target, answer.port))
    show(answer, target, as_json=args.json)
    return 0 if answer.port is not None else 1


def _place(args: argparse.Namespace) -> Place:
    from calib.ports import PATTERNS, Place

    if args.port and args.ports:
        raise UsageError(sentence("--port and --ports", expected="one of them", got="both"))
    named = tuple([args.port] if args.port else args.ports)
    if args.port and not args.probe:
        do = "--probe asks its servos; without --port all ports are looked at"
        raise UsageError(sentence("--port names a port", expected="--port with --probe", got="--port alone", do=do))
    if bad := [pattern for pattern in named if not pattern.startswith("/")]:
        raise UsageError(sentence("a port to look at", expected="/dev/...", got=bad[0]))
    return Place(patterns=named or PATTERNS, named=bool(named))


def _listed(target: Target, place: Place) -> Answer:
    from armside.find_port_show import Answer
    from calib.ports import look

    ports = look(place)
    likely = [port for port in ports if _may_be(port, target)]
    return Answer("adapter", ports, likely[0] if len(likely) == 1 else None, len(likely))


def _may_be(port: Port, target: Target) -> bool:
    return port.likely and (port.named or port.speaks_can == (target.robot.family == "damiao"))


def _probed(args: argparse.Namespace, target: Target, place: Place) -> Answer:
    import sys

    from armside.find_port_show import Answer
    from calib.ports import look
    from calib.setup.probe import probe

    if target.robot.family == "damiao":
        do = "armside setup-motors --robot yam --port can0 reads every motor"
        raise UsageError(sentence("--probe asks servos of an SO arm", expected="so101 or so100", got="yam", do=do))
    ports = look(place)
    probed = []
    for port in ports:
        if _may_be(port, target):
            if not args.json:
                print(f"asking {port.device} ...", file=sys.stderr)
            probed.append(probe(port, target.robot))
    # A whole arm beats a port with some servos: a leader's or a new motor's board may be plugged in too.
    for good in ([one for one in probed if one.whole], [one for one in probed if one.arm]):
        if good:
            return Answer("servos", ports, good[0].port if len(good) == 1 else None, len(good), tuple(probed))
    return Answer("servos", ports, None, 0, tuple(probed))


def _unplugged(args: argparse.Namespace, place: Place) -> Answer:
    from armside.find_port_show import Answer
    from armside.person_args import person_of
    from calib.ports import look
    from calib.unplugged import Watch, by_unplugging

    with person_of(args) as person:
        port = by_unplugging(person, Watch(lambda: look(place), args.wait))
    return Answer("unplugged", look(place), port, 1)


def _save(target: Target, port: Port) -> str:
    from armside.calib_profile import remember

    return remember(dataclasses.replace(target, profile=target.profile.having(port=port.name)))
