"""How long calls take: rounds in which all sides take turns, a session's call by stage, and percentiles.

Takes callables, gives what they returned; takes seconds, gives a Spread in ms. Whatever else the machine does, it does
to all sides of a round. Knows nothing of bundles and boards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from edge.session import Session
from policy_spec.pipeline import Observation, Prediction

T = TypeVar("T")
WHOLE = "whole call"
HOST = "host"
HOST_STAGES = ("prepare", "patches", "finish")  # of Prediction.timings: what no graph computes
SHARES = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class Spread:
    """Of many times, in ms."""

    p50: float
    p90: float
    p99: float
    mean: float
    least: float
    most: float
    count: int


def rounds(
    calls: Mapping[str, Callable[[], T]], count: int, warm: int = 1, after: Callable[[int], None] = lambda number: None
) -> dict[str, list[T]]:
    """What `count` calls of each side returned, after `warm` of each that are not kept. `after` is told each round."""
    kept: dict[str, list[T]] = {name: [] for name in calls}
    for number in range(1 - warm, count + 1):
        for name, call in calls.items():
            result = call()
            if number > 0:
                kept[name].append(result)
        after(number)
    return kept


def timed(session: Session, seen: Observation, task: str, seed: int = 0) -> tuple[Prediction, dict[str, float]]:
    """One call, and its seconds by stage with WHOLE, which is measured from outside."""
    start = time.perf_counter()
    prediction = session.predict(seen, task, seed)
    return prediction, {**prediction.timings, WHOLE: time.perf_counter() - start}


def by_part(seconds: Mapping[str, float]) -> dict[str, float]:
    """Stages with what the host computes as one, HOST, before WHOLE."""
    parts = {name: took for name, took in seconds.items() if name not in (*HOST_STAGES, WHOLE)}
    parts[HOST] = sum(seconds.get(name, 0.0) for name in HOST_STAGES)
    return {**parts, WHOLE: seconds[WHOLE]} if WHOLE in seconds else parts


def spread(seconds: Sequence[float]) -> Spread:
    """Percentiles (linear between ranks), mean and ends. ValueError where there are no times."""
    if not seconds:
        raise ValueError("no times to tell the spread of")
    ms = 1e3 * np.asarray(seconds, np.float64)
    p50, p90, p99 = (float(p) for p in np.percentile(ms, SHARES))
    return Spread(p50, p90, p99, float(ms.mean()), float(ms.min()), float(ms.max()), len(ms))


def spreads(samples: Iterable[Mapping[str, float]]) -> dict[str, Spread]:
    """Stage -> Spread, in the order of the first sample."""
    kept: dict[str, list[float]] = {}
    for sample in samples:
        for name, seconds in sample.items():
            kept.setdefault(name, []).append(seconds)
    return {name: spread(values) for name, values in kept.items()}
