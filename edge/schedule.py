"""When to predict, and which steps of a chunk are still to come. Pure: time comes in as the bridge's ticks.

One idea: the policy's time stands still while the arm stands still. A chunk that was computed from tick `o`
says where the arm should be at o, o + 1 step, o + 2 steps. Where the arm kept moving while the chunk was
computed, the steps that are past are skipped; where it had stopped to wait for it, that wait is added.

`execute` steps of each chunk are used, counted from the first that is not past; the rest is cut off, so that
the arm holds rather than follow the tail of a chunk whose successor is late. The next observation is taken so
early that its chunk comes just before the last used step, and so late that `execute` of its steps are then
still to come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

NEVER = -math.inf


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What does not change during a run."""

    horizon: int  # steps of a chunk
    execute: int  # steps used of each
    step_ticks: float  # bridge ticks per step, may be a fraction

    def __post_init__(self) -> None:
        if not (1 <= self.execute <= self.horizon and self.step_ticks > 0):
            raise ValueError(f"execute {self.execute} of {self.horizon} steps, {self.step_ticks} ticks each")


@dataclass(frozen=True, slots=True)
class Latency:
    """A running mean of how long a prediction takes, and of how much that varies. Seconds."""

    mean_s: float
    spread_s: float = 0.0

    def seen(self, sample_s: float) -> Latency:
        """Mean and mean deviation with gains of 1/4: a slow call counts at once, one outlier fades in ten."""
        off = sample_s - self.mean_s
        return Latency(self.mean_s + off / 4, self.spread_s + (abs(off) - self.spread_s) / 4)

    @property
    def safe_s(self) -> float:
        """Long enough for nearly every call."""
        return self.mean_s + 2 * self.spread_s


@dataclass(frozen=True, slots=True)
class Motion:
    """Until when the arm follows what it was last sent. Ticks."""

    end_tick: float = NEVER  # the arm holds from here on


@dataclass(frozen=True, slots=True)
class Placed:
    """A chunk put in time: send `actions[:steps]` with `start_tick`."""

    start_tick: int
    first: int  # the first step that is not past
    steps: int  # how many to send, from step 0
    motion: Motion


def observe_at(rhythm: Rhythm, motion: Motion, latency_ticks: float) -> float:
    """The tick at which the next observation should be taken; past where it is due already."""
    ready_in_time = motion.end_tick - latency_ticks - rhythm.step_ticks  # one step of slack
    not_too_early = motion.end_tick - (rhythm.horizon - rhythm.execute) * rhythm.step_ticks
    return max(ready_in_time, not_too_early)


def place(rhythm: Rhythm, motion: Motion, observed_tick: int, now_tick: int) -> Placed | None:
    """Where a chunk computed from `observed_tick` belongs, now that it is here. None: all of it is past."""
    stopped_at = min(max(motion.end_tick, observed_tick), now_tick)
    start = observed_tick + (now_tick - int(stopped_at))
    first = math.ceil((now_tick - start) / rhythm.step_ticks)
    if first >= rhythm.horizon:
        return None
    steps = min(rhythm.horizon, first + rhythm.execute)
    return Placed(start, first, steps, Motion(start + steps * rhythm.step_ticks))


def steps_made(rhythm: Rhythm, start_tick: int, now_tick: int) -> int:
    """Steps of a chunk sent with `start_tick` that are past, at most its horizon."""
    return max(0, min(rhythm.horizon, int((now_tick - start_tick) / rhythm.step_ticks)))


def call_seed(seed: int, index: int) -> int:
    """The seed of one prediction: other noise in each call, the same in each run with the same --seed.

    splitmix64 of (seed, index), cut to 32 bits.
    """
    mixed = (seed * 0x9E3779B97F4A7C15 + index + 1) & 0xFFFFFFFFFFFFFFFF
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) & 0xFFFFFFFFFFFFFFFF
    return (mixed ^ (mixed >> 31)) & 0xFFFFFFFF
