"""A virtual arm on the bench, a person with hands and an open bus, ready to be calibrated; and what right means."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from calib.person import YES
from calib.sts.flow import Job, Outcome, calibrate
from calib.sts.save import Where
from calib.sts.servos import open_bus
from calib.sts.zero import POSE
from firmware_bridge import robots
from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.travel import TRAVEL
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.calib.hands import QUICK, Hands, Moves

ROBOT = robots.find("so101")
LIMITED = [name for name, travel in TRAVEL.items() if not travel.free]
ANSWERS = {"release": YES, "roll": YES, "pose": YES, "drive": YES, "write": YES}


@dataclasses.dataclass
class Table:
    """One arm, one person, one bus."""

    bench: Bench
    person: Hands
    bus: Bus
    job: Job

    def run(self) -> Outcome:
        return calibrate(self.person, self.bus, self.job)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.job.where.calibration.parent.iterdir())


@contextlib.contextmanager
def table(folder: Path, plant: Plant | None = None, mode: str = "mechanical", **hands: object) -> Iterator[Table]:
    with Bench(ROBOT, plant or Plant(pose={"gripper": 0.0})) as bench:
        answers = {**ANSWERS, **hands.pop("answers", {})}  # type: ignore[dict-item]
        upright = {"roll": lambda bench: [{"wrist_roll": 0.0}], **hands.pop("moves_on_ask", {})}  # type: ignore[dict-item]
        person = Hands(answers=answers, bench=bench, moves_on_ask=upright, **hands)  # type: ignore[arg-type]
        bus = open_bus(bench.path)
        where = Where(folder / "blue.json", (), folder / "journal.json")
        try:
            yield Table(bench, person, bus, Job(ROBOT, BODIES["so101"], where, mode, pace=QUICK))
        finally:
            bus.close()


def seen_deg(bench: Bench, joint: str, ticks: float) -> float:
    """Degrees of the link at which its servo says `ticks`."""
    offset = bench.stored(joint)["Homing_Offset"]
    row = bench.world.joints[bench.world.index(joint)]
    return (row.degrees(ticks + offset) + 180.0) % 360.0 - 180.0


def right(table: Table, outcome: Outcome, tolerance: float = 1.0) -> None:
    """Zero and range of every joint are those of its link, and the servos hold what the file says."""
    for joint, row in outcome.calibration.joints:
        stored = table.bench.stored(joint)
        assert (stored["Homing_Offset"], stored["Min_Position_Limit"]) == (row.homing_offset, row.range_min), joint
        assert stored["Max_Position_Limit"] == row.range_max and stored["Phase"] & 16 == 0
        where = row.range_min if joint == "gripper" else row.middle
        assert seen_deg(table.bench, joint, where) == pytest.approx(0.0, abs=tolerance), joint
    data = json.loads(table.job.where.calibration.read_text())
    assert data["elbow_flex"]["homing_offset"] == outcome.calibration["elbow_flex"].homing_offset


def to_pose(bench: Bench) -> Moves:
    return [{name: POSE[name] for name in ROBOT.joints}]
