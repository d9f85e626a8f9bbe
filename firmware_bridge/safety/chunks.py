"""A mailbox of one newest chunk, and where its path is at each tick.

Pure: ticks are passed in. Age is counted in the bridge's own ticks since the status that a chunk was
computed from, so no client's clock matters. Knows nothing of limits or servos.
"""

from __future__ import annotations

import collections
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ChunkRefused, sentence
from firmware_bridge.messages import FRAME, UNITS, Chunk

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Door:
    """What a chunk must fit."""

    arm: str
    joints: int
    rate_hz: float
    max_age_ticks: int


class Mailbox:
    """Holds the chunk being followed, and at most one newer whose start tick is still to come."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._published: collections.deque[tuple[int, int]] = collections.deque(maxlen=door.max_age_ticks)
        self._tick = 0
        self._current: Chunk | None = None
        self._next: Chunk | None = None

    def published(self, seq: int, tick: int) -> None:
        """A status went out: chunks may refer to it."""
        self._published.append((seq, tick))
        self._tick = tick

    def offer(self, chunk: Chunk) -> None:
        """Take a chunk; the newest wins. Raises ChunkRefused and keeps what it had."""
        self._check_names(chunk)
        self._check_age(chunk)
        if chunk.start_tick > self._tick and self._current is not None:
            self._next = chunk
        else:
            self._current, self._next = chunk, None

    def target(self, tick: int) -> Array | None:
        """Where the path is at `tick`, [D] rad; None without a chunk, before its start, after its end."""
        if self._next is not None and self._next.start_tick <= tick:
            self._current, self._next = self._next, None
        if self._current is None or tick < self._current.start_tick:
            return None
        if tick >= end_tick(self._current, self._door.rate_hz):
            self._current = None
            return None
        return sample(self._current, tick, self._door.rate_hz)

    def pace(self, tick: int) -> Array | None:
        """How fast the path of `target` moves there, [D] rad/s: from the tick before, at its start to the next."""
        chunk, rate = self._current, self._door.rate_hz
        if chunk is None:
            return None
        before = max(tick - 1, chunk.start_tick)
        return (sample(chunk, before + 1, rate) - sample(chunk, before, rate)) * rate

    @property
    def speed(self) -> float:
        """The fastest that the chunk being followed allows, rad/s; infinite where it names none."""
        return math.inf if self._current is None or not self._current.speed else self._current.speed

    @property
    def chunk_seq(self) -> int:
        """status_seq of the chunk being followed, -1 without one."""
        return -1 if self._current is None else self._current.status_seq

    def clear(self) -> None:
        self._current = self._next = None

    def _check_names(self, chunk: Chunk) -> None:
        door = self._door
        rows = (("arm", door.arm, chunk.arm), ("units", UNITS, chunk.units), ("frame", FRAME, chunk.frame))
        for name, expected, got in rows:
            if expected != got:
                do = "convert the policy's actions with its named joint frame before sending them"
                raise ChunkRefused(sentence(f"a chunk for another {name}", expected=expected, got=got, do=do))
        if chunk.actions.shape[1] != door.joints:
            raise ChunkRefused(
                sentence("a chunk's actions", expected=f"[H, {door.joints}]", got=list(chunk.actions.shape))
            )

    def _check_age(self, chunk: Chunk) -> None:
        door = self._door
        ticks = dict(self._published)
        newest = max(ticks, default=0)
        seconds = door.max_age_ticks / door.rate_hz
        if chunk.status_seq not in ticks or self._tick - ticks[chunk.status_seq] > door.max_age_ticks:
            do = "take a new observation; if prediction is that slow, raise timing.max_observation_age_s"
            raise ChunkRefused(
                sentence(
                    "a chunk from a stale observation",
                    expected=f"a status of the last {seconds:g} s",
                    got=f"status_seq {chunk.status_seq}, the newest is {newest}",
                    do=do,
                )
            )
        for held in (self._current, self._next):
            if held is not None and chunk.status_seq < held.status_seq:
                got = f"status_seq {chunk.status_seq} after {held.status_seq}"
                raise ChunkRefused(sentence("a chunk older than the one held", got=got, do="drop it"))
        end = end_tick(chunk, door.rate_hz)
        if end <= self._tick:
            got = f"its last action ended at tick {end}, now is {self._tick}"
            raise ChunkRefused(sentence("a chunk that is over", got=got, do="predict faster or further"))
        if chunk.start_tick > self._tick + door.max_age_ticks:
            got = f"start_tick {chunk.start_tick}, now is {self._tick}"
            raise ChunkRefused(sentence("a chunk from the far future", got=got, do="use Status.tick"))


def end_tick(chunk: Chunk, rate_hz: float) -> int:
    """The first tick after the chunk: its last action lasts one dt."""
    return chunk.start_tick + int(np.ceil(chunk.actions.shape[0] * chunk.dt * rate_hz - 1e-9))


def sample(chunk: Chunk, tick: int, rate_hz: float) -> Array:
    """The chunk's path at `tick`, linear between actions, [D] float64."""
    place = (tick - chunk.start_tick) / (rate_hz * chunk.dt)
    last = chunk.actions.shape[0] - 1
    before = min(int(place), last)
    after = min(before + 1, last)
    part = min(place - before, 1.0)
    path: Array = chunk.actions[before].astype(np.float64) * (1 - part) + chunk.actions[after] * part
    return path
