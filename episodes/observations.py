"""Observations by number, from whatever holds some: a LeRobot dataset, a recording of `armside run`, a folder.

Takes a path (or the hub id of a dataset); gives an ObservationSource: how many frames each episode has, and one
Observation (pictures, state, task) at any (episode, frame). The same place gives the same bytes; `sha256` says which
they were. Knows nothing of policies: states are in the units they were stored in, pictures in their own size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from policy_spec.errors import DatasetError, UsageError, sentence

_DO = "give a LeRobot dataset (folder or hub id), a recording of armside run, or a folder with states.json"


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """Where an observation was taken from."""

    dataset: str  # name of the source
    episode: int  # its number there, from 0
    frame: int  # from 0 inside the episode


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What a robot saw at one moment. Raises DatasetError where shapes or numbers cannot be."""

    images: Mapping[str, np.ndarray]  # camera -> [h, w, 3] uint8 RGB, in the source's order of cameras
    state: np.ndarray  # [D] float32, in the source's units
    task: str  # in words; "" where the source has none
    where: Where

    def __post_init__(self) -> None:
        for camera, image in self.images.items():
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                got = f"{image.dtype} {list(image.shape)}"
                raise DatasetError(sentence(f"{self.where}: {camera}", expected="uint8 [h, w, 3]", got=got))
        if self.state.dtype != np.float32 or self.state.ndim != 1 or not np.isfinite(self.state).all():
            got = f"{self.state.dtype} {self.state.tolist()}"
            raise DatasetError(sentence(f"{self.where}: state", expected="finite float32 [D]", got=got))

    @property
    def sha256(self) -> str:
        """Of task, state and every picture with its camera and size; not of where it was taken from."""
        digest = hashlib.sha256(self.task.encode() + b"\0" + np.ascontiguousarray(self.state, "<f4").tobytes())
        for camera, image in self.images.items():
            digest.update(f"\0{camera}{image.shape}".encode())
            digest.update(np.ascontiguousarray(image))
        return digest.hexdigest()


class ObservationSource(Protocol):
    """What every source has. Not for several threads at once: open it again in each."""

    @property
    def name(self) -> str:
        """For a person, and for Where.dataset."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """Keys of Observation.images, in their order."""

    @property
    def state_names(self) -> tuple[str, ...]:
        """Of the D numbers of a state."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames of each episode."""

    def observation(self, episode: int, frame: int) -> Observation:
        """The one at that place. Raises DatasetError where there is none, or its files are damaged."""

    def states(self, episode: int) -> np.ndarray:
        """[T, D] float32, an episode's states without its pictures."""

    def actions(self, episode: int) -> np.ndarray | None:
        """[T, A] float32, what was recorded as done in each frame; None where nobody recorded that."""


def open_observations(path: Path | str) -> ObservationSource:
    """A source for the path, by what lies there; owner/name that is no folder is a dataset on the hub.

    Raises DatasetError.
    """
    root = Path(path)
    if (root / "run.json").is_file():
        from episodes.observations_recording import RecordingSource

        return RecordingSource.open(root)
    if any((root / name).is_file() for name in ("states.json", "states.csv")):
        from episodes.observations_folder import FolderSource

        return FolderSource.open(root)
    if (root / "meta" / "info.json").is_file() or looks_like_hub(path):
        from episodes.lerobot.source import LeRobotSource

        return LeRobotSource.open(path)
    raise DatasetError(sentence(f"{path} holds no observations that can be read", do=_DO))


def looks_like_hub(path: Path | str) -> bool:
    """owner/name, and nothing of that name here."""
    parts = str(path).split("/")
    return len(parts) == 2 and all(parts) and parts[0] not in (".", "..", "~") and not Path(path).exists()


def choose(source: ObservationSource, count: int, seed: int = 0) -> tuple[Where, ...]:
    """`count` places: all frames in a row are cut into `count` equal parts, and each part gives one at random.

    So every stretch of the source is there and the same seed gives the same places; all frames where there are no
    more. Raises UsageError on a count below 1.
    """
    ends = np.cumsum(source.lengths, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    if count < 1 or total < 1:
        raise UsageError(sentence(f"observations of {source.name}", expected="at least 1", got=f"{count} of {total}"))
    edges = np.linspace(0, total, min(count, total) + 1).astype(np.int64)
    picks = np.random.default_rng(seed).integers(edges[:-1], edges[1:])
    episodes = np.searchsorted(ends, picks, side="right")
    starts = ends - np.asarray(source.lengths)
    frames = picks - starts[episodes]
    return tuple(Where(source.name, int(e), int(f)) for e, f in zip(episodes, frames, strict=True))


def observations(source: ObservationSource, places: Sequence[Where]) -> Iterator[Observation]:
    """The observations at those places, in their order, one at a time."""
    for place in places:
        yield source.observation(place.episode, place.frame)


def require_place(source: ObservationSource, episode: int, frame: int) -> None:
    """Raises DatasetError where the source has no such episode or frame."""
    count = len(source.lengths)
    if not 0 <= episode < count:
        raise DatasetError(sentence(f"{source.name}: episode", expected=f"0 to {count - 1}", got=episode))
    length = source.lengths[episode]
    if not 0 <= frame < length:
        what = f"{source.name}: frame of episode {episode}"
        raise DatasetError(sentence(what, expected=f"0 to {length - 1}", got=frame))
