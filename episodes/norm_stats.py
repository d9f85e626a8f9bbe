"""norm_stats.json of datasets, as MolmoAct2 is released with: whole-dataset percentiles of states and actions by tag.

Takes one or more opened datasets of one robot and the words that the prompt says of it; gives one entry of
`metadata_by_tag`, and the file. Every frame of every dataset counts once; quantiles are exact. Reads no pictures. Knows
nothing of models.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from episodes.order_statistics import Summary, summarize
from policy_spec.errors import DatasetError, UsageError, sentence
from policy_spec.frames import Frame

if TYPE_CHECKING:
    from episodes.lerobot.dataset import Dataset

FORMAT = "molmoact2_norm_stats.v1"
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
Stages = Callable[[str, int, int], None]  # stage, done, total
GRIPPERS = ("quantiles", "range", "raw")
_WORD = "gripper"


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One dataset, and how its joints are turned into the policy's frame."""

    dataset: Dataset
    joints: tuple[Frame, Frame] | None = None  # from, to; None leaves them
    stated: str = ""  # the joint frame of a dataset that does not say it itself

    @property
    def frame(self) -> str:
        """The joint frame in which it is counted; "" where nobody has said."""
        return self.joints[1].name if self.joints else self.dataset.info.joint_frame or self.stated


@dataclass(frozen=True, slots=True)
class TagWords:
    """What the file says of the robot beside numbers. Raises UsageError on what cannot be."""

    setup_type: str  # as it stands in the prompt
    control_mode: str
    action_horizon: int
    n_action_steps: int
    camera_keys: tuple[str, ...]  # whole keys, in the prompt's order
    gripper: str = "quantiles"  # as other joints; range: by its least and greatest value; raw: not normalized

    def __post_init__(self) -> None:
        if not 1 <= self.n_action_steps <= self.action_horizon:
            expected = f"1 to the horizon, {self.action_horizon}"
            raise UsageError(sentence("steps that are executed", expected=expected, got=self.n_action_steps))
        if self.gripper not in GRIPPERS:
            raise UsageError(sentence("gripper", expected=f"one of {', '.join(GRIPPERS)}", got=self.gripper))


def tag_entry(
    sources: Sequence[Source], words: TagWords, tell: Stages = lambda stage, done, total: None
) -> dict[str, Any]:
    """The entry of one tag. Raises DatasetError where the datasets are of different robots or damaged.

    `tell` hears what is being counted, and how many of the episodes are.
    """
    first = sources[0].dataset
    for source in sources[1:]:
        mine = len(first.state_names), len(first.action_names)
        theirs = len(source.dataset.state_names), len(source.dataset.action_names)
        if mine != theirs:
            what = f"{source.dataset.name} is of another robot than {first.name}"
            raise DatasetError(sentence(what, expected=f"{mine} numbers of state and action", got=theirs))
    _same_frame(sources)
    stats = {}
    if not first.state_names:
        raise DatasetError(sentence(f"{first.name}: features", expected="observation.state", got="none"))
    for which, names in (("state", first.state_names), ("action", first.action_names)):
        rows = functools.partial(_rows, sources, which, tell)
        summary = summarize(rows, list(QUANTILES.values()))
        stats[which] = _stats(summary, names, words.gripper)
    return {
        "action_key": first.keys.action,
        "state_keys": list(first.keys.states),
        "camera_keys": list(words.camera_keys),
        "setup_type": words.setup_type,
        "control_mode": words.control_mode,
        "normalize_gripper": words.gripper != "raw",
        "action_horizon": words.action_horizon,
        "n_action_steps": words.n_action_steps,
        "action_dim": len(first.action_names),
        "state_stats": stats["state"],
        "action_stats": stats["action"],
    }


def _same_frame(sources: Sequence[Source]) -> None:
    """Raises UsageError where the joints of two datasets would be counted in two conventions."""
    frames = {source.frame for source in sources}
    if len(frames) > 1:
        got = ", ".join(f"{source.dataset.name} {source.frame or 'does not say'}" for source in sources)
        do = "convert them (--to-frame), and say the frame of those that do not (--joint-frame)"
        raise UsageError(sentence("joint frames of the datasets", expected="one for all", got=got, do=do))


def whole_file(entries: Mapping[str, Any], norm_mode: str = "q01_q99") -> dict[str, Any]:
    """norm_stats.json: tag -> its entry."""
    return {"format": FORMAT, "norm_mode": norm_mode, "metadata_by_tag": dict(entries)}


def _rows(sources: Sequence[Source], which: str, tell: Stages) -> Iterator[np.ndarray]:
    """[T, D] float32 of each episode, converted."""
    total, done = sum(len(source.dataset.lengths) for source in sources), 0
    for source in sources:
        for position in range(len(source.dataset.lengths)):
            tell(f"{which}s", done, total)
            done += 1
            view = source.dataset.episode(position)
            values = view.states if which == "state" else view.actions
            if source.joints is not None:
                given, wanted = source.joints
                values = wanted.from_si(given.to_si(values)).astype(np.float32)
            yield values


def _stats(summary: Summary, names: Sequence[str], gripper: str) -> dict[str, Any]:
    apart = np.array([_WORD in name.lower() for name in names])
    rows = {name: summary.quantiles[q] for name, q in QUANTILES.items()}
    if gripper == "range":
        rows["q01"] = np.where(apart, summary.low, rows["q01"])
        rows["q99"] = np.where(apart, summary.high, rows["q99"])
    rows |= {"min": summary.low, "max": summary.high, "mean": summary.mean, "std": summary.std}
    mask = ~apart if gripper == "raw" else np.ones(len(names), bool)
    return {
        **{name: value.tolist() for name, value in rows.items()},
        "count": [summary.count],
        "mask": mask.tolist(),
        "names": list(names),
    }
