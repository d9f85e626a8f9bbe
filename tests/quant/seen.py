"""A folder of pictures and states of a robot, as somebody without a dataset would give them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from policy_spec.norm import NormTag

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


def folder(root: Path, tag: NormTag, count: int = 12, cameras: tuple[str, ...] = (), factor: float = 1.0) -> Path:
    """Random pictures; states all over the tag's range, times `factor`; the last one does something else."""
    rng = np.random.default_rng(0)
    entries = []
    for camera in cameras or tag.camera_slots:
        (root / camera).mkdir(parents=True)
    for number in range(count):
        for camera in cameras or tag.camera_slots:
            pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / camera / f"{number:04d}.png")
        state = tag.state.unnormalize(rng.uniform(-0.9, 0.9, tag.state_dim).astype(np.float32)) * factor
        task = "pick the cube" if number < count - 1 else "push it away"
        entries.append({"state": state.tolist(), "task": task, "episode": number * 2 // count})
    names = JOINTS if tag.state_dim == len(JOINTS) else ()
    data = {"format": "armside-observations", "version": 1, "names": names, "observations": entries}
    (root / "states.json").write_text(json.dumps(data))
    return root
