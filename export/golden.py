"""The golden observation: a made-up but fixed scene, state and task, and the reference model's answer to it.

The same numbers are made on any machine (no random generator in the pictures), so that a bundle can carry its
answer and a session can reproduce it before it says it is ready.
"""

from __future__ import annotations

import numpy as np

from policy_spec.errors import PromptError
from policy_spec.norm import NormTag
from policy_spec.pipeline import Observation, Pipeline

TASKS = ("put the red cube into the box", "pick", "")  # the first that fits the prompt bracket
SEED = 20260  # of the golden noise
HEIGHT, WIDTH = 240, 320


def picture(index: int) -> np.ndarray:
    """One camera's view, uint8 [240, 320, 3]: gradients, a table edge, and two boxes that move with the camera's
    index.
    """
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.int32)
    image = np.stack([(x * 3 + index * 40) % 256, (y * 2 + x // 4) % 256, (x + y + index * 90) % 256], axis=-1)
    image[HEIGHT * 2 // 3 :] = (image[HEIGHT * 2 // 3 :] + np.array([120, 96, 72])) // 2
    for k, colour in enumerate(((220, 40, 30), (40, 90, 200))):
        top, left = 60 + 70 * k, 40 + 90 * k + 25 * index
        image[top : top + 44, left : left + 52] = colour
    return image.astype(np.uint8)


def observation(tag: NormTag, cameras: int) -> Observation:
    """Pictures of every camera, and a state spread over the tag's normalised range (so that most bins differ)."""
    spread = np.linspace(-0.8, 0.8, tag.state_dim, dtype=np.float32)
    return Observation(tuple(picture(i) for i in range(cameras)), tag.state.unnormalize(spread))


def task(pipeline: Pipeline, seen: Observation) -> str:
    """The longest golden task that fits: a bracket that was asked for may leave little room."""
    for text in TASKS[:-1]:
        try:
            pipeline.prepare(seen, text)
            return text
        except PromptError:
            continue
    return TASKS[-1]
