"""`armside calibrate` of an SO arm: ranges and zeros, found by hand or by its motors. Joins target, person, flow.

Exit code 0 when servos and files hold the new calibration; anything else means that nothing was changed, or says what.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING, Any

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from armside.calib_target import Target
    from armside.calibrate_sim import Simulation
    from calib.sts.flow import Job, Outcome

FORMAT = "armside-calibration"
NEXT = (
    "next: armside calibrate --robot {id} --check compares file, servos and mechanics at any time;",
    "      armside calibrate --robot {id} --against BUNDLE tells whether the arm speaks a policy's language",
)


def run(args: argparse.Namespace) -> int:
    """Calibrates; with --from takes a file over."""
    if args.source is not None:
        from armside import calibrate_from

        return calibrate_from.run(args)
    from armside.calib_profile import remember
    from armside.calib_target import SIM, choose_target, refuse_real, refuse_running
    from armside.calibrate_sim import simulation
    from armside.json_out import give, words_aside
    from armside.person_args import person_of
    from calib.sts.flow import calibrate
    from calib.sts.servos import open_bus

    if args.drive and args.mode != "mechanical":
        do = f"leave out --drive, or --mode {args.mode}"
        raise UsageError(sentence("--drive finds the stops", expected="--mode mechanical", got=args.mode, do=do))
    target = choose_target(args, needs_id=args.port != SIM)
    refuse_running(target)
    refuse_real(target)
    with contextlib.ExitStack() as stack:
        stack.enter_context(words_aside(args.json))
        person = stack.enter_context(person_of(args))
        trial = stack.enter_context(simulation(target, person)) if target.port == SIM else None
        if trial is not None:
            target, person = trial.target, trial.person
        job = _job(args, target, trial)
        bus = open_bus(trial.port if trial is not None else target.port)
        try:
            outcome = calibrate(person, bus, job)
        finally:
            bus.close()
        said = outcome.said if trial is None else trial.said(outcome.said)
        if trial is None or not trial.folder:
            profile = remember(target, calibration=str(target.calibration))
            said = (*said, profile, *(line.format(id=target.id) for line in NEXT))
        for line in said:
            person.tell(line)
    give(args.json, _data(target, job, outcome))
    return 0


def _job(args: argparse.Namespace, target: Target, trial: Simulation | None) -> Job:
    from armside import __version__
    from armside.calib_profile import where_of
    from calib.sts.flow import Job
    from firmware_bridge.kinematics.bodies import BODIES

    return Job(
        robot=target.robot,
        body=BODIES[target.robot.bodies[0]],
        where=where_of(target, args.lerobot) if trial is None else trial.where,
        mode=args.mode,
        driven=args.drive,
        mechanics=target.profile.mechanics is not False,
        port=target.port,
        armside=__version__,
    )


def _data(target: Target, job: Job, outcome: Outcome) -> dict[str, Any]:
    import dataclasses

    rows = {joint: dataclasses.asdict(row) for joint, row in outcome.calibration.joints}
    files = [job.where.calibration, job.where.provenance, *job.where.lerobot]
    return {
        "format": FORMAT,
        "version": 1,
        "robot": target.robot.name,
        "id": target.id,
        "mode": job.mode,
        "driven": job.driven,
        "simulated": target.port == "sim",
        "joints": rows,
        "horns_deg": dict(outcome.provenance.horns),
        "files": [str(path) for path in files if path.exists()],  # those of a simulation without an id are gone
    }
