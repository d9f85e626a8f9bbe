"""A recording of `armside run` as a source of observations: what the policy saw for each of its predictions.

Takes the recording's folder. An episode begins at each observation that says so, and where the task changes. States
are in the policy's units. Knows nothing of chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from episodes.layout import ObservationRecord
from episodes.observations import Observation, Where, require_place
from episodes.pictures import read_picture
from episodes.recording import Recording
from policy_spec.errors import DatasetError, sentence


@dataclass(frozen=True, slots=True)
class RecordingSource:
    """An ObservationSource over a recording."""

    name: str
    root: Path
    cameras: tuple[str, ...]
    state_names: tuple[str, ...]
    episodes: tuple[tuple[ObservationRecord, ...], ...]
    norm_tag: str = ""  # of the policy that ran; "" where the recording does not say

    @classmethod
    def open(cls, root: Path) -> RecordingSource:
        """Raises RecordingError where the folder is no recording, or holds no observation with pictures."""
        recording = Recording.open(root)
        cut = split_episodes(recording.observations)
        if not cut:
            raise DatasetError(sentence(f"the recording {root} holds no observation", do="record a longer run"))
        width = len(cut[0][0].state)
        joints = recording.header.policy_joints
        names = joints if len(joints) == width else tuple(f"dim {i}" for i in range(width))
        header = recording.header
        return cls(root.resolve().name, root, tuple(header.cameras), names, cut, header.norm_tag)

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(map(len, self.episodes))

    def observation(self, episode: int, frame: int) -> Observation:
        require_place(self, episode, frame)
        record = self.episodes[episode][frame]
        missing = [camera for camera in self.cameras if camera not in record.image_files]
        if missing:
            what = f"{self.root}: observation {record.index}"
            raise DatasetError(sentence(what, expected=f"a picture of {', '.join(missing)}", got="none"))
        images = {camera: read_picture(self.root / record.image_files[camera]) for camera in self.cameras}
        where = Where(self.name, episode, frame)
        return Observation(images, record.state.astype(np.float32), record.task, where)

    def states(self, episode: int) -> np.ndarray:
        return np.stack([record.state for record in self.episodes[episode]]).astype(np.float32)

    def actions(self, episode: int) -> None:
        """None: the chunks that it holds are a policy's own, not what a person did."""
        return None


def split_episodes(records: tuple[ObservationRecord, ...]) -> tuple[tuple[ObservationRecord, ...], ...]:
    """Observations in time, cut where one begins an episode or has another task than the one before."""
    episodes: list[list[ObservationRecord]] = []
    for record in records:
        if not episodes or record.begins or record.task != episodes[-1][-1].task:
            episodes.append([])
        episodes[-1].append(record)
    return tuple(map(tuple, episodes))
