"""What two bundles are compared on: recorded observations, or the golden one and seeded variations of it.

Takes a source of episodes (LeRobot dataset, recording of `armside run`, folder) or a bundle; gives Samples in the
policy's order of cameras, each with the place it came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from episodes.observations import ObservationSource, choose, observations, open_observations
from policy_spec.golden import Golden
from policy_spec.norm import NormTag
from policy_spec.pipeline import Observation
from quant.same_robot import camera_order

BRIGHTNESS, NOISE, SHIFT = 0.25, 6.0, 12  # of a variation: share, grey levels, pixels
STATE = 0.15  # of the normalised range


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One observation, and where it is from in words."""

    observation: Observation
    task: str
    seed: int  # of the noise: the same for both bundles
    where: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Which samples."""

    episodes: str | None  # a path or a hub id; None: variations of the golden observation
    count: int
    seed: int = 0


def samples(asked: Asked, tag: NormTag, slots: tuple[str, ...], golden: Golden) -> tuple[str, Iterator[Sample]]:
    """In words what they are, and the samples one at a time. Raises DatasetError (the source), UsageError (cameras)."""
    if asked.episodes is None:
        words = (
            f"the golden observation and {asked.count - 1} seeded variations of it (brightness, noise, "
            "shifts, joints); no episodes were given, so these are not what a robot sees"
        )
        return words, _variations(asked, tag, golden)
    source = open_observations(asked.episodes)
    order = camera_order(source, slots)
    named = ", ".join(f"{slot} = {camera}" for slot, camera in zip(slots, order, strict=True))
    words = f"{asked.count} observations of {source.name}, spread over {len(source.lengths)} episodes; {named}"
    return words, _recorded(asked, source, order, golden.task)


def _recorded(asked: Asked, source: ObservationSource, order: tuple[str, ...], task: str) -> Iterator[Sample]:
    places = choose(source, asked.count, asked.seed)
    for number, seen in enumerate(observations(source, places)):
        where = f"{source.name}, episode {seen.where.episode}, frame {seen.where.frame}"
        pictures = tuple(np.asarray(seen.images[camera]) for camera in order)
        yield Sample(Observation(pictures, seen.state), seen.task or task, asked.seed + number, where)


def _variations(asked: Asked, tag: NormTag, golden: Golden) -> Iterator[Sample]:
    yield Sample(golden.observation, golden.task, golden.seed, "the golden observation")
    for number in range(1, asked.count):
        rng = np.random.default_rng([asked.seed, number])
        pictures = tuple(varied(image, rng) for image in golden.images)
        moved = tag.state.normalize(golden.state) + rng.normal(0, STATE, golden.state.shape).astype(np.float32)
        state = tag.state.unnormalize(np.clip(moved, -1, 1).astype(np.float32))
        seen = Observation(pictures, np.asarray(state, np.float32))
        yield Sample(seen, golden.task, golden.seed + number, f"variation {number} of the golden observation")


def varied(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture [h, w, 3] uint8, brighter or darker, moved by some pixels, with noise."""
    moved = np.roll(image, tuple(rng.integers(-SHIFT, SHIFT + 1, 2)), axis=(0, 1)).astype(np.float32)
    noisy = moved * rng.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS) + rng.normal(0, NOISE, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
