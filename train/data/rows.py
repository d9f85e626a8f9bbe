"""One row to learn from, and what gives rows: by place, in an order that a plan decides.

Takes nothing; states the small contract between datasets and the loader, with a twin over arrays in memory. Numbers
are in policy units, pictures in their own size. Knows nothing of prompts or tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from episodes.chunks import chunk_at
from episodes.stream import MixtureStream, Place

Array = np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What a robot saw, was told and did; or a question and its answer."""

    images: tuple[Array, ...]  # uint8 [h, w, 3] RGB, in the prompt's order
    task: str
    tag: str = ""  # norm tag; "" on a row of text
    state: Array | None = None  # [D] float32
    actions: Array | None = None  # [H, D] float32; the last one repeated after the episode's end
    step_is_pad: Array | None = None  # [H] bool
    depth: Array | None = None  # [cells] codes of the first camera's depth map
    answer: str = ""  # of a row of text


class Rows(Protocol):
    """Where rows lie. Not for several threads at once."""

    def row(self, place: Place) -> Row:
        """The row there. Raises DatasetError."""


class Plan(Protocol):
    """Which rows come next. The same state gives the same places."""

    def take(self, count: int) -> list[Place]:
        """The next ones; never fewer."""

    def state(self) -> dict[str, Any]:
        """As JSON."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was taken."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrayEpisode:
    """One episode in memory."""

    images: tuple[Array, ...]  # of each camera, uint8 [T, h, w, 3]
    states: Array  # [T, D] float32
    actions: Array  # [T, D] float32
    task: str
    depth: Array | None = None  # [T, cells]


@dataclass(frozen=True, slots=True, eq=False)
class ArrayRows:
    """Rows over arrays in memory: the twin of a dataset, for tests and benchmarks."""

    episodes: Sequence[ArrayEpisode]
    tag: str
    horizon: int

    def plan(self, seed: int) -> Plan:
        """All frames in a shuffled order, again and again."""
        return MixtureStream([[len(episode.states) for episode in self.episodes]], seed=seed)

    def row(self, place: Place) -> Row:
        _, number, frame = place
        episode = self.episodes[number]
        actions, pad = chunk_at(episode.actions, frame, self.horizon)
        depth = None if episode.depth is None else episode.depth[frame]
        images = tuple(camera[frame] for camera in episode.images)
        return Row(images, episode.task, self.tag, episode.states[frame], actions, pad, depth)
