"""The actions of a LeRobot dataset, episode by episode; no states, no pictures.

Takes the folder of the dataset, or its hub id; gives names, rate and an array for each episode. One that lacks files is
refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from episodes.lerobot.dataset import Keys, open_dataset


def read_actions(source: Path | str) -> tuple[tuple[str, ...], float, tuple[np.ndarray, ...]]:
    """Names of the dimensions, frames per second, actions [T, D] float32 of every episode. Raises DatasetError."""
    with open_dataset(source, keys=Keys(states=())) as dataset:
        sequences = tuple(dataset.episode(position).actions for position in range(len(dataset.lengths)))
        return dataset.action_names, dataset.fps, sequences
