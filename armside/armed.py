"""An arm that may be moved by hand-typed verbs (jog, home, park, replay): opened, taken, and left as it should be.

An own bridge holds at the end where the servos hold by themselves, else parks; another's goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from armside.arm_args import ArmChoice
    from armside.moving import Moved
    from armside.signals import Stop
    from edge.attach import Handle
    from firmware_bridge.client import BridgeClient, Info

SLOW = 0.3  # rad/s


@dataclass(slots=True)
class Armed:
    """A bridge whose arm is under torque and takes chunks."""

    handle: Handle
    stop: Stop
    policy: str = ""  # how it is left, where another way than chosen

    @property
    def client(self) -> BridgeClient:
        return self.handle.client

    @property
    def info(self) -> Info:
        return self.handle.client.info


def add_move_arguments(parser: argparse.ArgumentParser, exit_default: str | None = None) -> None:
    """--robot and the rest, --speed; --exit where `exit_default` says what happens without it."""
    from armside.arm_args import add_arm_arguments, add_exit_arguments

    add_arm_arguments(parser)
    parser.add_argument(
        "--speed", type=float, default=SLOW, metavar="RAD_PER_S", help=f"at most, gripper 1/s (default: {SLOW})"
    )
    if exit_default:
        add_exit_arguments(parser, exit_default)


def choose_to_move(args: argparse.Namespace, verb: str, **given: Any) -> ArmChoice:
    """The bridge that is meant, which may move. UsageError."""
    from armside.arm_args import choose, require_live

    if not 0 < args.speed < 10:
        raise UsageError(sentence("--speed", expected="rad/s above 0, below 10", got=args.speed))
    choice = choose(args, **given)
    require_live(choice, verb)
    return choice


def holding(choice: ArmChoice) -> str:
    """How a verb leaves the arm that nobody said it of: held where the servos can."""
    from firmware_bridge.robots import find

    return "hold" if find(choice.profile.type).holds_alone else "park"


@contextlib.contextmanager
def armed(choice: ArmChoice, exit_policy: str) -> Iterator[Armed]:
    """The bridge, armed; closed afterwards by `exit_policy`, whatever happened. Raises BridgeError."""
    from armside.signals import stoppable
    from edge.attach import open_bridge

    bridge = choice.bridge(exit_policy)
    if choice.running is None:
        print(f"starting a bridge of {choice.profile.type} on {choice.profile.port}", file=sys.stderr)
    else:
        print(f"using the bridge of {choice.running.id} that runs", file=sys.stderr)
    with stoppable() as stop:
        arm = Armed(open_bridge(bridge), stop)
        try:
            if stop.asked:
                raise KeyboardInterrupt
            print(f"armed: {arm.handle.take()}", file=sys.stderr)
            yield arm
        finally:
            leave(arm)


def leave(arm: Armed) -> None:
    """Closes the bridge by its policy and says where the arm is. Ctrl-C while it parks holds it there."""
    from firmware_bridge.client import BridgeGone, CommandRefused

    policy, note = arm.policy or arm.handle.exit_policy, ""
    try:
        if policy == "park" and arm.info.live:
            with contextlib.suppress(CommandRefused):  # latched: it stays as it is
                if not park(arm):
                    policy = "hold"
                elif arm.client.status(timeout_s=1.0).torque == "off":
                    note = "parked"
        said = arm.handle.close(policy)
        print(f"the arm: {said if note in said else f'{note}; {said}'}", flush=True)
    except BridgeGone as error:
        print(f"armside: {error}", file=sys.stderr)


def park(arm: Armed) -> bool:
    """Follows the bridge's own parking to its end; False when Ctrl-C broke it off."""
    from armside.moving import wait_for_rest
    from edge.attach import ON_THE_WAY_DOWN

    asked, arm.stop.asked = arm.stop.asked, 0
    reply = arm.client.park()
    wait_for_rest(
        arm.client,
        lambda status: status.seq > reply.seq and status.mode not in ON_THE_WAY_DOWN and status.torque != "unknown",
        arm.stop,
        arm.handle.leaving_s,
    )
    cut, arm.stop.asked = arm.stop.asked, asked + arm.stop.asked
    return not cut


def go(arm: Armed, goal: Any, speed: float, show: Any = lambda status: None) -> Moved:
    """Moves in a straight line in joint space to `goal` [D], rad and gripper 0..1. Raises BridgeError."""
    from armside.moving import follow
    from firmware_bridge.moves import inside, speeds, straight, track

    status = arm.client.status(timeout_s=1.0)
    path = inside(straight(status.commanded, goal, speeds(arm.info, speed)), arm.info)
    return follow(arm.client, track(path, arm.info, status, speed=speed), arm.stop, show)


def tell(arm: Armed, moved: Moved) -> int:
    """Prints how a move went; the exit code."""
    from armside.moving import report

    print("\n".join(report(arm.info, moved)))
    if moved.ok:
        return 0
    print(f"armside: the move was broken off: {moved.why}", file=sys.stderr)
    return 130 if arm.stop.asked else 1
