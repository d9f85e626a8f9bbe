"""A LeRobot dataset as a source of observations: pictures of every colour camera, state and task of any frame.

Takes an opened dataset, or a path to open. Cameras go by their short names. Knows nothing of chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from episodes.lerobot.dataset import Dataset, open_dataset
from episodes.observations import Observation, Where, require_place


@dataclass(frozen=True, slots=True)
class LeRobotSource:
    """An ObservationSource over a dataset."""

    dataset: Dataset

    @classmethod
    def open(cls, path: Path | str) -> LeRobotSource:
        """Raises DatasetError, HubError."""
        return cls(open_dataset(path))

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def cameras(self) -> tuple[str, ...]:
        return self.dataset.camera_slots

    @property
    def state_names(self) -> tuple[str, ...]:
        return self.dataset.state_names

    @property
    def lengths(self) -> tuple[int, ...]:
        return self.dataset.lengths

    def observation(self, episode: int, frame: int) -> Observation:
        require_place(self, episode, frame)
        view = self.dataset.episode(episode)
        images = {camera: view.picture(camera, frame) for camera in self.cameras}
        task = view.task_at(frame)
        return Observation(images, view.states[frame], task, Where(self.name, episode, frame))

    def states(self, episode: int) -> np.ndarray:
        return self.dataset.episode(episode).states

    def actions(self, episode: int) -> np.ndarray | None:
        view = self.dataset.episode(episode)
        return view.actions if self.dataset.keys.action in self.dataset.info.features else None
