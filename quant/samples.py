"""Calibration samples: observations of one robot, chosen for coverage, each with the reason and its hash.

Takes a source of observations (LeRobot dataset, recording of `armside run`, folder of pictures and states) and the norm
tag of the policy; gives a SampleSet as the policy takes it: pictures in its order, states in its units. The same source
gives the same set, whose sha256 goes into the bundle's manifest. Knows nothing of graphs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from episodes.chunks import chunk_at
from episodes.observations import Observation as Seen
from episodes.observations import ObservationSource, Where, choose
from policy_spec.errors import UsageError, sentence
from policy_spec.norm import NormTag
from policy_spec.pipeline import Observation
from quant.coverage import Described, choose_covering
from quant.same_robot import Fit, check_robot, normalized

COUNT, POOL = 32, 256  # samples; frames that are looked at for choosing them, beside the extremes
THUMBNAIL = 8  # pixels along each side, per camera
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """How many, of how many, and by which seed those are drawn."""

    count: int = COUNT
    pool: int = POOL
    seed: int = 0
    task: str = ""  # of observations that have none in words


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One observation as the policy takes it."""

    observation: Observation  # pictures in the policy's order, state in its units
    task: str
    seed: int  # of the flow's noise
    where: Where
    why: str  # it was chosen
    sha256: str  # of task, state and pictures: episodes.observations.Observation.sha256
    chunk: np.ndarray | None = None  # [H, D] float32 actions that were recorded from here on, in policy units
    padded: np.ndarray | None = None  # [H] bool, steps of it beyond the episode's end

    @property
    def place(self) -> str:
        """In words."""
        return f"{self.where.dataset}, episode {self.where.episode}, frame {self.where.frame}"


@dataclass(frozen=True, slots=True, eq=False)
class SampleSet:
    """Samples in the order in which they were chosen: the first n of them are the n to take where time is short."""

    source: str  # its name
    tag: str
    cameras: tuple[str, ...]  # of the source, in the policy's order
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of all samples in their order, with the seeds of their noise."""
        lines = "".join(f"{sample.sha256} {sample.seed}\n" for sample in self.samples)
        return hashlib.sha256(lines.encode()).hexdigest()

    def first(self, count: int) -> SampleSet:
        """The first so many."""
        return SampleSet(self.source, self.tag, self.cameras, self.samples[:count], self.notes)


def select(
    source: ObservationSource, tag: NormTag, slots: tuple[str, ...], options: SampleOptions, progress: Progress
) -> SampleSet:
    """The set. Raises UsageError (another robot, a count below 1), DatasetError (damaged files)."""
    if options.count < 1:
        raise UsageError(sentence("calibration samples", expected="at least 1", got=options.count))
    fit = check_robot(source, tag, slots)
    places = _pool(source, fit, tag, options)
    seen, hashes = _described(source, fit, tag, places, progress)
    names = source.state_names
    picked = choose_covering(seen, options.count, names)
    samples = []
    for number, pick in enumerate(picked):
        progress("read the samples", number, len(picked))
        found = source.observation(places[pick.index].episode, places[pick.index].frame)
        samples.append(_sample(source, fit, tag, found, (options.task, number, pick.why)))
        assert samples[-1].sha256 == hashes[pick.index], "a source gave another observation for the same place"
    notes = list(fit.notes)
    if not all(sample.task for sample in samples):
        notes.append(f"{source.name} says of some samples not in words what is being done: give --task")
    if len(samples) < options.count:
        notes.append(f"{source.name} has only {len(samples)} observations that differ; {options.count} were asked for")
    return SampleSet(source.name, tag.tag, fit.cameras, tuple(samples), tuple(notes))


def _pool(source: ObservationSource, fit: Fit, tag: NormTag, options: SampleOptions) -> list[Where]:
    """The frames to look at: a stretch of the source each, and the lowest and highest of every joint."""
    places = dict.fromkeys(choose(source, max(options.pool, options.count), options.seed))
    places.update(dict.fromkeys(_extremes(source, fit, tag)))
    return sorted(places)


def _extremes(source: ObservationSource, fit: Fit, tag: NormTag) -> set[Where]:
    """The frames where a joint is lowest or highest in all the source, as far as it was looked at."""
    lowest: dict[int, tuple[float, int, int]] = {}
    highest: dict[int, tuple[float, int, int]] = {}
    for episode, states in fit.states.items():
        values = normalized(tag.state, states)
        for joint in range(tag.state_dim):
            low, high = int(values[:, joint].argmin()), int(values[:, joint].argmax())
            least = (float(values[low, joint]), episode, low)
            most = (-float(values[high, joint]), episode, high)
            lowest[joint] = min(lowest.get(joint, least), least)
            highest[joint] = min(highest.get(joint, most), most)
    return {Where(source.name, episode, frame) for _, episode, frame in (*lowest.values(), *highest.values())}


def _described(
    source: ObservationSource, fit: Fit, tag: NormTag, places: list[Where], progress: Progress
) -> tuple[Described, list[str]]:
    """Descriptors of the pool, and each observation's hash; a picture at a time is in memory."""
    states, pictures, tasks, hashes = [], [], [], []
    for number, place in enumerate(places):
        progress("look at observations", number, len(places))
        seen = source.observation(place.episode, place.frame)
        states.append(seen.state)
        pictures.append(np.concatenate([thumbnail(seen.images[camera]) for camera in fit.cameras]))
        tasks.append(seen.task)
        hashes.append(seen.sha256)
    phases = [place.frame / max(1, source.lengths[place.episode] - 1) for place in places]
    shown = np.stack(states)
    described = Described(
        normalized(tag.state, shown), shown, np.stack(pictures), tuple(tasks), np.array(phases, np.float32)
    )
    return described, hashes


def thumbnail(image: np.ndarray) -> np.ndarray:
    """[h, w, 3] uint8 -> [THUMBNAIL * THUMBNAIL * 3] float32 of 0..1."""
    small = Image.fromarray(image).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    flat: np.ndarray = np.asarray(small, np.float32).reshape(-1) / 255
    return flat


def _sample(
    source: ObservationSource, fit: Fit, tag: NormTag, seen: Seen, chosen: tuple[str, int, str]
) -> Sample:  # chosen: the task where there is none, its number, why
    task, number, why = chosen
    actions = source.actions(seen.where.episode)
    chunk, padded = (None, None) if actions is None else chunk_at(actions, seen.where.frame, tag.horizon)
    pictures = tuple(np.asarray(seen.images[camera]) for camera in fit.cameras)
    return Sample(
        observation=Observation(pictures, seen.state),
        task=seen.task or task,
        seed=number,
        where=seen.where,
        why=why,
        sha256=seen.sha256,
        chunk=chunk,
        padded=padded,
    )
