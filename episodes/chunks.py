"""The chunk of actions that begins at a frame, and numbers padded to the width that a policy has.

Takes an episode's actions [T, D]; gives [H, D] with a mask of the steps beyond its end, which repeat the last action.
Knows nothing of datasets.
"""

from __future__ import annotations

import numpy as np

from policy_spec.errors import DatasetError, sentence


def chunk_at(actions: np.ndarray, frame: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """[H, D] of the frames from this one on, and [H] bool: True for steps after the episode's end."""
    if not 0 <= frame < len(actions) or horizon < 1:
        expected = f"a frame of 0 to {len(actions) - 1}, a horizon above 0"
        raise DatasetError(sentence("a chunk", expected=expected, got=(frame, horizon)))
    steps = frame + np.arange(horizon)
    return actions[np.minimum(steps, len(actions) - 1)], steps >= len(actions)


def pad_dims(values: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """[..., width] with zeros behind the D numbers, and [width] bool: True for those zeros."""
    dims = values.shape[-1]
    if dims > width:
        raise DatasetError(sentence("numbers of an action", expected=f"at most {width}", got=dims))
    space = [(0, 0)] * (values.ndim - 1) + [(0, width - dims)]
    return np.pad(values, space), np.arange(width) >= dims
