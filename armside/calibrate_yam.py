"""`armside calibrate` of a YAM: joins a Target, a Person, calib/damiao and the files. See docs/calibration.md."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from armside.calib_target import choose_target, refuse_real, refuse_running
from policy_spec.errors import Cancelled, UsageError, sentence

if TYPE_CHECKING:
    from armside.calib_target import Target
    from calib.damiao.run import Job, Outcome
    from calib.person import Person
    from calib.provenance import Provenance
    from firmware_bridge.damiao.calibration import Calibration

WRITE = "Write these numbers?"


def run(args: argparse.Namespace) -> int:
    """Calibrates, shows old beside new, asks, writes."""
    from armside.json_out import give
    from armside.person_args import person_of
    from calib.damiao.flow import calibrate
    from calib.damiao.save import compare, save
    from calib.person import YES, Question

    _refuse_options(args)
    target = choose_target(args)
    refuse_running(target)
    refuse_real(target)
    with person_of(args) as person:
        old = _old(target, person)
        with _job(args, target, old) as job:
            outcome = calibrate(job, person)
        person.tell(compare(old, outcome.calibration))
        if person.ask(Question("write", f"{WRITE} {target.calibration}")) != YES:
            raise Cancelled("nothing was written; the arm is as it was")
        provenance = _provenance(target, outcome)
        person.tell(save(outcome.calibration, provenance, target.calibration))
        person.tell(_remember(target, outcome))
        give(args.json, _result(target, outcome))
    return 0


def _refuse_options(args: argparse.Namespace) -> None:
    for name, given in (("--drive", args.drive), ("--from", args.source)):
        if given:
            expected = "a YAM's own way: armside calibrate --robot yam --id blue --port can0"
            raise UsageError(sentence(f"{name} is for SO arms", expected=expected, got=name))


def _old(target: Target, person: Person) -> Calibration | None:
    from firmware_bridge.damiao.calibration import load
    from firmware_bridge.errors import CalibrationError

    if not target.calibration.exists():
        return None
    try:
        return load(target.calibration, target.robot)
    except CalibrationError as error:
        person.tell(f"the file that is there cannot be used: {error}")
        return None


@contextlib.contextmanager
def _job(args: argparse.Namespace, target: Target, old: Calibration | None) -> Iterator[Job]:
    """What is to be done, at the arm's port or at a virtual arm's."""
    from calib.damiao.run import Job
    from firmware_bridge.config import BridgeConfig
    from firmware_bridge.drivers import virtual_port

    gripper = args.gripper or target.profile.gripper or (old.gripper.name if old is not None else "")
    with contextlib.ExitStack() as stack:
        port = target.port
        if port == "sim":
            config = BridgeConfig(robot=target.robot.name, port="sim", gripper=gripper)
            port = stack.enter_context(virtual_port(target.robot, config))
        yield Job(target.robot, port, gripper, old)


def _provenance(target: Target, outcome: Outcome) -> Provenance:
    from datetime import datetime

    from armside import __version__
    from calib.provenance import Provenance

    return Provenance(
        mode="home pose",
        robot=target.robot.name,
        port=target.port,
        armside=__version__,
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        directions=outcome.directions,
        firmware=outcome.firmware,
        details=outcome.details,
    )


def _remember(target: Target, outcome: Outcome) -> str:
    from armside.calib_profile import remember

    return remember(target, calibration=str(target.calibration), gripper=outcome.calibration.gripper.name)


def _result(target: Target, outcome: Outcome) -> dict[str, object]:
    return {
        "format": "armside-calibrate-yam",
        "version": 1,
        "id": target.id,
        "file": str(target.calibration),
        "calibration": outcome.calibration.to_dict(),
        "directions": dict(outcome.directions),
        "firmware": dict(outcome.firmware),
        "details": dict(outcome.details),
    }
