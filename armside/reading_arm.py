"""An arm that is only read: through its bridge where one runs, else through a driver that sends no goal.

For verbs that look at a standing or a limp arm. Gives positions in SI, the arm's own limits, and makes it limp where
a person agrees. Nothing here moves an arm.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from policy_spec.errors import ObservationError, UsageError, sentence

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from armside.arm_args import ArmChoice
    from calib.person import Person
    from firmware_bridge.client import BridgeClient
    from firmware_bridge.driver import Driver
    from firmware_bridge.robot import Robot

    Array = npt.NDArray[np.float64]
    Read = tuple[Array, npt.NDArray[np.bool_]]

FRESH_S = 2.0  # for the first reading of every joint


class Source(Protocol):
    """Where the readings come from."""

    def read(self) -> Read:
        """Positions [D] in SI, and which of them are fresh."""

    def make_limp(self, person: Person) -> None:
        """No joint holds afterwards. Raises Cancelled, UsageError."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadingArm:
    """One arm; `limits` are its own in SI, lower and upper [D]."""

    robot: Robot
    limits: tuple[Array, Array]
    source: Source

    def read(self) -> Read:
        return self.source.read()

    def pose(self) -> Array:
        """Every joint, fresh. Raises ObservationError."""
        deadline = time.monotonic() + FRESH_S
        while True:
            position, fresh = self.read()
            if fresh.all():
                return position
            if time.monotonic() > deadline:
                silent = ", ".join(j for j, ok in zip(self.robot.joints, fresh, strict=True) if not ok)
                raise ObservationError(sentence(f"no answer from {silent}", do="check cables and power"))


def choose_to_read(args: argparse.Namespace) -> ArmChoice:
    """--robot, --id, --port as an ArmChoice; the bridge that runs is used. Raises UsageError."""
    from armside.arm_args import SIM, ArmChoice, find
    from armside.calib_target import choose_target
    from armside.profile import require_port
    from firmware_bridge.client import connect_bridge

    target = choose_target(args, needs_id=False, needs_port=False)
    profile = target.profile
    running = find(profile, args.port)
    if running is not None:
        with connect_bridge(running.id) as client:
            return ArmChoice(profile, False, running, client.info)
    require_port(profile)
    if profile.port != SIM and not profile.calibration:
        if not target.calibration.is_file():
            what = f"the arm on {profile.port} has no calibration yet"
            do = "armside calibrate it first; --id says which arm it is"
            raise UsageError(sentence(what, expected=f"calibration in its profile, or {target.calibration}", do=do))
        profile = profile.having(calibration=str(target.calibration))
    return ArmChoice(profile, False, private=True)


@contextlib.contextmanager
def open_to_read(choice: ArmChoice) -> Iterator[ReadingArm]:
    """Connected and checked against its calibration. Raises BridgeError."""
    import numpy as np

    from armside.arm_args import SIM
    from armside.profile import to_bridge_config
    from firmware_bridge.client import connect_bridge
    from firmware_bridge.drivers import open_arm, virtual_port
    from firmware_bridge.robots import find
    from firmware_bridge.safety.limits import tightest

    robot = find(choice.profile.type)
    if choice.running is not None:
        with connect_bridge(choice.running.id, keys=choice.running.keys) as client:
            limits = np.array(client.info.lower), np.array(client.info.upper)
            yield ReadingArm(robot, limits, Bridged(client, choice.running.id))
        return
    config = to_bridge_config(choice.profile, live=False, named=False)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(virtual_port(robot, config)) if config.port == SIM else config.port
        driver = open_arm(robot, config, port)
        stack.callback(driver.close)
        limits = tightest(robot.joints, (driver.facts.lower, driver.facts.upper), [robot.limits, config.limits])
        yield ReadingArm(robot, limits, Driven(driver))


@dataclass(frozen=True, slots=True)
class Driven:
    """Through a driver of our own."""

    driver: Driver

    def read(self) -> Read:
        state = self.driver.read()
        return state.position, state.fresh

    def make_limp(self, person: Person) -> None:
        """Feetech servos are let go softly when the person agrees; Damiao motors are nobody's to let go but theirs."""
        from firmware_bridge.sts.arm import StsArm

        if isinstance(self.driver, StsArm):
            from calib.sts.servos import limp

            held = limp(self.driver.bus, dict(zip(self.driver.names, self.driver.ids, strict=True)), person)
            if held:
                person.tell(f"limp now: {', '.join(held)}")
        elif self.driver.facts.torque == "on":
            what, do = "the arm's motors are enabled", "end whatever drives it, or leave out the directions"
            raise UsageError(sentence(what, expected="a limp arm that a hand can move", do=f"{do} (--no-directions)"))


@dataclass(frozen=True, slots=True)
class Bridged:
    """Through the bridge that runs."""

    client: BridgeClient
    id: str

    def read(self) -> Read:
        import numpy as np

        status = self.client.status(timeout_s=1.0)
        return status.measured, np.array(status.fresh)

    def make_limp(self, person: Person) -> None:
        torque = self.client.status(timeout_s=1.0).torque
        # A bridge that only reads does not know it; if a joint holds nevertheless, the hand feels it.
        if torque == "on" or (torque == "unknown" and self.client.info.live):
            what = f"the bridge of {self.id} holds the arm: no hand can move it"
            do = f"armside bridge end {self.id}, or leave out the directions (--no-directions)"
            raise UsageError(sentence(what, expected="torque off", got=f"torque {torque}", do=do))
