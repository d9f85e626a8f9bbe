"""Several datasets as one thing to learn from: `Mixture(parts).sample(place)`, and the stream of places.

Takes opened LeRobot datasets with a weight, a norm tag, a horizon and a joint frame each; gives samples in numpy:
pictures, state, task, chunk of actions with the mask of its steps. The order of the cameras can be drawn anew for each
episode, as in MolmoAct2's training. Knows nothing of normalization, tokens and tensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from episodes.chunks import chunk_at
from episodes.stream import MixtureStream, Place
from policy_spec.errors import DatasetError, UsageError, sentence
from policy_spec.frames import Frame

if TYPE_CHECKING:
    from episodes.lerobot.dataset import Dataset
    from episodes.lerobot.episode import EpisodeView

ORDERS = ("none", "episode")
DEPTH_KEYS = ("depth_buffer_codes", "buffer_codes")  # columns of codes, as MolmoAct2's datasets call them


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One dataset of a mixture. Raises UsageError on cameras that it lacks."""

    dataset: Dataset
    horizon: int  # steps of a chunk
    weight: float | None = None  # None in every part: each as often as it has frames
    tag: str = ""  # norm tag of its numbers
    cameras: tuple[str, ...] = ()  # in the prompt's order, short or whole; () is all of the dataset's
    joints: tuple[Frame, Frame] | None = None  # convert states and actions from the first joint frame to the second
    annotated: bool = True  # annotated tasks rather than the frames' own, where there are some

    def __post_init__(self) -> None:
        known = {*self.dataset.cameras, *self.dataset.camera_slots}
        missing = [camera for camera in self.cameras if camera not in known]
        if missing:
            what, there = f"cameras of {self.dataset.name}", ", ".join(self.dataset.camera_slots)
            raise UsageError(sentence(what, expected=f"some of {there}", got=", ".join(missing)))

    @property
    def slots(self) -> tuple[str, ...]:
        """The cameras that are read."""
        return self.cameras or self.dataset.camera_slots


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One frame to learn from. Numbers are in the part's (converted) joint frame, not normalized."""

    images: tuple[np.ndarray, ...]  # uint8 [h, w, 3] RGB, in the order of `cameras`
    cameras: tuple[str, ...]
    task: str
    tag: str
    state: np.ndarray  # [D] float32
    actions: np.ndarray  # [H, A] float32; the last one repeated after the episode's end
    step_is_pad: np.ndarray  # [H] bool
    depth: np.ndarray | None  # [cells] int64 codes of the first camera's depth map, where the dataset has them
    place: Place


class Mixture:
    """Samples by place, and streams of places. Not for several threads at once."""

    def __init__(self, parts: Sequence[Part], *, camera_order: str = "none", seed: int = 0) -> None:
        """Raises UsageError where some parts have weights and some have none."""
        if camera_order not in ORDERS:
            raise UsageError(sentence("order of the cameras", expected=" or ".join(ORDERS), got=camera_order))
        given = [part.weight is not None for part in parts]
        if not parts or (any(given) and not all(given)):
            raise UsageError(sentence("weights of a mixture", expected="one for every dataset, or none", got=given))
        self.parts = tuple(parts)
        self._order, self._seed = camera_order, seed
        self._kept: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}  # part -> episode, states, actions

    @property
    def lengths(self) -> list[list[int]]:
        """Frames of each episode of each part; 0 for episodes in which nothing moves, as their annotation says."""
        return [
            [0 if row.number in part.dataset.annotated.frozen else row.length for row in part.dataset.index.episodes]
            for part in self.parts
        ]

    def stream(self, *, shard: int = 0, shards: int = 1) -> MixtureStream:
        """A new stream of places, from the beginning."""
        weights = [part.weight for part in self.parts if part.weight is not None]
        return MixtureStream(self.lengths, weights or None, seed=self._seed, shard=shard, shards=shards)

    def sample(self, place: Place, pictures: Callable[[str], np.ndarray] | None = None) -> Sample:
        """Raises DatasetError where there is no such place, or its files are damaged. `pictures` gives a camera's
        picture of that place from elsewhere, where somebody has decoded it already.
        """
        number, episode, frame = place
        if not 0 <= number < len(self.parts):
            raise DatasetError(sentence("dataset of a mixture", expected=f"0 to {len(self.parts) - 1}", got=number))
        part = self.parts[number]
        view = part.dataset.episode(episode)
        states, actions = self._numbers(number, part, view)
        chunk, is_pad = chunk_at(actions, frame, part.horizon)
        cameras = self.cameras_of(number, view.row.number)
        return Sample(
            images=tuple(pictures(camera) if pictures else view.picture(camera, frame) for camera in cameras),
            cameras=cameras,
            task=view.task_at(frame, part.annotated),
            tag=part.tag,
            state=states[frame],
            actions=chunk,
            step_is_pad=is_pad,
            depth=_codes(view, frame, cameras),
            place=place,
        )

    def cameras_of(self, number: int, episode: int) -> tuple[str, ...]:
        """The cameras of an episode, in the order in which the prompt shows them."""
        part = self.parts[number]
        if self._order == "none" or len(part.slots) < 2:
            return part.slots
        words = "\n".join((part.dataset.name, str(self._seed), str(episode), *part.slots))
        drawn = np.random.default_rng(int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "little"))
        return tuple(part.slots[i] for i in drawn.permutation(len(part.slots)))

    def _numbers(self, number: int, part: Part, view: EpisodeView) -> tuple[np.ndarray, np.ndarray]:
        """States and actions of the episode, converted; those read last are kept."""
        kept = self._kept.get(number)
        if kept is None or kept[0] != view.position:
            states, actions = view.states, view.actions
            if part.joints is not None:
                given, wanted = part.joints
                states, actions = (
                    wanted.from_si(given.to_si(values)).astype(np.float32) for values in (states, actions)
                )
            kept = self._kept[number] = view.position, states, actions
        return kept[1], kept[2]


def _codes(view: EpisodeView, frame: int, cameras: tuple[str, ...]) -> np.ndarray | None:
    """Of the first camera; a column without a camera's name is that of all orders."""
    first = [f"{key}.{cameras[0].rpartition('.')[2]}" for key in DEPTH_KEYS] if cameras else []
    key = next((key for key in (*first, *DEPTH_KEYS) if key in view.info.features), None)
    return None if key is None else view.column(key)[frame].astype(np.int64).reshape(-1)
