"""`armside calibrate --from FILE`: a LeRobot calibration of this arm becomes ours; `--from lerobot` finds it by the id.

Joins a Target, a Person, calib/sts/take_over.py and the files. Moves nothing.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from armside.calib_target import Target
    from calib.sts.take_over import Take

LEROBOT = "lerobot"
FORMAT = "armside-calibration-taken-over"


def run(args: argparse.Namespace) -> int:
    """Shows what differs, asks, writes."""
    from armside.calib_profile import remember, where_of
    from armside.calib_target import choose_target, refuse_running
    from armside.json_out import give
    from armside.person_args import person_of
    from calib.sts.servos import open_bus
    from calib.sts.take_over import take_over

    target = choose_target(args)
    refuse_running(target)
    take = _take(args, target)
    where = where_of(target, args.lerobot)
    with person_of(args) as person:
        bus = open_bus(target.port)
        try:
            said = take_over(person, bus, target.robot, take, where)
        finally:
            bus.close()
        for line in (*said, remember(target, calibration=str(target.calibration))):
            person.tell(line)
    data = {"id": target.id, "source": take.calibration.source, "file": str(where.calibration), "written": list(said)}
    give(args.json, {"format": FORMAT, "version": 1, "robot": target.robot.name, **data})
    return 0


def _take(args: argparse.Namespace, target: Target) -> Take:
    from datetime import datetime

    from armside import __version__
    from calib import lerobot_files
    from calib.provenance import Provenance
    from calib.sts.take_over import Take
    from firmware_bridge.sts import calibration

    joints = target.robot.joints
    if str(args.source) == LEROBOT and not args.source.exists():
        found = lerobot_files.choose(target.id, target.robot.name, joints)
        assert found.calibration is not None
        numbers, note = found.calibration, f"from {found.path}" + (f"; {found.note}" if found.note else "")
    else:
        numbers, note = calibration.load(args.source.expanduser(), joints), ""
    provenance = Provenance(
        mode="taken over",
        robot=target.robot.name,
        port=target.port,
        armside=__version__,
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        source=numbers.source,
    )
    return Take(numbers, provenance, note, mechanics=target.profile.mechanics is not False)
