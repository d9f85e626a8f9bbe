"""One episode of a LeRobot dataset: states, actions, times, tasks in words, pictures and depth maps of any frame.

Takes the episode's row of the index and the dataset's open files; gives numpy arrays. Numbers are read when they are
first asked for. Knows nothing of other episodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from episodes.lerobot.depth import depth_of_bytes, depth_of_video
from episodes.lerobot.files import Files
from episodes.lerobot.index import EpisodeRow
from episodes.lerobot.info import DatasetInfo, Feature, short_names
from episodes.lerobot.rows import DataFile, DataPool
from episodes.lerobot.video import VideoPool
from episodes.lerobot.words import LANGUAGE, subtask_at
from episodes.pictures import decode_picture
from policy_spec.errors import DatasetError, sentence


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """The open files of a dataset, and which features are state and action."""

    files: Files
    data: DataPool
    videos: VideoPool
    action: str
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeView:
    """Everything of one episode. Raises DatasetError wherever files are missing or damaged."""

    position: int  # in the dataset's list
    row: EpisodeRow
    annotated_task: str  # of the whole episode; "" where nobody annotated it
    info: DatasetInfo
    _tasks: Mapping[int, str]  # of the dataset, by number
    _sources: Sources

    @property
    def length(self) -> int:
        """T, frames."""
        return self.row.length

    @property
    def states(self) -> np.ndarray:
        """[T, D] float32, all state features joined."""
        parts = [self.column(key).reshape(self.length, -1) for key in self._sources.states]
        return np.concatenate(parts, axis=1).astype(np.float32)

    @property
    def actions(self) -> np.ndarray:
        """[T, A] float32."""
        return self.column(self._sources.action).reshape(self.length, -1).astype(np.float32)

    @property
    def timestamps(self) -> np.ndarray:
        """[T] float64, seconds since the episode began."""
        return np.asarray(self.column("timestamp"), np.float64)

    @property
    def task_index(self) -> np.ndarray:
        """[T] int64, number of each frame's task."""
        return np.asarray(self.column("task_index"), np.int64)

    def column(self, key: str) -> np.ndarray:
        """[T, width] of any feature of numbers, [T] of single ones. DatasetError where one is not finite."""
        values = self._data().column(_known(self.info, key))[self._span()]
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            frame = int(np.argwhere(~np.isfinite(values.reshape(self.length, -1)))[0][0])
            what = f"{self.row.data_file}: {key} of episode {self.row.number}, frame {frame}"
            raise DatasetError(sentence(what, expected="finite numbers", got=values[frame].tolist()))
        return values

    @property
    def tasks(self) -> tuple[str, ...]:
        """T texts: what is being done in each frame, annotations left aside."""
        return tuple(self.task_at(frame, annotated=False) for frame in range(self.length))

    def task_at(self, frame: int, annotated: bool = True) -> str:
        """What is being done, in words: the episode's annotated task where it has one (and it is wanted), or the
        frame's own.
        """
        if annotated and self.annotated_task:
            return self.annotated_task
        number = int(self.task_index[frame])
        if number not in self._tasks:
            what = f"{self.row.data_file}: task_index of episode {self.row.number}, frame {frame}"
            raise DatasetError(sentence(what, expected=f"a task of meta/, one of {sorted(self._tasks)}", got=number))
        return self._tasks[number]

    def subtask_at(self, frame: int) -> str:
        """The annotated subtask that holds at a frame; "" where the dataset has none."""
        if LANGUAGE not in self.info.features:
            return ""
        entries = self._data().cell(LANGUAGE, self._span().start + self._frame(frame))
        return subtask_at(entries, float(self.timestamps[frame]))

    def picture(self, camera: str, frame: int) -> np.ndarray:
        """[h, w, 3] uint8 RGB. `camera`: its key or short name."""
        feature = self._camera(camera, self.info.cameras)
        frame = self._frame(frame)
        if feature.dtype == "image":
            return decode_picture(*self._bytes(feature.key, frame))
        return self._video(feature.key, frame, "rgb24")

    def pictures(self, camera: str, frames: Sequence[int]) -> np.ndarray:
        """[n, h, w, 3] uint8 RGB of several frames, in their order; ascending ones are decoded in one go."""
        order = np.argsort(np.asarray(frames, np.int64), kind="stable")
        shown = {int(i): self.picture(camera, int(frames[int(i)])) for i in order}
        return np.stack([shown[i] for i in range(len(frames))])

    def depth(self, camera: str, frame: int) -> np.ndarray:
        """[h, w] float32, metres; of a depth camera. 0 where nothing was measured."""
        feature = self._camera(camera, self.info.depths)
        frame = self._frame(frame)
        if feature.dtype == "image":
            data, what = self._bytes(feature.key, frame)
            return depth_of_bytes(data, feature.facts, what)
        return depth_of_video(self._video(feature.key, frame, "gray12le"), feature.facts)

    def _video(self, key: str, frame: int, pixels: str) -> np.ndarray:
        part = self.row.videos[key]
        reader = self._sources.videos.reader(self._sources.files.path(part.file))
        return reader.frame(part.start_s + float(self.timestamps[frame]), pixels)

    def _bytes(self, key: str, frame: int) -> tuple[bytes, str]:
        """Encoded picture of a row, and its name for an error."""
        what = f"{self.row.data_file}: {key} of episode {self.row.number}, frame {frame}"
        cell = self._data().cell(key, self._span().start + frame)
        data = cell.get("bytes") if isinstance(cell, Mapping) else cell
        if not isinstance(data, bytes):
            raise DatasetError(sentence(what, expected="the bytes of a picture", got=type(data).__name__))
        return data, what

    def _camera(self, camera: str, keys: tuple[str, ...]) -> Feature:
        short = dict(zip(short_names(keys), keys, strict=True))
        key = short.get(camera, camera)
        if key not in keys:
            raise DatasetError(sentence(f"camera {camera!r}", expected=f"one of {', '.join(short) or 'none'}"))
        return self.info.features[key]

    def _frame(self, frame: int) -> int:
        if not 0 <= frame < self.length:
            what = f"frame of episode {self.row.number}"
            raise DatasetError(sentence(what, expected=f"0 to {self.length - 1}", got=frame))
        return frame

    def _data(self) -> DataFile:
        return self._sources.data.file(self._sources.files.path(self.row.data_file))

    def _span(self) -> slice:
        return self._data().span(self.row.number, self.length)


def _known(info: DatasetInfo, key: str) -> Feature:
    """A feature; those that every dataset has need not be named in info.json."""
    default = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "task_index": "int64"}
    if key in default and key not in info.features:
        return Feature(key, default[key], (1,))
    return info.feature(key)
