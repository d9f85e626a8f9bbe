"""Times of several ways in turn, so that they share whatever else the machine does.

A call is timed from the first copy to the device to the chunk on the host, by the clock; after a warm-up of each way,
which captures what is captured. `device_times` are of a way's stages alone, each a graph of its own, on the device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

import torch

from bench.gpu.capture import Captured, Work, wait

WARM = 3
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds."""

    p50: float
    p90: float
    best: float
    count: int

    @classmethod
    def of(cls, seconds: list[float]) -> Times:
        """At least one."""
        ms = sorted(1e3 * s for s in seconds)
        p90 = quantiles(ms, n=10, method="inclusive")[-1] if len(ms) > 1 else ms[0]
        return cls(median(ms), p90, ms[0], len(ms))


def interleaved(calls: Mapping[str, Callable[[], float]], rounds: int, progress: Progress) -> dict[str, Times]:
    """Each call gives the seconds that count of it."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(-WARM, rounds):
        for name, call in calls.items():
            seconds = call()
            if number >= 0:
                took[name].append(seconds)
        progress(f"round {number + 1} of {rounds}" if number >= 0 else "warming up")
    return {name: Times.of(seconds) for name, seconds in took.items()}


def timed(call: Callable[[], object]) -> Callable[[], float]:
    """Wall time of one call, which waits for its own end."""

    def once() -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started

    return once


def device_times(stages: Mapping[str, Work], device: torch.device, rounds: int) -> dict[str, Times]:
    """Each stage by itself, `rounds` times between two waits each."""
    out = {}
    for name, work in stages.items():
        graph, took = Captured(work, device), []
        for number in range(rounds + 1):
            started = time.perf_counter()
            graph()
            wait(device)
            took += [time.perf_counter() - started] if number else []
        out[name] = Times.of(took)
    return out
