"""Whatever is wished for, from wherever, with whatever the arm does: no command leaves its envelope."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import ChunkRefused
from firmware_bridge.safety.limits import Limits
from firmware_bridge.safety.motion import Array, Clearance, Envelope, Motion, advance, standing
from tests.firmware_bridge.safety.examples import examples
from tests.firmware_bridge.safety.planar import Planar

TINY = 1e-7
HARD = ("upper", "lower", "lead", "floor", "post")  # what may stop a command harder than its acceleration


@dataclass(frozen=True)
class Case:
    """An envelope of two joints, a start, and what the wishes and the arm do in each tick."""

    envelope: Envelope
    start: Array
    wishes: list[object]  # [2] list, or None
    follows: list[object]  # "exactly", "stuck", "slowly", or [2] where the arm is pushed to


numbers = st.one_of(st.floats(-3.5, 3.5), st.floats(-1e-6, 1e-6), st.sampled_from([0.0, 1e30, -1e30, 3.4e38]))
bad = st.sampled_from([float("nan"), float("inf"), -float("inf")])
wish = st.one_of(st.none(), st.lists(numbers, min_size=2, max_size=2), st.lists(st.one_of(numbers, bad), max_size=3))
follow = st.one_of(
    st.sampled_from(["exactly", "stuck", "slowly"]), st.lists(st.floats(-3.0, 3.0), min_size=2, max_size=2)
)


@st.composite
def cases(draw: st.DrawFn, workspace: Clearance | None = None) -> Case:
    lower = np.array([draw(st.floats(-3.0, 0.0)), draw(st.floats(-3.0, 0.0))])
    upper = lower + np.array([draw(st.floats(0.1, 6.0)), draw(st.floats(0.1, 6.0))])

    def positive(low: float, high: float) -> Array:
        return np.array([draw(st.floats(low, high)), draw(st.floats(low, high))])

    envelope = Envelope(
        Limits(("one", "two"), lower, upper, positive(0.05, 6.0)),
        acceleration=positive(0.5, 60.0),
        lead=positive(0.02, 2.0),
        dt=draw(st.sampled_from([0.002, 0.005, 0.01, 0.02, 0.05])),
        workspace=workspace,
        alone=draw(st.sampled_from([None, np.array([False, True])])),
    )
    start = np.array([draw(st.floats(-4.0, 4.0)), draw(st.floats(-4.0, 4.0))])  # often outside
    turns = draw(st.lists(st.tuples(wish, follow), min_size=1, max_size=12))
    return Case(envelope, start, [one for one, _ in turns], [other for _, other in turns])


def check_tick(before: Motion, after: Motion, cuts: tuple[str, ...], measured: Array, envelope: Envelope) -> None:
    """All that must hold of two commands that follow each other."""
    limits, dt = envelope.limits, envelope.dt
    low, high = np.minimum(limits.lower, before.position), np.maximum(limits.upper, before.position)
    assert (after.position >= low).all() and (after.position <= high).all()  # exactly: not one bit outside
    speed = np.maximum(limits.speed, np.abs(before.velocity))
    assert (np.abs(after.velocity) <= speed * (1 + TINY)).all()
    assert (np.abs(after.position - before.position) <= speed * dt * (1 + TINY)).all()
    ahead, was = np.abs(after.position - measured), np.abs(before.position - measured)
    assert (ahead <= np.maximum(envelope.lead, was) + 1e-8).all()
    if (np.abs(after.velocity - before.velocity) > envelope.acceleration * dt * (1 + TINY)).any():
        assert any(word in cut for cut in cuts for word in HARD), cuts
    if envelope.workspace is not None:
        free = envelope.workspace.clearance(np.vstack([before.position, after.position]))
        assert (free[1] >= np.minimum(free[0], -1e-7)).all()


def check_run(case: Case) -> None:
    envelope, last, measured = case.envelope, standing(case.start), case.start.copy()
    for row, how in zip(case.wishes, case.follows, strict=True):
        target = None if row is None else np.array(row, np.float64)
        for _ in range(15):
            if target is not None and (target.shape != (2,) or not np.isfinite(target).all()):
                with pytest.raises(ChunkRefused):
                    advance(target, last, measured, envelope)
                break
            made = advance(target, last, measured, envelope)
            again = advance(target, last, measured, envelope)
            assert made.motion.position.tobytes() == again.motion.position.tobytes()  # a replay gives the same bytes
            check_tick(last, made.motion, made.cuts, measured, envelope)
            last = made.motion
            if how == "exactly":
                measured = last.position.copy()
            elif how == "slowly":
                measured = measured + 0.2 * (last.position - measured)
            elif how != "stuck":
                measured = np.array(how)


@examples(120)
@given(cases())
def test_no_wish_leaves_the_envelope(case: Case) -> None:
    check_run(case)


@examples(70)
@given(cases(workspace=Planar()))
def test_no_wish_leaves_the_workspace(case: Case) -> None:
    check_run(case)


@examples(60)
@given(cases(), st.tuples(st.floats(0, 1), st.floats(0, 1)), st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_reachable_wish_is_reached_in_a_straight_line(
    case: Case, begin: tuple[float, float], goal: tuple[float, float]
) -> None:
    brisk = replace(case.envelope.limits, speed=np.maximum(case.envelope.limits.speed, 0.3))
    envelope = replace(case.envelope, limits=brisk, alone=None)
    size = envelope.limits.upper - envelope.limits.lower
    start, end = envelope.limits.lower + size * begin, envelope.limits.lower + size * goal
    last, longest = standing(start), np.linalg.norm(end - start)
    unit = (end - start) / (longest or 1.0)
    seconds = (size / envelope.limits.speed).max() + 2 * (envelope.limits.speed / envelope.acceleration).max()
    for _ in range(int(seconds / envelope.dt) + 10):
        made = advance(end, last, last.position, envelope)
        most = envelope.acceleration * envelope.dt * (1 + TINY)
        assert (np.abs(made.motion.velocity - last.velocity) <= most).all()
        last = made.motion
        way = last.position - start
        assert np.linalg.norm(way - unit * (way @ unit)) < 1e-9 and way @ unit <= longest + 1e-9
        if (last.position == end).all() and not last.velocity.any():
            break
    assert (last.position == end).all() and not last.velocity.any()


@examples(25)
@given(cases())
def test_after_any_wishes_a_new_one_inside_is_reached(case: Case) -> None:
    """Nothing that was wished for before, and no lead or bound that it ran into, leaves the motion stuck."""
    envelope = case.envelope
    last = standing(np.clip(case.start, envelope.limits.lower, envelope.limits.upper))
    for row in case.wishes:
        target = None if row is None or len(row) != 2 or not np.isfinite(row).all() else np.array(row)
        for _ in range(10):
            last = advance(target, last, last.position, envelope).motion
    end = (envelope.limits.lower + envelope.limits.upper) / 2
    slowest = (envelope.limits.speed / envelope.acceleration).max()
    seconds = 12.0 / envelope.limits.speed.min() + 20 * slowest + 1.0
    for _ in range(int(seconds / envelope.dt)):
        last = advance(end, last, last.position, envelope).motion
        if (last.position == end).all() and not last.velocity.any():
            break
    assert (last.position == end).all() and not last.velocity.any()


@examples(20)
@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=8))
def test_after_any_blocked_wishes_a_clear_one_is_reached(rows: list[tuple[float, float]]) -> None:
    """Straight up is clear of floor and post from everywhere above the floor that these wishes lead to."""
    limits = Limits(("one", "two"), np.full(2, -3.0), np.full(2, 3.0), np.full(2, 3.0))
    envelope = Envelope(limits, np.full(2, 20.0), np.full(2, 9.0), 0.01, _Floor())
    last = standing(np.array([0.5, -0.5]))
    for row in rows:
        for _ in range(25):
            last = advance(np.array(row), last, last.position, envelope).motion
    made = advance(np.array([1.5, 0.0]), last, last.position, envelope)
    for _ in range(300):
        made = advance(np.array([1.5, 0.0]), last, last.position, envelope)
        last = made.motion
    assert (last.position == [1.5, 0.0]).all(), (last.position, made.cuts)


class _Floor(Planar):
    """Only the elbow: from 0.05 m above, a floor at sin(first) = -0.25 on both sides, and up is always the way out."""

    names = ("floor: elbow",)

    def clearance(self, poses: Array) -> Array:
        return super().clearance(poses)[:, :1]


def test_the_checks_can_fail() -> None:
    """Negative control: what the law would do without its limits is found by `check_tick`."""
    limits = Limits(("one", "two"), np.full(2, -1.0), np.full(2, 1.0), np.full(2, 1.0))
    envelope = Envelope(limits, np.full(2, 10.0), np.full(2, 0.3), 0.01, Planar())
    before = Motion(np.array([0.5, 0.0]), np.zeros(2))
    rows = [
        (Motion(np.array([1.1, 0.0]), np.zeros(2)), before.position),  # outside
        (Motion(np.array([0.52, 0.0]), np.zeros(2)), before.position),  # too far in one tick
        (Motion(np.array([0.5, 0.0]), np.array([1.2, 0.0])), before.position),  # too fast
        (Motion(np.array([0.501, 0.0]), np.array([0.9, 0.0])), before.position),  # too hard
        (Motion(np.array([0.501, 0.0]), np.array([0.1, 0.0])), np.array([0.2, 0.0])),  # too far ahead
    ]
    for after, measured in rows:
        with pytest.raises(AssertionError):
            check_tick(before, after, (), measured, envelope)
    check_tick(before, Motion(np.array([0.501, 0.0]), np.array([0.1, 0.0])), (), before.position, envelope)
    low = Motion(np.array([-0.1, -0.4]), np.zeros(2))
    with pytest.raises(AssertionError):
        check_tick(low, Motion(np.array([-0.105, -0.4]), np.array([-0.1, 0.0])), (), low.position, envelope)
