"""--robot, --port, --live and the rest that every verb with an arm takes, and which bridge they mean.

Takes the parsed words, gives an ArmChoice: a bridge that runs already, or the configuration of one to start. The
rules: a command line beats the profile; a real arm moves only with --live; what cannot be changed in a bridge that
runs is refused and never dropped silently.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from armside.profile import Profile
    from edge.attach import Attach
    from firmware_bridge.client import BridgeConfig, Info, Running

SIM = "sim"
SIM_FRAMES = {"sts": "so101-molmoact2", "damiao": "radians"}  # of virtual arms, whose frame is known
# Options that only the start of a bridge can take, by their name in Profile.
AT_START = ("calibration", "rate_hz", "speed", "park_speed", "max_observation_age_s", "floor_m", "endpoint")


@dataclass(frozen=True, slots=True)
class ArmChoice:
    """Which robot, and which bridge of it."""

    profile: Profile  # what the command line gave is in it
    live: bool
    running: Running | None = None  # the bridge that runs and is to be used
    info: Info | None = None  # of that bridge
    private: bool = False  # a simulation of this verb's own, that nobody else finds

    @property
    def simulated(self) -> bool:
        """Virtual servos: nothing real can move."""
        port = self.running.port if self.running else self.profile.port
        return port == SIM or (self.info is not None and self.info.calibration == "shipped")

    def bridge(self, exit_policy: str = "") -> BridgeConfig | Attach:
        """What edge.attach.open_bridge takes; `exit_policy` is for who has not chosen one."""
        from armside.profile import to_bridge_config
        from edge.attach import Attach

        policy = self.profile.exit or exit_policy
        if self.running is not None:
            found = self.running
            return Attach(found.id, self.profile.type, found.port, found.keys, policy)
        return to_bridge_config(self.profile.having(exit=policy or None), self.live, named=not self.private)


def add_arm_arguments(group: Any, *, robot: str | None = "so101") -> None:
    """The words about the arm, to a parser or a group of one. `robot` None: it must be given."""
    default = f" (default: {robot})" if robot else ""
    group.add_argument(
        "--robot",
        default=robot,
        required=robot is None,
        metavar="ROBOT",
        help=f"the id of a profile, a .toml file, or a type: so101, so100, yam, bi-yam{default}",
    )
    group.add_argument("--port", help="sim: virtual servos; or the arm's port such as /dev/ttyACM0 or can0")
    group.add_argument("--live", action="store_true", help="send goals to a real port; without it none is sent")
    group.add_argument("--calibration", metavar="FILE", help="calibration file of this very arm; sim has its own")


def add_exit_arguments(group: Any, default: str) -> None:
    """--exit and --limp."""
    both = group.add_mutually_exclusive_group()
    both.add_argument(
        "--exit",
        choices=("park", "hold", "limp"),
        help="how the arm is left: parked slowly and then torque off, held with torque on, or limp where it is "
        f"(default: the profile's, else {default})",
    )
    both.add_argument(
        "--limp",
        dest="exit",
        action="store_const",
        const="limp",
        help="torque off where it is, for those who hold it in their hands: a raised arm falls",
    )


def choose(args: argparse.Namespace, **given: Any) -> ArmChoice:
    """The robot and its bridge. `given`: further fields of Profile from the command line, None where absent.

    Raises UsageError; BridgeGone when a bridge that is registered does not answer.
    """
    from armside.profile import resolve
    from firmware_bridge.client import connect_bridge

    profile = resolve(args.robot)
    given = {"calibration": args.calibration, **given}
    running = find(profile, args.port)
    if running is None:
        private = (args.port or profile.port) == SIM and (args.port == SIM or not profile.id)
        return ArmChoice(profile.having(port=args.port, **given), args.live, private=private)
    refused = [f"--{name.replace('_', '-')}" for name in AT_START if given.get(name) is not None]
    if refused:
        do = f"leave it out, or end that bridge first: armside bridge end {running.id}"
        raise UsageError(
            sentence(f"the bridge of {running.id} runs already with its own settings", got=", ".join(refused), do=do)
        )
    with connect_bridge(running.id) as client:
        info = client.info
    choice = ArmChoice(profile.having(**given), args.live, running, info)
    check_live(choice)
    return choice


def find(profile: Profile, port: str | None) -> Running | None:
    """The bridge that runs for this robot, unless another port than its own was asked for."""
    from firmware_bridge.client import find_running

    running = find_running(profile.name)
    return None if running is None or (port is not None and port != running.port) else running


def check_live(choice: ArmChoice) -> None:
    """A bridge that runs was started live or not; the word --live must agree for a real arm. UsageError."""
    info = choice.info
    if info is None or choice.simulated or info.live == choice.live:
        return
    name = choice.profile.name
    if info.live:
        what, do = f"the bridge of {name} moves a real arm", "give --live when the arm's space is clear"
    else:
        what = f"the bridge of {name} only reads: it was started without --live"
        do = f"armside bridge end {name}, then again with --live"
    raise UsageError(sentence(what, got="--live" if choice.live else "no --live", do=do))


def require_live(choice: ArmChoice, verb: str) -> None:
    """For verbs that are nothing without moving. UsageError."""
    from armside.profile import require_port

    if choice.running is None:
        require_port(choice.profile)
    if not (choice.live or choice.simulated):
        raise UsageError(
            sentence(
                f"{verb} moves the arm on {choice.profile.port or 'its port'}",
                expected="--live",
                got="no --live",
                do="give --live when the arm's space is clear; --port sim tries it without an arm",
            )
        )


def frame_of(choice: ArmChoice, given: str | None) -> str:
    """The joint frame: given, the profile's, or that of a virtual arm. UsageError for a real arm without one."""
    from firmware_bridge.robots import find as find_robot

    name = given or choice.profile.joint_frame
    if name:
        return name
    if choice.simulated:
        return SIM_FRAMES[find_robot(choice.profile.type).family]
    raise UsageError(
        sentence(
            "a real arm needs the policy's joint frame by name",
            expected="--joint-frame, or joint_frame in its profile: so101-molmoact2 (the released SO-100/101 "
            "policies), radians (YAM), lerobot-degrees or lerobot-m100",
            do="look at what the policy was trained with: frames look alike and differ by 90 degrees",
        )
    )
