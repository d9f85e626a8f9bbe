"""Which of many observations to calibrate on: extremes first, every task, then whatever is farthest from the chosen.

Takes descriptors (states, thumbnails, tasks, places in their episodes), gives indices, each with why it was chosen. The
farthest-point rule is Gonzalez's 2-approximation of the k-centre problem. Deterministic. Knows nothing of files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PHASE_WEIGHT = 0.25  # of the place in the episode; states, pictures and tasks count 1 each
MOST_EXTREMES = 0.5  # of the samples may be extremes of joints


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """n observations, as far as choosing among them is concerned."""

    states: np.ndarray  # [n, D] float32, normalised so that the tag's range is -1..1; not clipped
    shown: np.ndarray  # [n, D] float32, the same in the units that a person knows
    pictures: np.ndarray  # [n, P] float32, thumbnails of all cameras
    tasks: tuple[str, ...]  # n
    phases: np.ndarray  # [n] float32, 0 at an episode's first frame, 1 at its last


@dataclass(frozen=True, slots=True)
class Picked:
    """One choice."""

    index: int
    why: str


def choose_covering(seen: Described, count: int, names: Sequence[str]) -> list[Picked]:
    """At most `count` different observations, in the order in which they were chosen. names: of the D numbers."""
    count = min(count, len(seen.tasks))
    points = descriptors(seen)
    chosen: dict[int, list[str]] = {}
    for index, why in _extremes(seen, names):
        if index in chosen or len(chosen) < max(1, int(count * MOST_EXTREMES)):
            chosen.setdefault(index, []).append(why)
    for index, why in _tasks(seen, {seen.tasks[i] for i in chosen}):
        if len(chosen) < count:
            chosen.setdefault(index, []).append(why)
    far = _nearest(points, list(chosen))
    while len(chosen) < count:
        index = int(np.argmax(far))
        if far[index] <= 0.0:
            break  # what is left looks the same as something that was chosen
        chosen[index] = [f"farthest from the others: {far[index]:.2f}"]
        far = np.minimum(far, _distances(points, index))
    return [Picked(index, "; ".join(why)) for index, why in chosen.items()]


def coverage(seen: Described, chosen: Sequence[int]) -> float:
    """The distance from the observation that is worst covered to the nearest chosen one: what choosing makes small."""
    return float(_nearest(descriptors(seen), chosen).max())


def descriptors(seen: Described) -> np.ndarray:
    """[n, P] points whose squared distances are means over states, pictures, tasks and phases, each scaled so that two
    observations are 1 apart on average; what never differs does not count.
    """
    blocks = []
    kinds = sorted(set(seen.tasks))
    one_hot = np.array([[task == kind for kind in kinds] for task in seen.tasks], np.float32)
    weighted = ((seen.states, 1.0), (seen.pictures, 1.0), (one_hot, 1.0), (seen.phases[:, None], PHASE_WEIGHT))
    total = 0.0
    for block, weight in weighted:
        apart = 2.0 * float(np.var(block, axis=0, dtype=np.float64).sum())  # mean squared distance of two rows
        if apart > 1e-12:
            blocks.append(block * np.float32(np.sqrt(weight / apart)))
            total += weight
    if not blocks:
        return np.zeros((len(seen.tasks), 1), np.float32)
    return np.concatenate(blocks, axis=1) / np.float32(np.sqrt(total))


def _extremes(seen: Described, names: Sequence[str]) -> list[tuple[int, str]]:
    """Lowest and highest of each joint, those that reach farthest in the tag's range first."""
    found = []
    for joint, name in enumerate(names):
        column = seen.states[:, joint]
        if column.max() > column.min():
            for word, index in (("lowest", int(column.argmin())), ("highest", int(column.argmax()))):
                value = seen.shown[index, joint]
                found.append((abs(float(column[index])), index, f"{word} {name} ({value:.4g})"))
    found.sort(key=lambda entry: -entry[0])
    return [(index, why) for _, index, why in found]


def _tasks(seen: Described, there: set[str]) -> list[tuple[int, str]]:
    """The first observation of each task that no choice has so far."""
    many = Counter(seen.tasks)
    missing = [task for task in dict.fromkeys(seen.tasks) if task not in there]
    words = {task: "only sample" if many[task] == 1 else "first sample" for task in missing}
    return [(seen.tasks.index(task), f"{words[task]} of task {task!r}") for task in missing]


def _distances(points: np.ndarray, index: int) -> np.ndarray:
    away: np.ndarray = np.sqrt(np.square(points - points[index]).sum(axis=1))
    return away


def _nearest(points: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """[n] distance to the nearest chosen one; where none is chosen, to the middle."""
    if not chosen:
        away: np.ndarray = np.sqrt(np.square(points - points.mean(axis=0)).sum(axis=1))
        return away
    return np.min([_distances(points, index) for index in chosen], axis=0)
