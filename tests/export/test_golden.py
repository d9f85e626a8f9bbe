"""The golden observation: fixed, told apart by camera, and with a task that fits whatever bracket was asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from export import golden
from export.build import Built


def test_the_longest_task_that_fits_is_taken(built: Built) -> None:
    seen = built.reference.observation
    lengths = [len(built.pipeline.prepare(seen, text).ids) for text in golden.TASKS]
    assert lengths == sorted(lengths, reverse=True)
    for text, length in zip(golden.TASKS, lengths, strict=True):
        assert golden.task(replace(built.pipeline, bracket=length), seen) == text


def test_each_camera_and_each_joint_differs(built: Built) -> None:
    seen = golden.observation(built.pipeline.tag, 3)
    first, second, third = seen.images
    assert all(image.shape == (golden.HEIGHT, golden.WIDTH, 3) for image in seen.images)
    assert (first != second).mean() > 0.5 and (second != third).mean() > 0.5
    normalized = built.pipeline.prepare(built.reference.observation, "").normalized_state
    np.testing.assert_allclose(normalized, np.linspace(-0.8, 0.8, 6), atol=1e-5)
