"""The episode that is being written: its rows in memory, its videos in files aside.

Takes frames of the plan; gives columns, statistics and one mp4 for each camera. Knows nothing of the dataset.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from episodes.lerobot.depth import encode_depth
from episodes.lerobot.plan import ACTION, STATE, DatasetPlan
from episodes.lerobot.stats import PictureStats, Stats, vector_stats
from episodes.lerobot.video_out import VideoWriter
from episodes.pictures import encode_png
from policy_spec.errors import DatasetError, sentence

if TYPE_CHECKING:
    from episodes.lerobot.writer import Frame


class Draft:
    """One episode."""

    def __init__(self, folder: Path, plan: DatasetPlan) -> None:
        """Its videos are written into the folder."""
        self.length = 0
        self.tasks: list[str] = []  # of each frame
        self.videos: dict[str, Path] = {}  # key -> file
        self._plan = plan
        self._rows: dict[str, list[Any]] = {STATE: [], ACTION: [], **{key: [] for key in plan.extras}}
        self._stats = {key: PictureStats() for name, key in plan.camera_keys.items() if name in plan.cameras}
        self._writers: dict[str, VideoWriter] = {}
        for name, size in plan.cameras.items():
            key = plan.camera_keys[name]
            if plan.pictures == "video":
                self.videos[key] = folder / f"episode-{name.replace('.', '_')}.mp4"
                self._writers[key] = VideoWriter(self.videos[key], plan.fps, size, plan.video)
            else:
                self._rows[key] = []
        self._rows |= {plan.camera_keys[name]: [] for name in plan.depths}

    def add(self, frame: Frame) -> None:
        """Raises DatasetError where the frame is not of the plan; the episode is then as it was before."""
        self._check(frame)
        keys = self._plan.camera_keys
        depths = {keys[name]: encode_depth(np.asarray(frame.depths[name])) for name in self._plan.depths}
        for name in self._plan.cameras:
            key, image = keys[name], frame.images[name]
            self._stats[key].add(image)
            if key in self._writers:
                self._writers[key].add(image)
            else:
                self._rows[key].append(encode_png(image))
        for key, data in depths.items():
            self._rows[key].append(data)
        self._rows[STATE].append(np.asarray(frame.state, np.float32))
        self._rows[ACTION].append(np.asarray(frame.action, np.float32))
        for key, extra in self._plan.extras.items():
            self._rows[key].append(np.asarray(frame.extras[key], extra.dtype).reshape(extra.width))
        self.tasks.append(frame.task)
        self.length += 1

    def close(self) -> None:
        """Finishes the videos."""
        for writer in self._writers.values():
            writer.close()

    def abandon(self) -> None:
        """Closes the files; what they hold is not wanted."""
        for writer in self._writers.values():
            try:
                writer.close()
            except DatasetError:
                continue  # a video of no frame cannot be finished, and need not be

    def columns(self, task_numbers: dict[str, int], episode: int, first: int) -> dict[str, Any]:
        """Every column of data/; `first`: index of the first frame in the dataset."""
        numeric = {key: np.stack(rows) for key, rows in self._rows.items() if isinstance(rows[0], np.ndarray)}
        frames = np.arange(self.length)
        return {
            **self._rows,
            **numeric,
            "timestamp": (frames / self._plan.fps).astype(np.float32),
            "frame_index": frames,
            "episode_index": np.full(self.length, episode),
            "index": frames + first,
            "task_index": np.array([task_numbers[task] for task in self.tasks]),
        }

    def stats(self, columns: dict[str, Any]) -> dict[str, Stats]:
        """Of every column of numbers, and of the colour cameras."""
        out = {key: vector_stats(values) for key, values in columns.items() if isinstance(values, np.ndarray)}
        return out | {key: one.stats() for key, one in self._stats.items()}

    def _check(self, frame: Frame) -> None:
        plan, what = self._plan, f"frame {self.length} of the episode"
        vectors = (("state", frame.state, plan.state_names), ("action", frame.action, plan.action_names))
        for name, values, names in vectors:
            array = np.asarray(values)
            if array.shape != (len(names),) or not np.isfinite(array).all():
                expected = f"{len(names)} finite numbers: {', '.join(names)}"
                raise DatasetError(sentence(f"{what}: {name}", expected=expected, got=array.tolist()))
        for name, size in plan.cameras.items():
            image = frame.images.get(name)
            if image is None or image.dtype != np.uint8 or image.shape != (*size, 3):
                got = "none" if image is None else f"{image.dtype} {list(image.shape)}"
                raise DatasetError(sentence(f"{what}: camera {name}", expected=f"uint8 {[*size, 3]}", got=got))
        for name, size in plan.depths.items():
            depth = frame.depths.get(name)
            if depth is None or np.shape(depth) != tuple(size):
                shape = () if depth is None else np.shape(depth)
                raise DatasetError(sentence(f"{what}: depth {name}", expected=list(size), got=list(shape)))
        for key, extra in plan.extras.items():
            value = frame.extras.get(key)
            if value is None or np.size(value) != extra.width:
                raise DatasetError(sentence(f"{what}: {key}", expected=f"{extra.width} numbers", got=value))
        if not frame.task.strip():
            raise DatasetError(sentence(f"{what}: task", expected="what is being done, in words", got="nothing"))
