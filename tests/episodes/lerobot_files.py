"""A small dataset in LeRobot's layouts, v3 (many episodes in a file) and v2.1 (one each), as specified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

LENGTHS = (30, 15, 20)
NAMES = ("shoulder.pos", "elbow.pos", "gripper.pos")


def episodes() -> list[np.ndarray]:
    """[T, 3] float32 each."""
    rng = np.random.default_rng(0)
    return [np.cumsum(rng.standard_normal((n, 3)), axis=0).astype(np.float32) for n in LENGTHS]


def dataset(root: Path, version: str, names: Any = NAMES, skip: tuple[int, int] | None = None) -> Path:
    """Writes it; skip: an episode and a frame that are left out."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = episodes()
    v3 = version == "v3.0"
    template = "chunk_index:03d}/file-{file_index:03d}" if v3 else "episode_chunk:03d}/episode_{episode_index:06d}"
    info = {
        "codebase_version": version,
        "fps": 10,
        "robot_type": "so101_follower",
        "total_episodes": len(parts),
        "total_frames": sum(LENGTHS),
        "total_tasks": 1,
        "chunks_size": 1000,
        "data_path": "data/chunk-{" + template + ".parquet",
        "features": {
            "action": {"dtype": "float32", "shape": [3], "names": list(names) if isinstance(names, tuple) else names},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        },
    }
    (root / "meta").mkdir(parents=True)
    (root / "meta" / "info.json").write_text(json.dumps(info))
    groups = [[0, 1], [2]] if v3 else [[0], [1], [2]]
    write_meta(root, v3, groups)
    for number, group in enumerate(groups):
        rows = [(e, f) for e in group for f in range(LENGTHS[e]) if (e, f) != skip]
        values = np.stack([parts[e][f] for e, f in rows])
        kind = pa.list_(pa.float32(), 3) if v3 else pa.list_(pa.float32())
        columns = {
            "action": pa.array(values.tolist(), kind),
            "timestamp": pa.array([f / 10 for _, f in rows], pa.float32()),
            "frame_index": pa.array([f for _, f in rows], pa.int64()),
            "episode_index": pa.array([e for e, _ in rows], pa.int64()),
            "task_index": pa.array([0] * len(rows), pa.int64()),
        }
        name = f"file-{number:03d}" if v3 else f"episode_{number:06d}"
        file = root / "data" / "chunk-000" / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), file)
    return root


def write_meta(root: Path, v3: bool, groups: list[list[int]]) -> None:
    """Which episodes there are, and where."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = [{"episode_index": e, "tasks": ["move"], "length": n} for e, n in enumerate(LENGTHS)]
    if not v3:
        (root / "meta" / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (root / "meta" / "tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": "move"}) + "\n")
        return
    for number, group in enumerate(groups):
        for episode in group:
            rows[episode] |= {"data/chunk_index": 0, "data/file_index": number}
    (root / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), root / "meta" / "episodes" / "chunk-000" / "file-000.parquet")
    pq.write_table(pa.table({"task_index": [0], "task": ["move"]}), root / "meta" / "tasks.parquet")
