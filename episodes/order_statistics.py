"""Exact quantiles, least, greatest, mean and deviation of numbers that do not fit into memory, in two passes.

Takes something that gives the same arrays [n, D] float32 each time it is gone through; gives float64 of each
dimension. The bits of a float, ordered, are counted by their upper half in the first pass, and by their lower half
around each wanted rank in the second: so every order statistic is exact, with a few megabytes for any number of rows.
Quantiles lie between two of them by numpy's linear definition. Knows nothing of datasets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from policy_spec.errors import DatasetError, sentence

HALF = 1 << 16
BATCH = 1 << 16  # rows that are counted at once
Passes = Callable[[], Iterable[np.ndarray]]


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """[D] float64 each."""

    count: int  # rows
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    quantiles: dict[float, np.ndarray]


def summarize(passes: Passes, wanted: Sequence[float]) -> Summary:
    """Goes through the rows twice. Raises DatasetError where there are none, they differ in width or are not finite."""
    count, total, upper = 0, np.zeros(0), np.zeros((0, HALF), np.int64)
    for rows in _batches(passes()):
        if not count:
            total, upper = np.zeros(rows.shape[1]), np.zeros((rows.shape[1], HALF), np.int64)
        count += len(rows)
        total += rows.sum(axis=0, dtype=np.float64)
        for dim, keys in enumerate(ordered(rows).T):
            upper[dim] += np.bincount(keys >> 16, minlength=HALF)
    if not count:
        raise DatasetError(sentence("statistics of a dataset", expected="at least one frame", got="none"))
    mean = total / count
    ranks = _ranks(count, wanted)
    places = [{rank: _find(upper[dim], rank) for rank in ranks} for dim in range(len(mean))]
    values, spread = _second_pass(passes, places, mean)
    return Summary(
        count=count,
        low=np.array([dim[0] for dim in values]),
        high=np.array([dim[count - 1] for dim in values]),
        mean=mean,
        std=np.sqrt(spread / count),
        quantiles={q: np.array([_between(dim, count, q) for dim in values]) for q in wanted},
    )


def _batches(parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same rows in larger arrays, checked."""
    waiting: list[np.ndarray] = []
    width: int | None = None
    for part in parts:
        width = part.shape[1] if width is None and part.ndim == 2 else width
        if part.ndim != 2 or part.shape[1] != width or not np.isfinite(part).all():
            expected, got = f"finite numbers [n, {width}]", f"{list(part.shape)}"
            raise DatasetError(sentence("rows of a dataset", expected=expected, got=got))
        waiting.append(part)
        if sum(map(len, waiting)) >= BATCH:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def ordered(values: np.ndarray) -> np.ndarray:
    """uint32 keys that sort as the float32 values do."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def valued(key: int) -> float:
    """The float32 of a key."""
    bits = key & 0x7FFFFFFF if key >> 31 else ~key & 0xFFFFFFFF
    return float(np.array(bits, np.uint32).view(np.float32))


def _ranks(count: int, wanted: Sequence[float]) -> tuple[int, ...]:
    """The ranks that are needed: the ends, and both neighbours of each quantile."""
    near = {int(np.floor((count - 1) * q)) + step for q in wanted for step in (0, 1)}
    return tuple(sorted({0, count - 1, *(min(rank, count - 1) for rank in near)}))


def _find(counts: np.ndarray, rank: int) -> tuple[int, int]:
    """The bucket that holds the rank, and the rank inside it."""
    below = np.cumsum(counts)
    bucket = int(np.searchsorted(below, rank, side="right"))
    return bucket, rank - (int(below[bucket - 1]) if bucket else 0)


def _second_pass(
    passes: Passes, places: list[dict[int, tuple[int, int]]], mean: np.ndarray
) -> tuple[list[dict[int, float]], np.ndarray]:
    """Of each dimension the value of each rank; and the sums of squared distances from the mean."""
    lower = [{bucket: np.zeros(HALF, np.int64) for bucket, _ in dim.values()} for dim in places]
    spread = np.zeros(len(mean))
    for rows in _batches(passes()):
        spread += ((rows.astype(np.float64) - mean) ** 2).sum(axis=0)
        for buckets, keys in zip(lower, ordered(rows).T, strict=True):
            high = keys >> 16
            for bucket, counts in buckets.items():
                inside = keys[high == bucket] & np.uint32(HALF - 1)
                if len(inside):
                    counts += np.bincount(inside, minlength=HALF)
    values = []
    for dim, buckets in zip(places, lower, strict=True):
        inside = {rank: _find(buckets[bucket], offset)[0] for rank, (bucket, offset) in dim.items()}
        values.append({rank: valued(dim[rank][0] << 16 | low) for rank, low in inside.items()})
    return values, spread


def _between(values: dict[int, float], count: int, q: float) -> float:
    """numpy's linear interpolation, from the nearer side."""
    virtual = (count - 1) * q
    rank = int(np.floor(virtual))
    low, high, share = values[rank], values[min(rank + 1, count - 1)], virtual - rank
    return high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share
