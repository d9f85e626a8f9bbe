"""Whole small datasets laid out as LeRobot's specification says, by plain pyarrow and PyAV, without our writer.

v3.0: two data files, one video file for the first two episodes and one for the third, tasks.parquet as pandas writes
it. v2.1: one file for each episode, JSON lines. Every picture's colour tells its episode and frame.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from episodes.pictures import encode_png

FPS = 10
LENGTHS = (12, 7, 9)
TASKS = ("pick up the red cube", "push it left")
TASK_OF = ((0,) * 12, (1,) * 7, (0,) * 4 + (1,) * 5)  # the third episode changes its task
JOINTS = ("shoulder.pos", "elbow.pos", "gripper.pos")
VIDEO, IMAGE = "observation.images.front", "observation.images.wrist"
SIZE = (48, 64)


def states(episode: int) -> np.ndarray:
    """[T, 3] float32."""
    t = np.arange(LENGTHS[episode], dtype=np.float32)[:, None]
    return t / 10 + np.array([1, 2, 3], np.float32) * (episode + 1)


def actions(episode: int) -> np.ndarray:
    """[T, 3] float32."""
    return states(episode) + np.float32(0.5)


def colour(episode: int, frame: int) -> tuple[int, int, int]:
    """RGB, far enough apart to survive a codec."""
    return 40 + 60 * episode, 20 + 16 * frame, 200 - 16 * frame


def picture(episode: int, frame: int) -> np.ndarray:
    """[48, 64, 3] of that colour, with a dark half to tell left from right."""
    out = np.empty((*SIZE, 3), np.uint8)
    out[:] = colour(episode, frame)
    out[:, : SIZE[1] // 2] //= 2
    return out


def write_video(file: Path, pictures: list[np.ndarray], codec: str = "libx264", gop: int = 4) -> None:
    """An mp4 at FPS."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream: Any = container.add_stream(codec, FPS, options={"g": str(gop), "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for image in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def info(version: str, cameras: tuple[str, ...]) -> dict[str, Any]:
    """meta/info.json."""
    vector = {"dtype": "float32", "shape": [3], "names": list(JOINTS)}
    features: dict[str, Any] = {"action": vector, "observation.state": vector}
    picture = {"shape": [*SIZE, 3], "names": ["height", "width", "channels"]}
    if VIDEO in cameras:
        features[VIDEO] = {"dtype": "video", **picture, "info": {"video.codec": "h264", "is_depth_map": False}}
    if IMAGE in cameras:
        features[IMAGE] = {"dtype": "image", **picture}
    for name, kind in (("timestamp", "float32"), *((n, "int64") for n in COUNTERS)):
        features[name] = {"dtype": kind, "shape": [1], "names": None}
    v3 = version == "v3.0"
    data = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    video = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    old_data = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    old_video = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    return {
        "codebase_version": version,
        "robot_type": "so101_follower",
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "total_tasks": len(TASKS),
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": f"0:{len(LENGTHS)}"},
        "data_path": data if v3 else old_data,
        "video_path": video if v3 else old_video,
        "features": features,
    }


COUNTERS = ("frame_index", "episode_index", "index", "task_index")


def frames(group: list[int], version: str, cameras: tuple[str, ...]) -> pa.Table:
    """The rows of some episodes."""
    rows = [(e, f) for e in group for f in range(LENGTHS[e])]
    starts = np.cumsum((0, *LENGTHS))
    kind = pa.list_(pa.float32(), 3) if version == "v3.0" else pa.list_(pa.float32())
    columns = {
        "action": pa.array([actions(e)[f].tolist() for e, f in rows], kind),
        "observation.state": pa.array([states(e)[f].tolist() for e, f in rows], kind),
        "timestamp": pa.array([f / FPS for _, f in rows], pa.float32()),
        "frame_index": pa.array([f for _, f in rows], pa.int64()),
        "episode_index": pa.array([e for e, _ in rows], pa.int64()),
        "index": pa.array([int(starts[e]) + f for e, f in rows], pa.int64()),
        "task_index": pa.array([TASK_OF[e][f] for e, f in rows], pa.int64()),
    }
    if IMAGE in cameras:
        cells = [{"bytes": encode_png(picture(e, f)[:, ::-1]), "path": None} for e, f in rows]
        columns[IMAGE] = pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    return pa.table(columns)


def write(root: Path, version: str = "v3.0", cameras: tuple[str, ...] = (VIDEO, IMAGE), codec: str = "libx264") -> Path:
    """The whole dataset."""
    (root / "meta").mkdir(parents=True)
    (root / "meta" / "info.json").write_text(json.dumps(info(version, cameras)))
    (_write_v3 if version == "v3.0" else _write_v2)(root, version, cameras, codec)
    return root


def _write_v3(root: Path, version: str, cameras: tuple[str, ...], codec: str) -> None:
    starts = np.cumsum((0, *LENGTHS))
    rows = []
    for number, group in enumerate(([0, 1], [2])):
        file = root / f"data/chunk-000/file-{number:03d}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(frames(group, version, cameras), file)
        begin = 0.0
        for e in group:
            row = {
                "episode_index": e, "tasks": [TASKS[i] for i in sorted(set(TASK_OF[e]))], "length": LENGTHS[e],
                "data/chunk_index": 0, "data/file_index": number,
                "dataset_from_index": int(starts[e]), "dataset_to_index": int(starts[e + 1]),
                "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0, "stats/action/count": [LENGTHS[e]],
            }  # fmt: skip
            if VIDEO in cameras:
                row |= {f"videos/{VIDEO}/chunk_index": 0, f"videos/{VIDEO}/file_index": number}
                row |= {
                    f"videos/{VIDEO}/from_timestamp": begin,
                    f"videos/{VIDEO}/to_timestamp": begin + LENGTHS[e] / FPS,
                }
            begin += LENGTHS[e] / FPS
            rows.append(row)
        if VIDEO in cameras:
            pictures = [picture(e, f) for e in group for f in range(LENGTHS[e])]
            write_video(root / f"videos/{VIDEO}/chunk-000/file-{number:03d}.mp4", pictures, codec)
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    tasks = pa.table({"task_index": list(range(len(TASKS))), "__index_level_0__": list(TASKS)})
    pq.write_table(tasks, root / "meta/tasks.parquet")


def _write_v2(root: Path, version: str, cameras: tuple[str, ...], codec: str) -> None:
    lines = []
    for e, length in enumerate(LENGTHS):
        file = root / f"data/chunk-000/episode_{e:06d}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(frames([e], version, cameras), file)
        if VIDEO in cameras:
            pictures = [picture(e, f) for f in range(length)]
            write_video(root / f"videos/chunk-000/{VIDEO}/episode_{e:06d}.mp4", pictures, codec)
        lines.append({"episode_index": e, "tasks": [TASKS[i] for i in sorted(set(TASK_OF[e]))], "length": length})
    (root / "meta/episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tasks = [{"task_index": i, "task": task} for i, task in enumerate(TASKS)]
    (root / "meta/tasks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in tasks))
