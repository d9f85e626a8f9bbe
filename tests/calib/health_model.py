"""An arm of three joints in numpy, with planted faults: what a check of it must find is known exactly.

Implements calib.health's Mover without a bridge, so that properties are tried on hundreds of arms in a second; the
real bridge and real servos' protocol are in tests/cli/test_check_arm.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calib.health.exercise import STOPPED, Examiner, Followed, Notes, Until
from calib.health.plan import Exercise, excursions
from calib.health.result import Counted, JointHealth, joint_health
from calib.health.series import Series, collect
from firmware_bridge.messages import FRAME, UNITS, Info, Status
from firmware_bridge.moves import DT_S

JOINTS = ("base", "elbow", "gripper")
RATE_HZ = 100.0
INFO = Info(
    arm="so101", id="model", joints=JOINTS, grippers=("gripper",), lower=(-1.9, -1.9, 0.0), upper=(1.9, 1.9, 1.0),
    speed=(3.0,) * 3, park_pose=(0.0, -1.5, 0.0), home_pose=(0.0, 0.0, 0.5), rate_hz=RATE_HZ, live=True, port="model",
    calibration="model", fingerprint="0", units=UNITS, frame=FRAME, exit_policy="hold", status_endpoint="", pid=0,
)  # fmt: skip
TICK = np.array([2 * np.pi / 4095, 2 * np.pi / 4095, 1 / 1200])  # resolution of the sensors
SIZE = np.array([np.pi / 180, np.pi / 180, 0.01])  # what a test's degree is


@dataclass
class Arm:
    """[3] each, in degrees (gripper %): what is wrong with the joints."""

    play: Any = (0.0, 0.0, 0.0)
    stick: Any = (0.0, 0.0, 0.0)
    droop: Any = (0.0, 0.0, 0.0)
    lag_s: Any = (0.03, 0.03, 0.03)
    stuck: Any = (False, False, False)
    per_minute: Any = (0.0, 0.0, 0.0)
    sag_v: Any = (0.0, 0.0, 0.0)  # while that joint moves
    friction: Any = (0.0, 0.0, 0.0)  # part of the full load that stays at rest, against where it came from
    silent_every: Any = (0, 0, 0)  # ticks
    breaks_at: int = 0  # tick of a fault
    pose: Any = (0.0, 0.5, 0.5)


@dataclass
class ModelMover:
    """Follows paths with that arm; keeps its statuses."""

    arm: Arm
    info: Info = INFO
    statuses: list[Status] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._goal = np.array(self.arm.pose, float)
        self._motor = self._goal.copy()
        self._link = self._goal.copy()
        self._going = np.zeros(3, bool)
        self._way = np.zeros(3)
        self._tick = 100

    def commanded(self) -> Any:
        return self._goal.copy()

    def follow(self, path: Any, until: Until | None = None) -> Followed:
        start = self._tick + 10
        for _ in range(10):
            self._step(self._goal)
        for number in range(round(len(path) * DT_S * RATE_HZ) + 40):
            place = min(number / (DT_S * RATE_HZ), len(path) - 1.0)
            before = int(place)
            after = min(before + 1, len(path) - 1)
            status = self._step(path[before] + (path[after] - path[before]) * (place - before))
            if self.arm.breaks_at and self._tick >= self.arm.breaks_at:
                return Followed(start, self._tick - 1, "a fault")
            if until is not None and until(status):
                return Followed(start, self._tick - 1, STOPPED)
        return Followed(start, self._tick - 1)

    def _step(self, goal: Any) -> Status:
        arm, dt = self.arm, 1 / RATE_HZ
        self._goal = np.array(goal, float)
        error = self._goal - self._motor
        starts = np.abs(error) >= np.array(arm.stick) * SIZE
        self._going = np.where(np.abs(error) < 0.02 * SIZE, False, self._going | starts) & ~np.array(arm.stuck)
        moved = np.where(self._going, error * (1 - np.exp(-dt / np.array(arm.lag_s))), 0.0)
        self._motor = self._motor + moved
        self._way = np.where(moved == 0.0, self._way, np.sign(moved))
        half = np.array(arm.play) * SIZE / 2
        self._link = np.clip(self._link, self._motor - half, self._motor + half)
        seen = np.rint((self._link - np.array(arm.droop) * SIZE) / TICK) * TICK
        status = self._status(seen, np.abs(moved) > 1e-6)
        self.statuses.append(status)
        self._tick += 1
        return status

    def _status(self, seen: Any, moving: Any) -> Status:
        arm, minutes = self.arm, (self._tick - 100) / RATE_HZ / 60
        fresh = tuple(not every or self._tick % every != 0 for every in arm.silent_every)
        return Status(
            seq=self._tick, tick=self._tick, t=self._tick / RATE_HZ, arm="so101", mode="running", live=True,
            torque="on", measured=seen, commanded=self._goal.copy(), velocity=np.zeros(3),
            load=np.array(arm.friction) * self._way, current=np.zeros(3),
            temperature=np.floor(30.0 + np.array(arm.per_minute) * minutes),
            voltage=np.full(3, np.round(7.4 - float((np.array(arm.sag_v) * moving).sum()), 1)),
            servo_errors=(0,) * 3, alarms=("",) * 3, fresh=fresh, late_ticks=0, lateness_s=0.0, worst_lateness_s=0.0,
            clamped=(), clamped_total=0, clamp_counts=(), chunk_seq=1, fault="", note="",
        )  # fmt: skip


@dataclass
class Found:
    """What a check of an Arm gave."""

    joints: dict[str, JointHealth]
    notes: Notes
    series: Series


def checked(arm: Arm, exercise: Exercise, told: Callable[[str], None] = lambda what: None) -> Found:
    """Runs the whole exercise on it."""
    mover = ModelMover(arm)
    ways, left_out = excursions(INFO, mover.commanded(), exercise)
    notes = Examiner(mover, exercise, told).run(ways)
    series = collect(INFO, mover.statuses)
    counted = Counted((0, 0, 0), ("3.6",) * 3, left_out, {})
    joints = {name: joint_health(series, index, notes.marks, counted) for index, name in enumerate(JOINTS)}
    return Found(joints, notes, series)
