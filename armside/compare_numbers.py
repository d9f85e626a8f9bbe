"""The numbers of a comparison: by graph, by layer, by joint, latency; and their JSON.

Takes the results of all samples, gives frozen rows. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from armside.compare_run import Result
from policy_spec.compare import cosine, max_abs

KINDS = ("features", "K", "V", "velocity")  # what passes between graphs, in order


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one number over all samples."""

    name: str
    mean: float
    p99: float
    worst: float
    where: str  # the worst sample
    detail: str = ""  # the worst layer or step


@dataclass(frozen=True, slots=True)
class Joint:
    """Of one column over all samples and steps."""

    name: str
    unit: str
    mean: float
    p99: float
    worst: float
    where: str
    step: int
    normalized: float  # the worst, as a share of half the joint's range


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of one stage, medians over interleaved rounds."""

    stage: str
    a: float
    b: float


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """All of a comparison."""

    samples: int
    whole: tuple[Spread, ...]  # by KINDS, end to end
    own: tuple[Spread, ...]  # by KINDS, each graph fed what A's gave; empty where calls generate tokens
    layers: dict[str, list[float]]  # K and V: mean over samples by layer, end to end
    cosine: Spread  # of the chunk; p99: the cosine that 99 % of the samples reach
    largest: Spread  # max|difference| of the normalised chunk
    joints: tuple[Joint, ...]
    tokens: Spread | None
    latency: tuple[Latency, ...]
    control: float | None  # how far another noise seed moves A's chunk
    worst_sample: int  # by the normalised chunk


def numbers_of(
    results: Sequence[Result],
    rounds: Sequence[tuple[dict[str, float], dict[str, float]]],
    columns: Sequence[tuple[str, str]],
) -> Numbers:
    """Raises ValueError where there is no result."""
    if not results:
        raise ValueError("nothing was compared")
    moved = [max_abs(b, a) for a, b in (r.normalized for r in results)]
    likeness = [cosine(b, a) for a, b in (r.normalized for r in results)]
    alike = [r.tokens_alike for r in results if r.tokens_alike is not None]
    return Numbers(
        samples=len(results),
        whole=_kinds(results, own=False),
        own=_kinds(results, own=True),
        layers=_layers(results),
        cosine=_spread("cosine of the chunk", results, likeness, low=True),
        largest=_spread("largest difference of the chunk, normalised", results, moved),
        joints=_joints(results, columns),
        tokens=_spread("tokens chosen alike", results, alike, low=True) if len(alike) == len(results) else None,
        latency=_latency(rounds),
        control=next((r.other_seed for r in results if r.other_seed is not None), None),
        worst_sample=int(np.argmax(moved)),
    )


def kind_of(stage: str) -> str:
    """features, K, V or velocity."""
    return {"k": "K", "v": "V"}.get(stage.partition("_")[0], stage.partition(" ")[0])


def _kinds(results: Sequence[Result], own: bool) -> tuple[Spread, ...]:
    """Of each kind the mean over samples of the mean over layers or steps; the worst layer of the worst sample."""
    rows = []
    for kind in KINDS:
        means, worsts, names = [], [], []
        for result in results:
            told = [(s.own if own else s.whole, s.name) for s in result.stages if kind_of(s.name) == kind]
            values = [(value, name) for value, name in told if value is not None]
            if values:
                means.append(float(np.mean([value for value, _ in values])))
                worst, name = max(values)
                worsts.append(worst)
                names.append(name)
        if len(worsts) == len(results):
            place = int(np.argmax(worsts))
            p99 = float(np.percentile(worsts, 99))
            detail = "" if kind == "features" else names[place]
            rows.append(Spread(kind, float(np.mean(means)), p99, worsts[place], results[place].where, detail))
    return tuple(rows)


def _layers(results: Sequence[Result]) -> dict[str, list[float]]:
    names = [s.name for s in results[0].stages if kind_of(s.name) in ("K", "V")]
    table = np.array([[s.whole for s in r.stages if kind_of(s.name) in ("K", "V")] for r in results])
    mean = table.mean(axis=0) if names else np.zeros(0)
    return {
        kind: [float(value) for name, value in zip(names, mean, strict=True) if kind_of(name) == kind] for kind in "KV"
    }


def _spread(name: str, results: Sequence[Result], values: Sequence[float], low: bool = False) -> Spread:
    """low: small values are the bad ones."""
    array = np.asarray(values, np.float64)
    place = int(array.argmin() if low else array.argmax())
    p99 = float(np.percentile(array, 1 if low else 99))
    return Spread(name, float(array.mean()), p99, float(array[place]), results[place].where)


def _joints(results: Sequence[Result], columns: Sequence[tuple[str, str]]) -> tuple[Joint, ...]:
    steps = min(len(r.actions[side]) for r in results for side in (0, 1))
    if steps == 0:
        return ()
    apart = np.abs(np.stack([r.actions[1][:steps] - r.actions[0][:steps] for r in results]).astype(np.float64))
    scaled = np.abs(np.stack([r.normalized[1] - r.normalized[0] for r in results])).max(axis=(0, 1))
    rows = []
    for place, (name, unit) in enumerate(columns):
        mine = apart[..., place]
        sample, step = (int(i) for i in np.unravel_index(int(mine.argmax()), mine.shape))
        p99 = float(np.percentile(mine, 99))
        where = results[sample].where
        worst = float(mine[sample, step])
        rows.append(Joint(name, unit, float(mine.mean()), p99, worst, where, step, float(scaled[place])))
    return tuple(rows)


def _latency(rounds: Sequence[tuple[dict[str, float], dict[str, float]]]) -> tuple[Latency, ...]:
    if not rounds:
        return ()
    stages = list(rounds[0][0])
    rows = [
        Latency(stage, *(float(np.median([pair[side].get(stage, 0.0) for pair in rounds])) for side in (0, 1)))
        for stage in stages
    ]
    whole = (float(np.median([sum(pair[side].values()) for pair in rounds])) for side in (0, 1))
    return (*rows, Latency("whole call", *whole))


def worst_joint(numbers: Numbers) -> Joint | None:
    """The joint whose worst error is the largest share of its range."""
    return max(numbers.joints, key=lambda joint: joint.normalized, default=None)


def numbers_json(numbers: Numbers) -> dict[str, Any]:
    """Everything, for programs."""
    return asdict(numbers)
