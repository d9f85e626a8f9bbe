"""golden.npz: one observation, and what a bundle's own graphs answered to it when they were made.

Written by the exporter, reproduced by a session before it says it is ready. Arrays only, no objects. `actions` is
the bundle's own answer in policy units; `reference_*` is the full-precision model's; `stage_*` are intermediate
values (features, first and last K and V) for boards that verify graph by graph. A bundle whose calls generate tokens
has them in `tokens`, and reproduces its answer to those (policy_spec/replay.py): what a board would have chosen among
near-equal codes is not what is checked. `stage_best` is then the largest logit after the prompt and after each token,
and a discrete bundle, which has no flow, has a chunk of no steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_spec.errors import BundleError, sentence
from policy_spec.pipeline import Observation

FILE = "golden.npz"
_STAGE = "stage_"


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """One observation and its answers."""

    tag: str
    task: str
    seed: int
    images: tuple[NDArray[np.uint8], ...]  # [H, W, 3] each
    state: NDArray[np.float32]  # [D] policy units
    actions: NDArray[np.float32]  # [n_action_steps, D] policy units, by the bundle's graphs
    normalized: NDArray[np.float32]  # [1, H, A], by the bundle's graphs
    reference_actions: NDArray[np.float32]  # by the full-precision model
    reference_normalized: NDArray[np.float32]
    stages: Mapping[str, NDArray[Any]]  # graph output name -> value by the bundle's graphs
    tokens: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # after the prompt, if any

    @property
    def observation(self) -> Observation:
        """What the pipeline takes."""
        return Observation(self.images, self.state)

    def save(self, folder: Path) -> None:
        """Writes golden.npz into a folder."""
        arrays: dict[str, Any] = {
            name: np.asarray(getattr(self, name)) for name in ("tag", "task", "seed", "state", "actions", "normalized")
        }
        arrays |= {"reference_actions": self.reference_actions, "reference_normalized": self.reference_normalized}
        arrays |= {"tokens": self.tokens} if len(self.tokens) else {}
        arrays |= {f"image_{i}": image for i, image in enumerate(self.images)}
        arrays |= {_STAGE + name: value for name, value in self.stages.items()}
        np.savez_compressed(folder / FILE, **arrays)

    @classmethod
    def load(cls, folder: Path) -> Golden:
        """Reads golden.npz of a folder. Raises BundleError where it is missing or not what `save` wrote."""
        try:
            with np.load(folder / FILE, allow_pickle=False) as data:
                arrays = {name: data[name] for name in data.files}
            images = tuple(arrays[f"image_{i}"] for i in range(sum(n.startswith("image_") for n in arrays)))
            return cls(
                tag=str(arrays["tag"]),
                task=str(arrays["task"]),
                seed=int(arrays["seed"]),
                images=images,
                state=arrays["state"],
                actions=arrays["actions"],
                normalized=arrays["normalized"],
                reference_actions=arrays["reference_actions"],
                reference_normalized=arrays["reference_normalized"],
                tokens=arrays.get("tokens", np.zeros(0, np.int64)),
                stages={n.removeprefix(_STAGE): v for n, v in arrays.items() if n.startswith(_STAGE)},
            )
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(
                sentence(
                    f"{folder / FILE} cannot be read",
                    expected="the golden values that the exporter wrote",
                    got=error,
                    do="export the bundle again",
                )
            ) from error
