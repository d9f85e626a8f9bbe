"""`armside bridge stop`: the emergency stop of one robot, or of all. First the stop, then the words about it.

A signal to the bridge's supervisor latches the stop without a socket, an import or an answer (at_once.py sends the
first one, before the command line is read); then the bridge is asked over its socket whether it is latched.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_bridge.registry import Running

ANSWER_S = 2.0


def add_arguments(parser: argparse.ArgumentParser, word: str) -> None:
    """The word's arguments."""
    parser.add_argument("ids", metavar="ID", nargs="*", help="robots, or an endpoint (default: every one that runs)")
    parser.add_argument(
        "--cut", action="store_true", help="torque off too: a raised arm falls; for hands and fingers that are caught"
    )
    parser.add_argument("--keys", default="", metavar="DIR", help="CURVE keys, for an endpoint on another machine")
    parser.epilog = "The arm holds where it is. When its space is clear: armside bridge rearm ID."


def run(args: argparse.Namespace) -> int:
    """Stops, then says what is latched; 1 where that is not certain."""
    from firmware_bridge.registry import all_running, find_running

    began = time.monotonic()
    ends = [word for word in args.ids if "://" in word]
    named = {word: find_running(word) for word in args.ids if "://" not in word}
    found = [running for running in (named.values() if args.ids else all_running()) if running is not None]
    for running in found:
        signal_stop(running)
    sent_ms = 1000 * (time.monotonic() - began)
    absent = [word for word, running in named.items() if running is None]
    for word in absent:
        print(f"armside: no bridge for {word!r} runs here as this user: nothing was stopped", file=sys.stderr)
    if not (found or ends):
        print(nothing_here(), file=sys.stderr)
        return 1
    good = [confirm(running.id, running.endpoint, args.keys or running.keys, args.cut, running) for running in found]
    good += [confirm(end, end, args.keys, args.cut, None) for end in ends]
    if found:
        print(f"the signal was on its way after {sent_ms:.0f} ms")
    return 0 if all(good) and not absent else 1


def signal_stop(running: Running) -> None:
    """The stop that needs no socket: by the supervisor, which passes it on to a bridge that takes over; by the bridge
    where the supervisor died. A bridge that is gone is found out by `confirm`."""
    for pid in (running.supervisor, running.pid):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGUSR1)
            return


def confirm(name: str, endpoint: str, keys: str, cut: bool, running: Running | None) -> bool:
    """Says the stop over the socket too, and prints what the bridge answers. Whether it is latched."""
    from armside.bridge_words import settled
    from firmware_bridge.errors import BridgeError, BridgeGone
    from firmware_bridge.link import BridgeClient

    try:
        with BridgeClient(endpoint, timeout_s=ANSWER_S, keys=keys) as client:
            reply = client.estop(cut=cut)
            status = settled(client, reply.seq, ("off",) if cut else ("on", "off"))
            print(f"{name}: {reply.text}; torque {status.torque}{'; ' + status.fault if status.fault else ''}")
            print(f"{name}: when its space is clear: armside bridge rearm {name}")
            return True
    except BridgeError as error:
        print(f"armside: {name}: {error}", file=sys.stderr)
        if isinstance(error, BridgeGone):
            print(f"armside: {name}: {unanswered(running)}", file=sys.stderr)
        return False


def unanswered(running: Running | None) -> str:
    """What it means for the arm that its bridge does not answer."""
    from firmware_bridge.robots import ROBOTS

    robot = ROBOTS.get(running.robot) if running else None
    if robot is None:
        means = "the bridge could not be reached: the stop is NOT confirmed"
    elif robot.holds_alone:
        means = "its servos hold their last goal by themselves, with torque on; the stop is NOT confirmed"
    else:
        means = "its motors damp by themselves within half a second and the arm sinks; the stop is NOT confirmed"
    return f"{means}. What to do: hold the arm by hand, then switch its power off"


def nothing_here() -> str:
    """The text where no bridge runs."""
    return (
        "armside: no bridge runs on this machine for this user: nothing was stopped. An arm that moves is driven by "
        "another program or user\n  what to do: hold it if it may fall, and switch its power off"
    )
