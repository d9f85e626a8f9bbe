"""A late answer is never taken for a new one, whatever the order of asking, answering and losing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.damiao.owed import QUARANTINE_S, Owed


def test_an_answer_in_time_is_fresh_until_the_next_request() -> None:
    owed = Owed(1)
    assert not owed.fresh(0)
    owed.asked(0, 0.0)
    assert not owed.fresh(0) and owed.waiting() == 0
    owed.came(0, 0.001)
    assert owed.fresh(0) and owed.waiting() is None
    owed.asked(0, 0.0)
    assert not owed.fresh(0)


def test_who_owes_too_long_is_left_alone_and_starts_anew() -> None:
    owed = Owed(2)
    owed.asked(0, 0.0)
    owed.give_up(0.02)
    assert not owed.may_ask(0, 0.03) and owed.may_ask(1, 0.03) and owed.waiting() is None
    assert owed.may_ask(0, 0.021 + QUARANTINE_S)
    owed.asked(0, 0.0)
    owed.came(0, 0.08)
    assert owed.fresh(0)


def test_an_answer_within_the_quarantine_pays_but_is_not_fresh() -> None:
    owed = Owed(1)
    owed.asked(0, 0.0)
    owed.give_up(0.02)
    owed.came(0, 0.04)
    assert not owed.fresh(0) and owed.may_ask(0, 0.041)


def test_an_answer_nobody_asked_for_puts_the_next_in_doubt() -> None:
    owed = Owed(1)
    owed.came(0, 1.0)
    assert not owed.fresh(0) and not owed.may_ask(0, 1.0 + QUARANTINE_S / 2)


def test_many_answers_nobody_asked_for_are_a_doubt_that_fades() -> None:
    owed = Owed(2)
    for step in range(5):
        assert not owed.in_doubt(0, 1.0 + step / 1000)
        owed.came(0, 1.0 + step / 1000)
    owed.came(0, 1.006)
    assert owed.in_doubt(0, 1.006) and not owed.in_doubt(1, 1.006) and not owed.in_doubt(0, 3.0)


def test_a_request_that_did_not_go_out_makes_the_last_answer_old() -> None:
    owed = Owed(1)
    owed.asked(0, 0.0)
    owed.came(0, 0.0)
    owed.unsent(0)
    assert not owed.fresh(0)


def test_a_request_forced_into_a_quarantine_prolongs_it() -> None:
    owed = Owed(1)
    owed.asked(0, 0.0)
    owed.give_up(0.02)
    owed.asked(0, 0.06)
    assert not owed.may_ask(0, 0.021 + QUARANTINE_S) and owed.may_ask(0, 0.061 + QUARANTINE_S)


def test_what_may_have_gone_out_and_what_others_asked_is_waited_for() -> None:
    for unknown in (1, 1000):
        owed = Owed(1)
        owed.doubtful(0, 0.0, unknown)
        assert not owed.may_ask(0, QUARANTINE_S / 2) and owed.waiting() is None
        owed.came(0, 0.01)
        assert not owed.fresh(0) and owed.may_ask(0, 0.011) == (unknown == 1)
        assert owed.may_ask(0, 0.001 + QUARANTINE_S)
        owed.asked(0, 0.06)
        owed.came(0, 0.061)
        assert owed.fresh(0)


@given(st.lists(st.integers(0, 14), min_size=1, max_size=60))
def test_never_fresh_with_an_older_answer(delays: list[int]) -> None:
    """A tick is 5 ms; each request is answered after `delay` ticks, 14 = lost. What is shown as fresh is the newest.

    Delays stay within tick + quarantine: later answers are the quarantine's stated limit.
    """
    owed, tick_s = Owed(1), 0.005
    arrivals: dict[int, list[int]] = {}
    newest_asked = last_arrival = 0
    held = -1
    for tick in range(len(delays) + 40):
        now = tick * tick_s
        for request in arrivals.pop(tick, []):
            owed.came(0, now)
            held = request
        if owed.fresh(0):
            assert held == newest_asked
        owed.give_up(now)
        if tick < len(delays) and owed.may_ask(0, now):
            newest_asked = tick
            owed.asked(0, now)
            delay = delays[tick]
            if delay != 14:  # a motor answers in order
                last_arrival = max(last_arrival, tick + 1 + min(delay, 8))
                arrivals.setdefault(last_arrival, []).append(tick)


def test_counting_alone_would_be_fooled() -> None:
    """Negative control: without the quarantine a lost answer shifts every later one."""
    owed = Owed(1, quarantine_s=0.0)
    owed.asked(0, 0.0)
    owed.give_up(0.005)
    assert owed.may_ask(0, 0.005)
    owed.asked(0, 0.0)
    owed.came(0, 0.006)  # of the first request
    assert owed.fresh(0)
