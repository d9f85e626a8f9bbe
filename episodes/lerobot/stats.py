"""Statistics of one episode's features, and of episodes together, as meta/stats.json has them.

Takes arrays and pictures; gives min, max, mean, std, count, q01, q10, q50, q90, q99. Of vectors for each number; of
pictures for each channel, in 0..1 and of shape [3, 1, 1], over every second frame and thinned-out pixels. Of several
episodes the mean and deviation are exact; quantiles are the outermost of the episodes', as LeRobot defines them. Exact
ones of a whole dataset are episodes/norm_stats.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
Stats = dict[str, np.ndarray]
THIN_PIXELS = 150  # pictures are thinned to about this many pixels along their longer side
EVERY = 2  # of this many frames one is looked at


def vector_stats(values: np.ndarray) -> Stats:
    """Of [T, D] or [T]: each [D] float64, count [1]."""
    table = np.asarray(values, np.float64).reshape(len(values), -1)
    out = {"min": table.min(0), "max": table.max(0), "mean": table.mean(0), "std": table.std(0)}
    quantiles = np.quantile(table, list(QUANTILES.values()), axis=0)
    return {**out, "count": np.array([len(table)]), **dict(zip(QUANTILES, quantiles, strict=True))}


class PictureStats:
    """Counts of each of the 256 values of each channel, so that every statistic is exact for what was looked at."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), np.int64)
        self._seen = 0

    def add(self, picture: np.ndarray) -> None:
        """[h, w, 3] uint8."""
        if self._seen % EVERY == 0:
            step = max(1, max(picture.shape[:2]) // THIN_PIXELS)
            thin = picture[::step, ::step]
            for channel in range(3):
                self._counts[channel] += np.bincount(thin[..., channel].reshape(-1), minlength=256)
        self._seen += 1

    def stats(self) -> Stats:
        """Each [3, 1, 1] in 0..1; count: the pictures."""
        total = self._counts.sum(axis=1, keepdims=True)
        share, values = self._counts / total, np.arange(256) / 255
        mean = share @ values
        out = {
            "min": (self._counts > 0).argmax(axis=1) / 255,
            "max": (255 - (self._counts[:, ::-1] > 0).argmax(axis=1)) / 255,
            "mean": mean,
            "std": np.sqrt(np.maximum(share @ values**2 - mean**2, 0.0)),
        }
        for name, q in QUANTILES.items():
            out[name] = np.array([_quantile(counts, q) for counts in self._counts]) / 255
        shaped = {name: value.reshape(3, 1, 1) for name, value in out.items()}
        return {**shaped, "count": np.array([-(-self._seen // EVERY)])}


def _quantile(counts: np.ndarray, q: float) -> float:
    """Of values 0, 1, 2, ... that occur so often: numpy's definition, between the two nearest."""
    below = np.cumsum(counts)
    rank = (below[-1] - 1) * q
    low = int(np.searchsorted(below, np.floor(rank), "right"))
    high = int(np.searchsorted(below, min(np.floor(rank) + 1, below[-1] - 1), "right"))
    return float(low + (rank - np.floor(rank)) * (high - low))


def together(first: Mapping[str, Stats], second: Mapping[str, Stats]) -> dict[str, Stats]:
    """Of two sets of episodes, feature by feature."""
    return {key: _both(first[key], second[key]) for key in second}


def _both(a: Stats, b: Stats) -> Stats:
    count = a["count"] + b["count"]
    shares = a["count"] / count, b["count"] / count
    mean = a["mean"] * shares[0] + b["mean"] * shares[1]
    spread = sum(s * (x["std"] ** 2 + (x["mean"] - mean) ** 2) for s, x in zip(shares, (a, b), strict=True))
    out = {
        "min": np.minimum(a["min"], b["min"]),
        "max": np.maximum(a["max"], b["max"]),
        "mean": mean,
        "std": np.sqrt(spread),
        "count": count,
    }
    for name, q in QUANTILES.items():
        out[name] = (np.minimum if q <= 0.5 else np.maximum)(a[name], b[name])
    return out


def plain(stats: Mapping[str, Stats]) -> dict[str, dict[str, Any]]:
    """As JSON has it."""
    return {key: {name: value.tolist() for name, value in one.items()} for key, one in stats.items()}


def arrays(stats: Mapping[str, Mapping[str, Any]]) -> dict[str, Stats]:
    """The inverse of `plain`."""
    return {key: {name: np.asarray(value) for name, value in one.items()} for key, one in stats.items()}
