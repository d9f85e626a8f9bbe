"""A dataset of six joints, as an SO-101's: for tests of joint frames and statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from episodes.lerobot.dataset import Dataset, open_dataset
from episodes.lerobot.plan import DatasetPlan
from episodes.lerobot.writer import Frame, LeRobotWriter

NAMES = tuple(
    f"{j}.pos" for j in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
)


def six_joints(root: Path, frames: int = 40, seed: int = 0, joint_frame: str = "lerobot-degrees") -> Dataset:
    """Two episodes of `frames` each, without pictures."""
    plan = DatasetPlan(30, "so101_follower", NAMES, NAMES, {}, joint_frame=joint_frame)
    rng = np.random.default_rng(seed)
    with LeRobotWriter.open(root, plan) as writer:
        for _ in range(2):
            writer.start()
            for _ in range(frames):
                state = np.append(rng.uniform(-90, 90, 5), rng.uniform(0, 100))
                writer.add(Frame(state, state + rng.normal(0, 1, 6), {}, "reach the cube"))
            writer.save()
    return open_dataset(root)


def test_no_camera_is_no_hindrance(tmp_path: Path) -> None:
    with six_joints(tmp_path / "set") as dataset:
        assert dataset.cameras == () and dataset.lengths == (40, 40) and dataset.state_names == NAMES
