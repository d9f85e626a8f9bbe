"""Pictures of datasets, decoded and resized once: a file of bytes for each camera that training reads in any order.

Takes a dataset, its cameras and the policy's size of pictures; gives pictures by episode and frame. Episodes are
decoded from front to back, which a video allows at ten times the speed of jumps; what is done is noted
episode by episode, so that an interrupted filling goes on. The resize is the policy's own, so nothing is lost. Knows
nothing of models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from episodes.lerobot.dataset import Dataset
from policy_spec.errors import DatasetError, sentence
from policy_spec.image import as_rgb, resize_uint8

Told = Callable[[str, int, int], None]  # stage, done, total
DONE, PICTURES, FACTS = "done.npy", "pictures-{}.npy", "cache.json"
AT_ONCE = 64  # frames decoded together


@dataclass(frozen=True, slots=True, eq=False)
class PictureCache:
    """Pictures of one dataset."""

    folder: Path
    starts: np.ndarray  # [episodes] first frame of each
    pictures: Mapping[str, np.ndarray]  # camera -> uint8 [frames, h, w, 3], on disk
    done: np.ndarray  # [episodes] bool, on disk

    @classmethod
    def open(cls, root: Path, dataset: Dataset, cameras: Sequence[str], size: tuple[int, int]) -> PictureCache:
        """The cache of these cameras at this size (height, width); empty where there is none. Raises DatasetError."""
        lengths = dataset.lengths
        facts = {"dataset": dataset.name, "lengths": list(lengths), "cameras": list(cameras), "size": list(size)}
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
        folder = root / f"{dataset.name.replace('/', '--')}-{key}"
        frames = int(sum(lengths))
        try:
            if not (folder / FACTS).is_file():
                folder.mkdir(parents=True, exist_ok=True)
                for camera in cameras:
                    _create(folder / PICTURES.format(camera), (frames, *size, 3), np.uint8)
                _create(folder / DONE, (len(lengths),), np.bool_)
                (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
            pictures = {c: np.lib.format.open_memmap(folder / PICTURES.format(c), "r+") for c in cameras}
            done = np.lib.format.open_memmap(folder / DONE, "r+")
        except (OSError, ValueError) as error:
            do = "remove the folder, or choose another data.cache"
            raise DatasetError(sentence(f"{folder}: pictures cannot be kept", got=error, do=do)) from error
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        return cls(folder, starts, pictures, done)

    def fill(self, dataset: Dataset, told: Told) -> None:
        """Decodes every episode that is not there yet."""
        missing = np.flatnonzero(~self.done).tolist()
        size = next(iter(self.pictures.values())).shape[1:3]
        for count, episode in enumerate(missing):
            told(f"decoding {dataset.name}", count, len(missing))
            view = dataset.episode(episode)
            for camera, kept in self.pictures.items():
                for first in range(0, view.length, AT_ONCE):
                    frames = range(first, min(first + AT_ONCE, view.length))
                    at = int(self.starts[episode]) + first
                    images = view.pictures(camera, frames)
                    kept[at : at + len(frames)] = [resize_uint8(as_rgb(image), size) for image in images]
                kept.flush()  # type: ignore[attr-defined]  # a memmap
            self.done[episode] = True
            self.done.flush()  # type: ignore[attr-defined]

    def picture(self, camera: str, episode: int, frame: int) -> np.ndarray:
        """uint8 [h, w, 3]."""
        return np.asarray(self.pictures[camera][self.starts[episode] + frame])


def _create(file: Path, shape: tuple[int, ...], dtype: type) -> None:
    np.lib.format.open_memmap(file, "w+", dtype, shape).flush()  # type: ignore[arg-type]
