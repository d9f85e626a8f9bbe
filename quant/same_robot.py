"""Whether observations are of the robot that a norm tag speaks of: cameras, sizes, and where its joints have been.

Takes a source of observations and a NormTag; gives the cameras in the policy's order and what a person should know, or
refuses. Joint frames look alike and differ by 90 degrees, so states far outside the tag's range are refused too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from episodes.observations import ObservationSource
from episodes.observations_recording import RecordingSource
from policy_spec.errors import UsageError, sentence
from policy_spec.norm import EPS, Normalizer, NormTag

MOST_EPISODES = 200  # whose states are looked at, spread over the source: on a hub each may be a file to fetch
FAR, MOST_FAR = 2.0, 0.1  # of a normalised joint, whose range is -1..1; share of frames that may be farther
STILL = 0.03  # of the tag's range: where no joint moves more, units are in doubt


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A source that fits a tag."""

    cameras: tuple[str, ...]  # of the source, in the policy's order of slots
    states: dict[int, np.ndarray]  # of the episodes that were looked at: [T, D] float32
    notes: tuple[str, ...]


def check_robot(source: ObservationSource, tag: NormTag, slots: tuple[str, ...]) -> Fit:
    """Raises UsageError where the source is of another robot, DatasetError where it is damaged."""
    if isinstance(source, RecordingSource) and source.norm_tag not in ("", tag.tag):
        raise UsageError(
            sentence(
                f"{source.name} is a recording of another robot's policy",
                expected=f"norm tag {tag.tag}",
                got=source.norm_tag,
                do="give a recording of this robot, or --norm-tag",
            )
        )
    order = camera_order(source, slots)
    count = len(source.lengths)
    looked = sorted({int(i) for i in np.linspace(0, count - 1, min(count, MOST_EPISODES)).round()}) if count else []
    states = {episode: source.states(episode) for episode in looked}
    first = next(iter(looked), None)
    if first is None or not sum(source.lengths):
        raise UsageError(sentence(f"{source.name} holds no observation", do="record some"))
    _width(source, "numbers of a state", states[first].shape[1], tag.state_dim, tag)
    actions = source.actions(first)
    if actions is not None:
        _width(source, "numbers of an action", actions.shape[1], tag.action_dim, tag)
    every = np.concatenate(list(states.values()))
    _refuse_far(source, tag, every)
    return Fit(order, states, _doubts(source, tag, every))


def camera_order(source: ObservationSource, slots: tuple[str, ...]) -> tuple[str, ...]:
    """The source's camera of each slot: by name, or in order where no name is shared and the numbers are equal."""
    short = {camera.rsplit(".", 1)[-1]: camera for camera in source.cameras}
    if set(slots) <= short.keys():
        return tuple(short[slot] for slot in slots)
    if len(source.cameras) == len(slots) and not set(slots) & short.keys():
        return tuple(source.cameras)
    raise UsageError(
        sentence(
            f"cameras of {source.name}",
            expected=f"one for each of the policy's: {', '.join(slots)}",
            got=", ".join(source.cameras) or "none",
            do="use episodes of this robot",
        )
    )


def normalized(stats: Normalizer, x: np.ndarray) -> np.ndarray:
    """[..., D] in the tag's range as -1..1, beyond it too; three deviations where it has mean and deviation."""
    if stats.mode == "none":
        return x.astype(np.float32)
    first, second = np.asarray(stats.first, np.float32), np.asarray(stats.second, np.float32)
    if stats.mode == "mean_std":
        out = (x - first) / np.maximum(3 * second, EPS)
    else:
        out = 2 * (x - first) / np.maximum(second - first, EPS) - 1
    return np.where(_ranged(stats), out, x).astype(np.float32)


def _ranged(stats: Normalizer) -> np.ndarray:
    """[D] whether the tag says in which range a dimension is."""
    known = np.full(stats.dim, stats.mode != "none")
    if stats.mask is not None:
        known &= np.asarray(stats.mask)
    if stats.zero is not None:
        known &= ~np.asarray(stats.zero)
    return known


def _width(source: ObservationSource, what: str, got: int, expected: int, tag: NormTag) -> None:
    if got != expected:
        raise UsageError(
            sentence(
                f"{what} in {source.name}",
                expected=f"{expected}, for the norm tag {tag.tag}",
                got=got,
                do="use episodes of this robot, or give --norm-tag",
            )
        )


def _refuse_far(source: ObservationSource, tag: NormTag, states: np.ndarray) -> None:
    share = (np.abs(normalized(tag.state, states)) > FAR).mean(axis=0) * _ranged(tag.state)
    worst = int(share.argmax()) if len(share) else 0
    if share[worst] > MOST_FAR:
        low, high = tag.state.first[worst], tag.state.second[worst]
        if tag.state.mode == "mean_std":
            low, high = low - 3 * high, low + 3 * high
        ends = np.quantile(states[:, worst], [0.01, 0.99])
        raise UsageError(
            sentence(
                f"{source.name} is of another robot, or in another joint frame: {source.state_names[worst]} is far "
                f"outside the range of the norm tag {tag.tag} in {share[worst]:.0%} of frames",
                expected=f"about {low:.4g} to {high:.4g}",
                got=f"{ends[0]:.4g} to {ends[1]:.4g}",
                do="use episodes of this robot in the policy's own joint frame (docs/datasets.md)",
            )
        )


def _doubts(source: ObservationSource, tag: NormTag, states: np.ndarray) -> tuple[str, ...]:
    known = _ranged(tag.state)
    low, high = np.quantile(normalized(tag.state, states), [0.01, 0.99], axis=0)
    moved = float(((high - low) / 2 * known).max(initial=0.0))
    if len(states) < 2 or not known.any() or moved >= STILL:
        return ()
    return (
        f"no joint of {source.name} moves through more than {moved:.1%} of the norm tag's range: are its states in "
        "radians where the policy takes degrees?",
    )
