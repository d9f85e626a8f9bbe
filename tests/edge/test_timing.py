"""Rounds, stages and percentiles: what a benchmark's numbers are made of, without any real time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edge import timing
from edge.timing import HOST, WHOLE, by_part, rounds, spread, spreads, timed


def test_sides_take_turns_and_warm_calls_are_dropped() -> None:
    order: list[str] = []
    told: list[int] = []

    def side(name: str) -> int:
        order.append(name)
        return len(order)

    kept = rounds({"a": lambda: side("a"), "b": lambda: side("b")}, 3, warm=2, after=told.append)
    assert order == ["a", "b"] * 5 and kept == {"a": [5, 7, 9], "b": [6, 8, 10]}
    assert told == [-1, 0, 1, 2, 3]
    assert rounds({"a": lambda: side("a")}, 1, warm=0) == {"a": [11]}


def slow_percentile(values: list[float], share: float) -> float:
    """By hand: linear between the two ranks around it."""
    ordered, place = sorted(values), share / 100 * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def test_percentiles_are_those_of_the_definition() -> None:
    seconds = [0.3, 0.1, 0.25, 0.9, 0.2, 0.15, 0.1]
    found = spread(seconds)
    for got, share in ((found.p50, 50), (found.p90, 90), (found.p99, 99)):
        assert got == pytest.approx(1e3 * slow_percentile(seconds, share))
    assert (found.least, found.most, found.count) == pytest.approx((100, 900, 7))
    assert spread([*seconds, 5.0]).p99 > found.p99  # one slow call is not lost
    with pytest.raises(ValueError, match="no times"):
        spread([])


def test_what_no_graph_computes_is_the_hosts() -> None:
    parts = by_part({"prepare": 1.0, "patches": 0.5, "vision": 2.0, "finish": 0.25, WHOLE: 4.0})
    assert list(parts.items()) == [("vision", 2.0), (HOST, 1.75), (WHOLE, 4.0)]
    assert list(spreads([parts, parts])) == ["vision", HOST, WHOLE]


def test_a_call_is_timed_from_outside_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 10.75])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(now))
    prediction = SimpleNamespace(timings={"prepare": 0.1, "vision": 0.2})
    session = SimpleNamespace(predict=lambda seen, task, seed: prediction)
    got, seconds = timed(session, "seen", "task")  # type: ignore[arg-type]
    assert got is prediction and seconds == {"prepare": 0.1, "vision": 0.2, WHOLE: 0.75}
