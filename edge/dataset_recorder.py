"""A run as episodes of a LeRobot dataset, live: joints measured and commanded, newest pictures, at a fixed rate.

Takes every status of the bridge; gives frames to a thread that encodes them, so that the loop never waits. An episode
begins when the arm follows a chunk, and ends when it is paused, stopped or parked, or gets another task; waiting for
the next chunk belongs to it. Where the thread cannot keep up the episode is ended rather than left with a hole. Needs
the `data` extra; nothing of it is imported before a dataset is asked for.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from episodes.sampling import SHORTEST, Sampler
from firmware_bridge.client import Info, Status
from policy_spec.errors import DatasetError
from policy_spec.frames import Frame as JointFrame

if TYPE_CHECKING:
    from episodes.lerobot.writer import LeRobotWriter

Image = npt.NDArray[np.uint8]
QUEUE_FRAMES = 64  # about two seconds


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame on its way to the disk."""

    state: npt.NDArray[np.float64]  # [D] in the policy's joint frame
    action: npt.NDArray[np.float64]  # [D]
    images: Mapping[str, Image]
    task: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a dataset of a run is to be."""

    root: Path
    fps: int
    joints: JointFrame
    robot_type: str


class DatasetRecorder:
    """`hear` for every status, `close` once. `error` is "" or why it stopped."""

    def __init__(
        self, wanted: Wanted, info: Info, newest: Callable[[], Mapping[str, Image]], say: Callable[[str], None]
    ) -> None:
        """Opens the dataset, new or to go on with. `newest`: the pictures by slot. DatasetError."""
        self.path: Path | None = wanted.root
        self.error = ""
        self.lost = 0
        self.frames = 0
        self._joints, self._newest, self._say = wanted.joints, newest, say
        self._writer = _open(wanted, info, newest())
        self._before = self._writer.episodes
        self._sampler = Sampler(info.rate_hz, wanted.fps)
        self._queue: queue.Queue[Moment | None] = queue.Queue(QUEUE_FRAMES)
        self._owed = False  # an end that the thread has not been told of
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dataset", daemon=True)
        self._thread.start()

    def hear(self, status: Status, task: str) -> None:
        """Takes a frame where one is due; never waits for the disk."""
        if self.error:
            return
        ended, due = self._sampler.hear(status.tick, status.mode, task)
        self._owed = self._owed or ended
        if self._owed:
            self._owed = not self._put(None)
        if due and (self._owed or not self._put(self._moment(status, task))):
            self.lost += not self._owed
            self._sampler.cut()
            self._owed = True  # the thread is told as soon as there is room

    def close(self) -> str:
        """Saves the last episode; what became of the dataset, for a person. May be called twice."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._done.set()
            self._thread.join()
            self._writer.close()
        count = self._writer.episodes - self._before
        lost = f"; {self.lost} times the disk or the encoder was too slow and an episode was cut" if self.lost else ""
        return f"{count} episode{'' if count == 1 else 's'}, {self.frames} frames in {self.path}{lost}"

    def _moment(self, status: Status, task: str) -> Moment:
        images = {slot: _even(image) for slot, image in self._newest().items()}
        return Moment(self._joints.from_si(status.measured), self._joints.from_si(status.commanded), images, task)

    def _put(self, moment: Moment | None) -> bool:
        try:
            self._queue.put_nowait(moment)
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        while not (self._done.is_set() and self._queue.empty()):
            moment = self._queue.get()
            if self.error:
                continue
            try:
                self._write(moment)
            except Exception as error:  # nothing that goes wrong here may reach the arm
                self.error = f"the dataset stopped: {error}"
                self._say(self.error)

    def _write(self, moment: Moment | None) -> None:
        from episodes.lerobot.writer import Frame

        if moment is None:
            self._end()
            return
        if not self._writer.open_episode:
            self._writer.start()
        self._writer.add(Frame(moment.state, moment.action, moment.images, moment.task))

    def _end(self) -> None:
        count = self._writer.frames
        if count < SHORTEST:
            self._writer.drop()
            return
        number = self._writer.save()
        self.frames += count
        self._say(f"episode {number} saved: {count} frames")


class NoDataset:
    """Keeps nothing."""

    path = None
    error = ""

    def hear(self, status: Status, task: str) -> None:
        return None

    def close(self) -> str:
        return ""


def require_place(root: Path) -> None:
    """Known before a run begins: the packages are there, and so is room for a dataset. DatasetError, ImportError."""
    import av  # noqa: F401 # the package itself is what is asked for

    from episodes.lerobot.writer import require_place as require

    require(root)


def _open(wanted: Wanted, info: Info, images: Mapping[str, Image]) -> LeRobotWriter:
    from episodes.lerobot.plan import DatasetPlan
    from episodes.lerobot.writer import LeRobotWriter

    names = tuple(f"{joint}.pos" for joint in info.joints)
    sizes = {slot: _even(image).shape[:2] for slot, image in images.items()}
    plan = DatasetPlan(
        fps=wanted.fps,
        robot_type=wanted.robot_type,
        state_names=names,
        action_names=names,
        cameras={slot: (int(size[0]), int(size[1])) for slot, size in sizes.items()},
        joint_frame=wanted.joints.name,
    )
    if not images:
        raise DatasetError("a dataset of a run without cameras teaches no policy that sees")
    return LeRobotWriter.open(wanted.root, plan)


def _even(image: Image) -> Image:
    """Without a last odd row or column, which videos cannot have."""
    return image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
