"""A small recording with everything in it, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from episodes.layout import ChunkRecord, EndRecord, EventRecord, ObservationRecord, RunHeader, TickRecord
from episodes.writer import RecordingWriter

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
UNITS = ("rad",) * 5 + ("1",)
HORIZON = 30


def header(**changes: object) -> RunHeader:
    facts = dict(
        arm="so101", joints=JOINTS, joint_units=UNITS, cameras={"cam0": "test", "cam1": "clip.mp4"},
        horizon=HORIZON, dt_s=1 / 30, execute=15, seed=7, task="pick up the red cube", bundle="demo.bundle",
        norm_tag="so101", frame="so101-molmoact2", policy_joints=JOINTS, rate_hz=100.0,
    )  # fmt: skip
    return RunHeader(**{**facts, **changes})  # type: ignore[arg-type]


def picture(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    ramp = np.linspace(0, 200, width, dtype=np.uint8)
    image = np.repeat(ramp[None, :, None], height, 0).repeat(3, 2)
    image[:, :, 1] = (index * 40) % 256
    return image


def observation(index: int) -> ObservationRecord:
    return ObservationRecord(
        index=index, t=10.0 + index, status_seq=index * 100, status_tick=index * 100, task="pick", seed=index,
        state=np.arange(6.0) + index, image_times={"cam0": 9.9 + index}, images={"cam0": picture(index)},
    )  # fmt: skip


def chunk(index: int) -> ChunkRecord:
    actions = np.sin(np.arange(HORIZON * 6).reshape(HORIZON, 6) / 30 + index)
    timings = {"vision": 0.02 + 0.001 * index, "llm": 0.05, "flow": 0.03, "host": 0.002, "total": 0.1}
    return ChunkRecord(
        index, 10.2 + index, index * 100, index * 100 + 20, "sent", timings, actions, actions * 57.3
    )


def tick(index: int) -> TickRecord:
    phase = index / 40 + np.arange(6)
    return TickRecord(
        seq=index + 1, tick=index, t=10.0 + index / 100, mode="ready" if index < 50 else "running",
        measured=np.sin(phase - 0.1), commanded=np.sin(phase), late_ticks=index // 80,
        clamped=("speed elbow_flex",) if index % 50 == 7 else (), chunk_seq=100 if index >= 50 else -1,
        health={"load": np.full(6, 0.1), "temperature": np.full(6, 30.0)},
    )  # fmt: skip


def write_run(path: Path, chunks: int = 4, ticks: int = 400, end: bool = True, **changes: object) -> None:
    writer = RecordingWriter(path, header(**changes))
    writer.write(EventRecord(10.0, "armed", "torque on, goal = present"))
    for index in range(chunks):
        writer.write(observation(index))
        writer.write(chunk(index))
    for index in range(ticks):
        writer.write(tick(index))
    writer.write(EventRecord(13.0, "pause", "by key"))
    if end:
        writer.finish(EndRecord(14.0, "duration", "10 s are over", {"lost": 0}))
    else:
        writer.close()
