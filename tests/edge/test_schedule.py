"""When to look and which steps are past: worked by hand, then simulated against a bridge that follows chunks."""

from __future__ import annotations

import itertools
import math

import pytest

from edge.schedule import Latency, Motion, Placed, Rhythm, call_seed, observe_at, place

RHYTHM = Rhythm(horizon=30, execute=15, step_ticks=10 / 3)  # 30 Hz actions on a bridge at 100 Hz


def test_an_arm_that_stands_waits_and_nothing_is_skipped() -> None:
    placed = place(RHYTHM, Motion(), observed_tick=1000, now_tick=1070)
    assert placed == Placed(start_tick=1070, first=0, steps=15, motion=Motion(1070 + 50))


def test_an_arm_that_moves_has_passed_the_first_steps() -> None:
    placed = place(RHYTHM, Motion(1200), observed_tick=1000, now_tick=1040)
    assert placed == Placed(start_tick=1000, first=12, steps=27, motion=Motion(1000 + 90))


def test_an_arm_that_stopped_on_the_way_has_passed_only_what_it_moved() -> None:
    placed = place(RHYTHM, Motion(1020), observed_tick=1000, now_tick=1050)
    assert placed is not None and placed.start_tick == 1030  # 30 ticks of waiting are added
    assert placed.first == 6  # the 20 ticks of motion, in steps of 3.3


def test_a_chunk_that_came_too_late_is_refused() -> None:
    assert place(RHYTHM, Motion(2000), observed_tick=1000, now_tick=1100) is None
    assert place(RHYTHM, Motion(2000), observed_tick=1000, now_tick=1096) is not None


def test_the_observation_is_early_enough_and_not_too_early() -> None:
    assert observe_at(RHYTHM, Motion(), 20) == -math.inf  # nothing to wait for
    assert observe_at(RHYTHM, Motion(1000), 20) == pytest.approx(1000 - 20 - 10 / 3)
    assert observe_at(RHYTHM, Motion(1000), 500) == pytest.approx(1000 - 50)  # so that 15 of 30 are left
    whole = Rhythm(30, 30, 10 / 3)
    assert observe_at(whole, Motion(1000), 20) == 1000  # all steps used: look when the arm has arrived


def test_a_rhythm_that_cannot_be_is_refused() -> None:
    for execute in (0, 31):
        with pytest.raises(ValueError):
            Rhythm(30, execute, 3.0)


def test_latency_follows_and_forgets() -> None:
    latency = Latency(1.0)
    for _ in range(40):
        latency = latency.seen(0.2)
    assert latency.mean_s == pytest.approx(0.2, abs=1e-3)
    assert latency.safe_s < 0.25
    assert latency.seen(0.6).safe_s > 0.4  # one slow call counts at once


def simulate(rhythm: Rhythm, latency_ticks: int, ticks: int) -> tuple[list[Placed], int]:
    """A bridge at its ticks, a policy that always takes `latency_ticks`. The chunks, and ticks spent holding."""
    motion, begun, chunks, held = Motion(), None, [], 0
    for tick in range(ticks):
        if begun is not None and tick - begun >= latency_ticks:
            placed = place(rhythm, motion, begun, tick)
            assert placed is not None
            chunks.append(placed)
            motion, begun = placed.motion, None
        if begun is None and tick >= observe_at(rhythm, motion, latency_ticks):
            begun = tick
        held += bool(chunks) and tick >= motion.end_tick
    return chunks, held


@pytest.mark.parametrize("latency_ticks", [1, 10, 30, 45])
def test_a_policy_that_is_fast_enough_never_lets_the_arm_stop(latency_ticks: int) -> None:
    chunks, held = simulate(RHYTHM, latency_ticks, 3000)
    assert held == 0
    skipped = math.ceil(latency_ticks / RHYTHM.step_ticks)
    assert {chunk.first for chunk in chunks[1:]} == {skipped}
    assert all(chunk.steps == chunk.first + 15 for chunk in chunks)
    gaps = [b.motion.end_tick - a.motion.end_tick for a, b in itertools.pairwise(chunks[1:])]
    assert max(gaps) - min(gaps) <= 2 * RHYTHM.step_ticks  # an even cadence


def test_a_slow_policy_lets_it_stop_and_still_uses_its_steps() -> None:
    chunks, held = simulate(RHYTHM, 400, 5000)
    assert held > 3000
    assert all(chunk.steps - chunk.first == 15 for chunk in chunks[:1])
    assert all(chunk.steps - chunk.first >= 14 for chunk in chunks)  # one may fall to rounding


def test_seeds_differ_by_call_and_by_seed_and_repeat() -> None:
    seeds = {call_seed(seed, index) for seed in range(20) for index in range(200)}
    assert len(seeds) == 4000
    assert call_seed(7, 3) == call_seed(7, 3) < 2**32
