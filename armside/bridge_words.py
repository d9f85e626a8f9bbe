"""`armside bridge rearm` and `end`: a word to a bridge that runs, and what became of it."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_bridge.client import BridgeClient, Running, Status

SETTLE_S = 1.0
END_S = 120.0  # a slow park from far away


def add_arguments(parser: argparse.ArgumentParser, word: str) -> None:
    """The word's arguments."""
    parser.add_argument("id", metavar="ID", nargs="?", help="which robot (default: the only one that runs)")
    if word == "end":
        parser.add_argument(
            "--exit", choices=("park", "hold", "limp"), default="", help="how the arm is left (default: its policy)"
        )
        parser.epilog = "limp lets a raised arm fall: hold it."
    else:
        parser.epilog = "Torque goes on and the arm stays where it is. Clear its space first."


def run(args: argparse.Namespace) -> int:
    """Says the word."""
    from firmware_bridge.client import connect_bridge

    running = the_one(args.id)
    with connect_bridge(running.id) as client:
        if args.word == "end":
            return end(client, running, args.exit)
        reply = client.rearm()
        print(f"{running.id}: {reply.text}")
        status = settled(client, reply.seq)
        print(f"{running.id}: mode {status.mode}, torque {status.torque}")
        if client.info.exit_policy != "hold" and status.torque == "on":
            print("nobody drives it now: it parks by itself unless a client comes soon")
    return 0


def settled(client: BridgeClient, seq: int, torque: tuple[str, ...] = ("on", "off")) -> Status:
    """The first status after `seq` in which the torque is one of those; the newest where none comes soon."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        status = client.status(timeout_s=1.0)
        if (status.seq > seq + 1 and status.torque in torque) or time.monotonic() > deadline:
            return status


def the_one(name: str | None) -> Running:
    """The bridge that is meant. UsageError where that is not certain, BridgeGone where it does not run."""
    from firmware_bridge.client import BridgeGone, all_running, find_running
    from policy_spec.errors import UsageError, sentence

    running = all_running()
    ids = ", ".join(found.id for found in running) or "none"
    if name is not None:
        found = find_running(name)
        if found is None:
            do = f"armside bridge --robot {name} starts one"
            raise BridgeGone(sentence(f"no bridge for {name!r} runs", got=f"running: {ids}", do=do))
        return found
    if len(running) != 1:
        raise UsageError(sentence("which robot?", expected="one ID", got=f"running: {ids}"))
    return running[0]


def end(client: BridgeClient, running: Running, policy: str) -> int:
    """Ends it, and follows it to its last word. 1 where the arm was to be left without torque and is not."""
    from firmware_bridge.client import BridgeGone, find_running

    print(f"{running.id}: {client.shutdown(policy).text}")
    deadline = time.monotonic() + END_S
    last = client.status(timeout_s=1.0)
    while time.monotonic() < deadline:
        try:
            last = client.status(timeout_s=0.5)
        except BridgeGone:
            if find_running(running.id) is None:
                note = "" if last.torque == "off" else last.fault or last.note
                print(f"{running.id}: ended; torque {last.torque}{'; ' + note if note else ''}")
                holds = (policy or client.info.exit_policy) == "hold"
                return int(client.info.live and last.torque == "on" and not holds)
    print(f"{running.id}: has not ended after {END_S:g} s; mode {last.mode}, torque {last.torque}; {last.note}")
    return 1
