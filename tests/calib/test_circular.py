"""Shafts around the circle: what is swept is what the link did, whatever the wrap, the offset, glitches and gaps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib.sts.circular import HAND, SLACK, Shaft, nearest, raw_ticks

STEP_S = 0.02
TURN = 4096
WIDEST = 2900.0


def swept(positions: list[float], widest: float | None = WIDEST, offset: int = 0) -> Shaft:
    """A shaft that followed true positions (ticks, unwrapped), each read as its servo would say it."""
    shaft = Shaft(widest)
    for index, position in enumerate(positions):
        present = (round(position) - offset) % TURN
        shaft.feed(index * STEP_S, raw_ticks(present, offset))
    return shaft


def path(*ends: float, step: float = 100.0) -> list[float]:
    """From end to end, resting a little at each."""
    points = [ends[0]] * 3
    for end in ends[1:]:
        while points[-1] != end:
            way = end - points[-1]
            points.append(end if abs(way) <= step else points[-1] + (step if way > 0 else -step))
        points += [end] * 3
    return points


@given(
    start=st.integers(-20_000, 20_000),
    down=st.integers(0, 1400),
    up=st.integers(0, 1400),
    step=st.floats(5.0, 0.9 * SLACK),
    offset=st.integers(-2047, 2047),
)
def test_a_sweep_is_what_the_link_did_wherever_the_wrap_and_whatever_the_offset(
    start: int, down: int, up: int, step: float, offset: int
) -> None:
    shaft = swept(path(start, start - down, start + up, start, step=step), offset=offset)
    assert shaft.restarts == 0 and shaft.glitches == 0
    assert shaft.width == pytest.approx(down + up, abs=2)
    assert shaft.low % TURN == pytest.approx((start - down) % TURN, abs=2) or abs(shaft.low % TURN - TURN) < 2
    assert shaft.position is not None and nearest(start, shaft.position) == pytest.approx(shaft.position, abs=2)


def test_negative_control_a_sweep_without_the_circle_would_be_wrong() -> None:
    positions = path(0, -900, 900)
    naive = [position % TURN for position in positions]
    assert max(naive) - min(naive) > 3900 and swept(positions).width == 1800


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, TURN - 1)), min_size=1, max_size=8))
def test_single_corrupt_readings_never_widen_a_range(glitches: list[tuple[int, int]]) -> None:
    positions = path(0, -1000, 1000)
    bad = {}
    for index, value in glitches:  # one alone: never two in a row
        if not {index - 1, index, index + 1} & set(bad):
            bad[index] = value
    shaft = Shaft(WIDEST)
    for index, position in enumerate(positions):
        shaft.feed(index * STEP_S, int(bad.get(index, position)))
    if shaft.restarts == 0:  # a glitch at the very beginning is where it begins, until it is contradicted
        assert shaft.width <= 2000


@pytest.mark.parametrize("wrong", [-200, 200])
def test_a_wrong_reading_near_enough_to_be_believed_widens_nothing(wrong: int) -> None:
    way = path(0, -500, 500)
    end = way.index(-500.0 if wrong < 0 else 500.0) + 1
    way[end] += wrong
    shaft = swept(way)
    assert (shaft.low, shaft.high, shaft.restarts) == (-500, 500, 0)
    way[end + 1] += wrong  # the control: twice is believed
    assert swept(way).width == 1200


def test_a_glitch_is_counted_and_a_jump_that_stays_starts_the_sweep_again() -> None:
    shaft = swept([*path(0, 500), 2500.0, *([500.0] * 5)])
    assert (shaft.glitches, shaft.restarts, shaft.width) == (1, 0, 500)
    shaft = swept([*path(0, 500), *([2500.0] * 5)])
    assert shaft.restarts == 1 and shaft.width == 0


@pytest.mark.parametrize("wrong", [[2500.0, 3600.0], [2500.0, 500.0, 2500.0]])
def test_glitches_that_do_not_confirm_each_other_start_nothing_again(wrong: list[float]) -> None:
    """Two in a row that differ, and two alike with a good reading between them."""
    shaft = swept([*path(0, 500), *wrong, 500.0, 500.0])
    assert (shaft.glitches, shaft.restarts, shaft.width, shaft.position) == (2, 0, 500, 500)


def test_readings_lost_for_long_are_no_guess() -> None:
    shaft = Shaft(WIDEST)
    for index, position in enumerate(path(0, 1000)):
        shaft.feed(index * STEP_S, int(position))
    late = 10.0
    shaft.feed(late, 1000 + 200)  # round the other way would leave its stops
    assert shaft.restarts == 0
    shaft.feed(late + late, (1200 + 1900) % TURN)  # may have gone either way
    assert shaft.restarts == 1 and shaft.width == 0


def test_after_lost_readings_both_ends_are_wanted_again() -> None:
    """A hand that went on to the other stop only has not shown where the first one was."""
    on = [*path(0, 300), *path(1200, 3000)]  # a jump that stays
    shaft = swept(on)
    assert shaft.restarts == 1 and shaft.width == 1800 and shaft.torn
    assert not swept([*on, *path(3000, 1200)]).torn
    assert not swept(path(0, 2700)).torn  # the control: nothing was lost


def test_a_joint_without_stops_may_have_gone_round() -> None:
    shaft = Shaft(None)
    shaft.feed(0.0, 0)
    shaft.feed(TURN / HAND + 0.1, 10)
    assert shaft.restarts == 1


def test_whole_turns_are_followed() -> None:
    shaft = swept(path(0, 3 * TURN), widest=None)
    assert shaft.width == 3 * TURN and shaft.position == 3 * TURN


def test_ends_are_counted_once_per_visit() -> None:
    shaft = swept(path(0, -1000, 1000, -1000, 1000, 0))
    assert (shaft.at_low, shaft.at_high) == (2, 2)
    shaft = swept(path(0, -1000, 1000, 920, 1000, 0))  # a hand that gives way a little has not left the end
    assert (shaft.at_low, shaft.at_high) == (1, 1)


def test_forgotten_is_all_that_was_seen() -> None:
    shaft = swept([*path(0, 500), *([2500.0] * 5), 500.0, *path(2500, 3000)])
    assert shaft.restarts == 1 and shaft.glitches > 0
    shaft.forget()
    assert (shaft.width, shaft.at_low, shaft.samples, shaft.restarts, shaft.glitches) == (0, 0, 1, 0, 0)


def test_readings_of_a_servo_that_counts_beyond_a_turn() -> None:
    assert raw_ticks(-300, 0) == 3796 == raw_ticks(3796, 0) == raw_ticks(-300 + 5 * TURN, 0)
    assert raw_ticks(5000, -2047) == (5000 - 2047) % TURN
