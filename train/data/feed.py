"""The datasets of a configuration as a trainer's feed: opened, matched to the policy's tags and cameras, mixed.

Takes a Config's [data]; gives what opens rows (here, or in a worker), and the plan of a stage. Knows
nothing of tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from episodes.lerobot.dataset import Dataset, open_dataset
from episodes.mixture import Mixture, Part
from episodes.stream import Place
from policy_spec.errors import UsageError, sentence
from policy_spec.frames import Frame
from policy_spec.frames import frame as named_frame
from policy_spec.norm import NormTag
from policy_spec.spec import PolicySpec
from train.data.cache import PictureCache, Told
from train.data.loader import OpenRows
from train.data.rows import Plan, Row, Rows
from train.data.text import TextFile, TextPlan, WithText
from train.recipe.config import Data, DatasetPart


@dataclass(frozen=True, slots=True)
class Opening:
    """Opens the rows of a mixture: what a worker process is sent."""

    data: Data
    tags: tuple[NormTag, ...]  # of each dataset
    size: tuple[int, int]  # of the policy's pictures
    seed: int

    def __call__(self) -> Rows:
        rows = MixtureRows(self) if self.data.datasets else None
        return rows if rows is not None and not self.data.text_share else self._with_text(rows)

    def mixture(self) -> Mixture:
        """Opened datasets."""
        parts = [part_of(part, tag, self.data) for part, tag in zip(self.data.datasets, self.tags, strict=True)]
        return Mixture(parts, camera_order="episode" if self.data.shuffle_cameras else "none", seed=self.seed)

    def _with_text(self, rows: Rows | None) -> Rows:
        return WithText(rows, TextFile.open(self.data.text))


class MixtureRows:
    """Rows of a mixture, their pictures from a cache where there is one."""

    def __init__(self, opening: Opening) -> None:
        self.mixture = opening.mixture()
        self.caches: list[PictureCache | None] = []
        for part in self.mixture.parts:
            root = Path(opening.data.cache) if opening.data.cache else None
            cached = root and PictureCache.open(root, part.dataset, part.slots, opening.size)
            self.caches.append(cached or None)

    def fill(self, told: Told) -> None:
        """Decodes what the caches lack."""
        for part, cache in zip(self.mixture.parts, self.caches, strict=True):
            if cache is not None:
                cache.fill(part.dataset, told)

    def row(self, place: Place) -> Row:
        number, episode, frame = place
        cache = self.caches[number]
        pictures = None
        if cache is not None and bool(cache.done[episode]):
            pictures = lambda camera: cache.picture(camera, episode, frame)  # noqa: E731 - a lookup
        sample = self.mixture.sample(place, pictures)
        return Row(
            sample.images, sample.task, sample.tag, sample.state, sample.actions, sample.step_is_pad, sample.depth
        )


@dataclass(slots=True, eq=False)
class DatasetFeed:
    """A trainer's Feed over the datasets of a configuration."""

    data: Data
    seed: int
    told: Told = field(default=lambda stage, done, total: None)
    leads: bool = True  # fills caches; the other processes read them
    _opening: Opening | None = field(init=False, default=None)

    def open(self, spec: PolicySpec) -> OpenRows:
        """Raises UsageError, DatasetError where a dataset does not fit the policy."""
        tags = tuple(spec.tag(part.tag or None) for part in self.data.datasets)
        opening = Opening(self.data, tags, spec.image_size, self.seed)
        if self.data.cache and self.data.datasets and self.leads:
            MixtureRows(opening).fill(self.told)
        self._opening = opening
        return opening

    def plan(self, stage: int) -> Plan:
        """After `open`."""
        assert self._opening is not None
        opening = self._opening
        plan: Plan | None = None
        if self.data.datasets:
            mixture = Opening(opening.data, opening.tags, opening.size, self.seed + stage).mixture()
            plan = mixture.stream()
        if not self.data.text_share:
            if plan is None:
                raise UsageError(sentence("[data]", expected="datasets, or text with a text_share", got="neither"))
            return plan
        text = TextFile.open(self.data.text)
        return TextPlan(plan, len(text.lines), self.data.text_share, self.seed + stage)


def part_of(part: DatasetPart, tag: NormTag, data: Data) -> Part:
    """One dataset of the mixture, checked against its tag."""
    dataset = open_dataset(part.path)
    cameras = part.cameras or cameras_of(dataset, tag)
    for what, got, wanted in (
        ("states", len(dataset.state_names), tag.state_dim),
        ("actions", len(dataset.action_names), tag.action_dim),
    ):
        if got != wanted:
            do = "give the dataset's own tag (data.datasets.tag)"
            raise UsageError(sentence(f"{what} of {dataset.name} for tag {tag.tag}", expected=wanted, got=got, do=do))
    weight = part.weight or None
    return Part(dataset, tag.horizon, weight, tag.tag, cameras, joints_of(part, dataset, data.frame), part.annotated)


def cameras_of(dataset: Dataset, tag: NormTag) -> tuple[str, ...]:
    """The tag's cameras, where the dataset calls them so. Raises UsageError where it does not."""
    there = {*dataset.cameras, *dataset.camera_slots}
    for wanted in (tag.camera_keys, tag.camera_slots):
        if wanted and all(camera in there for camera in wanted):
            return dataset_slots(dataset, wanted)
    if not tag.camera_keys:
        return dataset.camera_slots
    raise UsageError(
        sentence(
            f"cameras of {dataset.name} for tag {tag.tag}",
            expected=", ".join(tag.camera_slots),
            got=", ".join(dataset.camera_slots),
            do="name the dataset's cameras in the tag's order (data.datasets.cameras)",
        )
    )


def dataset_slots(dataset: Dataset, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Short names of cameras that go by either name."""
    short = dict(zip(dataset.cameras, dataset.camera_slots, strict=True))
    return tuple(short.get(camera, camera) for camera in wanted)


def joints_of(part: DatasetPart, dataset: Dataset, policy: str) -> tuple[Frame, Frame] | None:
    """From the dataset's joint frame to the policy's. Raises UsageError where the dataset's is not known."""
    if not policy:
        return None
    own = part.frame or dataset.info.joint_frame
    if not own:
        raise UsageError(
            sentence(
                f"joint frame of {dataset.name}",
                expected="its name, because data.frame says that of the policy",
                got="nobody has said",
                do="set data.datasets.frame",
            )
        )
    return None if own == policy else (named_frame(own), named_frame(policy))
