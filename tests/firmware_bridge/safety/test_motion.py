"""One tick of motion: each rule on its own, with what is said about it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_bridge.errors import ChunkRefused, ConfigError
from firmware_bridge.safety.limits import Limits
from firmware_bridge.safety.motion import Advance, Array, Envelope, Motion, advance, standing
from firmware_bridge.safety.slide import MARGIN
from tests.firmware_bridge.safety.planar import Planar

JOINTS = ("a", "b", "c")
LIMITS = Limits(JOINTS, np.array([-1.0, -2.0, 0.0]), np.array([1.0, 2.0, 1.0]), np.array([1.0, 2.0, 4.0]))
ENVELOPE = Envelope(LIMITS, np.array([10.0, 20.0, 40.0]), np.array([0.3, 0.3, 0.3]), 0.01)
WIDE = replace(ENVELOPE, lead=np.full(3, 100.0))
START = np.array([0.0, 0.0, 0.5])
GRIPPER = np.array([False, False, True])


def drive(wish: Array, start: Motion, envelope: Envelope, ticks: int, follow: bool = True) -> list[Advance]:
    """`ticks` ticks towards `wish`; the arm follows its commands exactly, or stays where it is."""
    made, last = [], start
    for _ in range(ticks):
        made.append(advance(wish, last, last.position if follow else start.position, envelope))
        last = made[-1].motion
    return made


def test_a_straight_line_from_rest_to_rest() -> None:
    wish = np.array([0.5, -0.3, 0.9])
    made = drive(wish, standing(START), ENVELOPE, 200)
    path = np.array([step.motion.position for step in made]) - START
    across = path - np.outer(path @ (wish - START), wish - START) / ((wish - START) @ (wish - START))
    assert np.abs(across).max() < 1e-12
    assert (made[-1].motion.position == wish).all() and not made[-1].motion.velocity.any()
    assert made[-1].cuts == () and made[0].cuts == ("acceleration a",)
    assert any(step.cuts == ("speed a",) for step in made)
    speeds = np.abs([step.motion.velocity for step in made])
    assert (speeds <= LIMITS.speed * (1 + 1e-9)).all() and speeds[:, 0].max() == pytest.approx(1.0)
    change = np.abs(np.diff([step.motion.velocity for step in made], axis=0))
    assert (change <= ENVELOPE.acceleration * 0.01 * (1 + 1e-9)).all()


def test_it_takes_no_longer_than_its_limits_ask() -> None:
    made = drive(np.array([0.5, 0.0, 0.5]), standing(START), ENVELOPE, 200)
    ticks = next(index for index, step in enumerate(made) if step.motion.position[0] == 0.5) + 1
    assert 57 <= ticks <= 62  # 0.5 rad at 1 rad/s, and the 0.1 s of getting up to speed


def test_a_wish_in_reach_is_met_exactly_and_in_silence() -> None:
    wish = START + 0.0005
    step = advance(wish, standing(START), START, ENVELOPE)
    assert step.cuts == () and step.motion.position.tobytes() == wish.tobytes()
    still = advance(wish, standing(wish), wish, ENVELOPE)
    assert still.motion.position.tobytes() == wish.tobytes() and still.cuts == ()


def test_every_wish_in_reach_is_met_to_the_last_bit() -> None:
    rng = np.random.default_rng(3)
    for index in range(200):
        start = standing(np.array([0.9, 1.9, 0.9]) * rng.uniform(0.0, 1.0, 3) * (index % 2))
        wish = start.position + rng.uniform(0.0, 0.0009, 3) * [1.0, 2.0, 1.0]
        assert advance(wish, start, start.position, ENVELOPE).motion.position.tobytes() == wish.tobytes()


@pytest.mark.parametrize(("velocity", "cut"), [(1.0, ()), (0.9, ()), (0.89, ("acceleration a",))])
def test_full_speed_and_full_acceleration_are_no_cut(velocity: float, cut: tuple[str, ...]) -> None:
    last = Motion(np.array([0.0, 0.0, 0.5]), np.array([velocity, 0.0, 0.0]))
    wish = np.array([0.01, 0.0, 0.5])  # at the limit of 1 rad/s
    assert advance(wish, last, last.position, ENVELOPE, np.array([1.0, 0.0, 0.0])).cuts == cut


def test_what_the_speed_alone_keeps_back_is_named_so() -> None:
    last = Motion(np.array([0.0, 0.0, 0.5]), np.array([1.0, 0.0, 0.0]))
    step = advance(np.array([0.12, 0.0, 0.5]), last, last.position, ENVELOPE)  # 1.5 rad/s could still stop there
    assert step.cuts == ("speed a",) and step.motion.velocity[0] == pytest.approx(1.0)
    slower = replace(last, velocity=np.array([0.85, 0.0, 0.0]))
    assert advance(np.array([0.12, 0.0, 0.5]), slower, last.position, ENVELOPE).cuts == ("acceleration a",)


def test_a_moving_wish_is_met_and_then_followed_exactly() -> None:
    pace = np.array([0.6, 0.0, 0.0])
    last, behind, blind = standing(START), [], standing(START)
    for tick in range(60):
        wish = START + pace * 0.01 * (tick + 1)
        last = advance(wish, last, last.position, ENVELOPE, pace).motion
        blind = advance(wish, blind, blind.position, ENVELOPE).motion
        behind.append(wish[0] - last.position[0])
    assert max(behind) > 0.01 and np.abs(behind[-20:]).max() < 1e-12
    assert wish[0] - blind.position[0] > 0.01  # negative control: a wish that it takes to stand is not caught up


def test_bounds_cut_each_joint_alone_and_say_so() -> None:
    last = standing(np.array([1.0, -2.0, 0.5]))
    assert advance(np.array([1.2, -2.5, 0.5]), last, last.position, ENVELOPE).cuts == ("a upper", "b lower")
    inside = advance(np.array([1.0, -2.0, 0.5]), last, last.position, ENVELOPE)
    assert inside.cuts == () and (inside.motion.position == last.position).all()


@pytest.mark.parametrize(("wish", "bound", "word"), [(1.5, 1.0, "a upper"), (-1.5, -1.0, "a lower")])
def test_a_wish_outside_leads_onto_the_bound_itself(wish: float, bound: float, word: str) -> None:
    start = standing(START + np.array([0.0037, 0.0, 0.0]))  # no whole number of ticks away
    made = drive(np.array([wish, 0.0, 0.5]), start, ENVELOPE, 300)
    assert made[-1].motion.position.tolist() == [bound, 0.0, 0.5] and made[-1].cuts == (word,)
    ticks = sum(step.motion.position[0] != bound for step in made)
    straight = drive(np.array([bound, 0.0, 0.5]), start, ENVELOPE, 300)
    assert ticks == sum(step.motion.position[0] != bound for step in straight)  # as quickly as if it were wished for


def test_braking_distance_before_a_bound_is_kept() -> None:
    """A new wish beside the way must not carry the arm over the bound that it was heading for."""
    heading = Motion(np.array([0.94, 0.0, 0.5]), np.array([1.0, 0.0, 0.0]))  # 0.045 rad to stop from, 0.06 left
    made = drive(np.array([1.0, 1.9, 0.5]), heading, WIDE, 30)
    assert max(step.motion.position[0] for step in made) <= 1.0
    blocked = Motion(np.array([0.955, 0.0, 0.5]), np.array([1.0, 0.0, 0.0]))
    step = advance(np.array([1.0, 0.5, 0.5]), blocked, blocked.position, WIDE)
    assert "a upper" in step.cuts and step.motion.velocity[0] == pytest.approx(0.9)
    assert drive(np.array([1.0, 0.5, 0.5]), blocked, WIDE, 200)[-1].motion.position.tolist() == [1.0, 0.5, 0.5]


def test_position_beats_acceleration() -> None:
    """Where not even braking is enough the command stops dead: this one came from no tick of ours."""
    late = Motion(np.array([0.999, 0.0, 0.5]), np.array([1.0, 0.0, 0.0]))
    step = advance(np.array([1.0, 0.0, 0.5]), late, late.position, WIDE)
    assert not step.motion.velocity.any() and (step.motion.position == late.position).all()
    assert step.cuts == ("a upper",)
    low = Motion(-late.position, -late.velocity)
    assert advance(np.array([-1.0, 0.0, 0.5]), low, low.position, ENVELOPE).cuts == ("a lower",)


@pytest.mark.parametrize(("over", "velocity"), [(5e-9, 0.9), (2e-8, 0.0)])
def test_a_brake_that_rounding_leads_over_the_bound_still_is_one(over: float, velocity: float) -> None:
    """0.045 rad to stop from 1 rad/s: a tick ago this was allowed, so now it is no reason to stop dead."""
    last = Motion(np.array([0.955 + over, 0.0, 0.5]), np.array([1.0, 0.0, 0.0]))
    step = advance(None, last, last.position, WIDE)
    assert step.motion.velocity[0] == pytest.approx(velocity) and step.cuts == (() if velocity else ("a upper",))
    while step.motion.velocity.any():
        step = advance(None, step.motion, step.motion.position, WIDE)
        assert step.motion.position[0] <= 1.0  # and it is cut off there


def test_no_wish_brakes_in_a_straight_line() -> None:
    last = Motion(START, np.array([0.5, -1.0, 0.2]))
    velocities = []
    while last.velocity.any():
        step = advance(None, last, last.position, ENVELOPE)
        assert step.cuts == ()
        velocities.append(step.motion.velocity)
        last = step.motion
    assert len(velocities) == 5
    assert np.allclose(velocities[0], [0.4, -0.8, 0.16])
    assert (advance(None, last, last.position, ENVELOPE).motion.position == last.position).all()


def test_a_start_outside_is_led_back_and_never_further_out() -> None:
    start = np.array([1.5, 0.0, 0.5])
    made = drive(start, standing(start), ENVELOPE, 200)
    path = [1.5, *[step.motion.position[0] for step in made]]
    assert (np.diff(path) <= 1e-12).all() and path[-1] == 1.0 and made[0].cuts[0] == "a upper"
    assert np.abs(np.diff(path)).max() <= 0.01 + 1e-12


def test_a_lower_speed_is_reached_by_braking() -> None:
    last = Motion(np.array([-0.9, 0.0, 0.5]), np.array([1.0, 0.0, 0.0]))
    slow = replace(ENVELOPE, limits=replace(LIMITS, speed=LIMITS.speed / 4))
    made = drive(np.array([0.9, 0.0, 0.5]), last, slow, 20)
    speeds = [step.motion.velocity[0] for step in made]
    assert speeds[0] == pytest.approx(0.9) and speeds[-1] == pytest.approx(0.25)


@pytest.mark.parametrize("wish", [[np.nan, 0, 0], [np.inf, 0, 0], [0, 0], [0, 0, 0, 0]])
def test_bad_numbers_are_refused(wish: list[float]) -> None:
    row = np.array(wish, np.float64)
    with pytest.raises(ChunkRefused, match="3 finite numbers"):
        advance(row, standing(START), START, ENVELOPE)
    with pytest.raises(ChunkRefused, match="3 finite numbers"):
        advance(START, standing(START), START, ENVELOPE, row)


@pytest.mark.parametrize("bad", [np.array([0.0, np.nan, 0.0]), np.zeros(2)])
def test_a_last_command_or_a_measured_place_of_bad_numbers_is_refused(bad: Array) -> None:
    for last, measured in (
        (Motion(START, bad), START),
        (standing(START), bad),
        (replace(standing(START), position=np.array([0.0, np.inf, 0.0])), START),
    ):
        with pytest.raises(ChunkRefused, match="3 finite numbers"):
            advance(START, last, measured, ENVELOPE)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("name", ["speed", "acceleration", "lead"])
def test_an_envelope_needs_numbers_above_0(name: str, bad: float) -> None:
    row = np.array([1.0, bad, 1.0])
    with pytest.raises(ConfigError, match=f"{name} of b.*> 0"):
        Envelope(replace(LIMITS, speed=row), LIMITS.speed, LIMITS.speed, 0.01) if name == "speed" else replace(
            ENVELOPE, **{name: row}
        )


def test_rows_of_another_length_are_no_envelope() -> None:
    with pytest.raises(ValueError, match="zip"):
        Limits(JOINTS, np.zeros(2), np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="zip"):
        replace(ENVELOPE, lead=np.ones(2))


# -- lead


def test_an_arm_that_does_not_follow_stops_the_command_at_its_lead() -> None:
    made = drive(np.array([0.9, 0.45, 0.5]), standing(START), ENVELOPE, 200, follow=False)
    end = made[-1].motion
    assert end.position[0] == pytest.approx(0.3) and end.position[1] == pytest.approx(
        0.15
    )  # together, in its direction
    assert made[-1].cuts == ("lead a",) and not end.velocity.any()
    freed = advance(np.array([0.9, 0.45, 0.5]), end, np.array([0.1, 0.05, 0.5]), ENVELOPE)
    assert freed.motion.position[0] > end.position[0]


def test_a_gripper_at_its_lead_does_not_stop_the_arm() -> None:
    envelope = replace(ENVELOPE, alone=GRIPPER)
    wish, last = np.array([0.9, 0.0, 0.0]), standing(START)
    for _ in range(300):
        step = advance(wish, last, np.array([last.position[0], 0.0, 0.5]), envelope)
        last = step.motion
    assert last.position.tolist() == [0.9, 0.0, 0.2] and step.cuts == ("lead c",)
    last = standing(START)
    for _ in range(300):  # negative control: a joint of the arm holds the others up
        stuck = advance(wish, last, np.array([last.position[0], 0.0, 0.5]), ENVELOPE)
        last = stuck.motion
    assert last.position[0] < 0.9 and stuck.cuts == ("lead c",)


@pytest.mark.parametrize(("wish", "end"), [(1.0, 0.8), (0.0, 0.2)])
def test_a_gripper_at_its_lead_stays_there_in_silence(wish: float, end: float) -> None:
    envelope = replace(ENVELOPE, alone=GRIPPER)
    made = drive(np.array([0.0, 0.0, wish]), standing(START), envelope, 300, follow=False)
    assert [step.motion.position[2] for step in made[-100:]] == pytest.approx([end] * 100)
    assert made[-1].cuts == ("lead c",)


def test_a_gripper_that_follows_is_not_held_by_its_lead() -> None:
    envelope = replace(ENVELOPE, alone=GRIPPER)
    wish, start = np.array([0.0, 0.0, 0.05]), standing(np.array([0.0, 0.0, 0.95]))
    made = drive(wish, start, envelope, 200)
    assert made[-1].motion.position.tolist() == wish.tolist()
    assert not any("lead c" in step.cuts for step in made)


def test_a_gripper_that_runs_into_something_is_stopped_alone() -> None:
    """It was fast when it met the thing, and cannot brake as quickly as its lead ends."""
    envelope = replace(ENVELOPE, alone=GRIPPER)
    last = Motion(np.array([0.0, 0.0, 0.205]), np.array([0.5, 0.0, -3.0]))
    step = advance(np.array([0.9, 0.0, 0.0]), last, np.array([0.0, 0.0, 0.5]), envelope)
    assert step.motion.position[2] == pytest.approx(0.2) and step.motion.velocity[0] > 0.5
    assert "lead c" in step.cuts


def test_a_joint_beyond_its_lead_is_asked_back() -> None:
    """Pushed away by hand, or its lead was shortened: the command comes towards it, and does not go away again."""
    made = drive(np.array([0.5, 0.0, 0.5]), standing(np.array([0.5, 0.0, 0.5])), ENVELOPE, 1)
    assert made[0].cuts == ()
    last, pushed = made[0].motion, np.array([-0.2, 0.0, 0.5])
    for _ in range(200):
        step = advance(np.array([0.5, 0.0, 0.5]), last, pushed, ENVELOPE)
        assert abs(step.motion.position[0] + 0.2) <= max(0.3, abs(last.position[0] + 0.2)) + 1e-12
        last = step.motion
    assert last.position[0] == pytest.approx(0.1) and step.cuts[0] == "lead a"


@pytest.mark.parametrize(("bound", "measured"), [(1.0, 1.6), (-1.0, -1.6)])
def test_a_measured_place_outside_the_bounds_draws_no_command_out_of_them(bound: float, measured: float) -> None:
    last = standing(np.array([bound, 0.0, 0.5]))
    step = advance(last.position, last, np.array([measured, 0.0, 0.5]), ENVELOPE)
    assert (step.motion.position == last.position).all() and step.cuts == ()


def test_joints_that_all_may_stall_alone_are_cut_one_by_one() -> None:
    envelope = replace(ENVELOPE, alone=np.array([True, True, True]))
    last = Motion(np.array([0.2995, 0.0, 0.5]), np.array([0.5, 0.5, 0.0]))
    step = advance(np.array([0.9, 0.9, 0.5]), last, np.array([0.0, 0.0, 0.5]), envelope)
    assert step.motion.velocity == pytest.approx([0.05, 0.7, 0.0], abs=0.01) and step.cuts[0] == "lead a"


# -- workspace

FLOOR = Envelope(
    Limits(("lift", "elbow"), np.full(2, -3.0), np.full(2, 3.0), np.full(2, 3.0)),
    np.full(2, 20.0),
    np.full(2, 0.5),
    0.01,
    Planar(),
)
UP = np.array([1.2, -1.2])


def test_a_wish_below_the_floor_stops_above_it_and_is_named() -> None:
    made = drive(np.array([-0.5, 0.0]), standing(UP), FLOOR, 300)
    low = Planar().clearance(np.array([step.motion.position for step in made])).min()
    assert -1e-8 <= low < 0.02
    assert np.abs(made[-1].motion.velocity).max() < 0.01 and "floor: hand" in made[-1].cuts
    through = drive(np.array([-0.5, 0.0]), standing(UP), replace(FLOOR, workspace=None), 300)
    assert Planar().clearance(through[-1].motion.position[None]).min() < -0.1  # negative control


def test_a_blocked_arm_slides_along_what_is_in_its_way() -> None:
    """A wish under the table, but elsewhere: the hand goes there above the table, and a gripper could still close."""
    made = drive(np.array([-0.3, 1.2]), standing(np.array([0.6, -0.9])), FLOOR, 400)
    free = Planar().clearance(np.array([step.motion.position for step in made]))
    assert free.min() >= -1e-9
    elbow = made[-1].motion.position
    assert free[-1, 0] < 0.01 and elbow[1] == pytest.approx(1.2, abs=0.02)  # the elbow is on the table, the hand up
    assert made[-1].cuts[0] == "floor: elbow"


def test_a_blocked_wish_does_not_stop_the_next() -> None:
    down = drive(np.array([-0.5, 0.0]), standing(UP), FLOOR, 300)[-1].motion
    assert drive(UP, down, FLOOR, 300)[-1].motion.position.tolist() == UP.tolist()


def test_a_start_inside_may_only_come_out() -> None:
    inside = np.array([-0.2, 0.0])
    deeper = drive(np.array([-0.6, 0.0]), standing(inside), FLOOR, 50)
    depth = Planar().clearance(np.array([inside, *[step.motion.position for step in deeper]]))
    assert (np.diff(np.minimum(depth, 0.0), axis=0) >= 0).all() and "floor: hand" in deeper[-1].cuts
    assert depth[0, 1] < -0.02  # it did begin inside
    out = drive(UP, standing(inside), FLOOR, 300)
    depth = [Planar().clearance(step.motion.position[None]).min() for step in out]
    assert (np.diff(depth[:20]) >= 0).all() and (out[-1].motion.position == UP).all()


def test_a_clearance_that_is_no_number_is_in_the_way() -> None:
    class Broken(Planar):
        def clearance(self, poses: Array) -> Array:
            return super().clearance(poses) * np.nan

    step = advance(UP / 2, standing(UP), UP, replace(FLOOR, workspace=Broken()))
    assert (step.motion.position == UP).all() and step.cuts == ("floor: elbow",)


def test_at_rest_the_workspace_is_not_asked() -> None:
    class Counted(Planar):
        asked = 0

        def clearance(self, poses: Array) -> Array:
            self.asked += 1
            assert poses.shape[0] <= 16
            return super().clearance(poses)

    counted = Counted()
    envelope = replace(FLOOR, workspace=counted)
    advance(UP, standing(UP), UP, envelope)
    advance(None, standing(UP), UP, envelope)
    assert counted.asked == 0
    advance(UP / 2, standing(UP), UP, envelope)
    assert counted.asked == 1


def test_a_wish_in_reach_but_beyond_the_lead_is_met_as_far_as_the_lead() -> None:
    last = standing(np.array([0.3, 0.0, 0.5]))
    measured = np.array([0.0003, 0.0, 0.5])  # 0.0003 left of a lead of 0.3
    step = advance(np.array([0.3008, 0.0004, 0.5]), last, measured, ENVELOPE)
    assert step.motion.position == pytest.approx([0.3003, 0.00015, 0.5]) and step.cuts == ("lead a",)
    free = advance(np.array([0.3008, 0.0004, 0.5]), last, measured + 0.01, ENVELOPE)
    assert free.motion.position.tolist() == [0.3008, 0.0004, 0.5] and free.cuts == ()


def test_what_is_in_the_way_of_a_wish_in_reach_is_named_alone() -> None:
    low = np.array([-0.1, -0.0503])  # the hand 0.1 mm above the floor
    assert 0 < Planar().clearance(low[None])[0, 1] < 2e-4
    step = advance(low - 0.0015, standing(low), low, FLOOR)
    assert step.cuts == ("floor: hand",)


def test_a_wish_that_moves_on_outside_is_a_place_to_stop_at_on_the_bound() -> None:
    last = standing(np.array([0.9, 0.0, 0.5]))
    for tick in range(60):
        wish = np.array([0.9 + 0.01 * tick, 0.0, 0.5])
        step = advance(wish, last, last.position, WIDE, np.array([1.0, 0.0, 0.0]))
        last = step.motion
    assert last.position[0] == 1.0 and not last.velocity.any() and step.cuts == ("a upper",)


def test_what_slides_keeps_to_the_speed_limit_too() -> None:
    """Turned along a slanted wall, one joint alone would have to go faster than it may: the others wait for it."""

    class Slanted:
        names = ("wall",)

        def clearance(self, poses: Array) -> Array:
            return poses @ np.array([[0.38], [0.92]]) + MARGIN

    brisk = replace(FLOOR, acceleration=np.full(2, 1e4), workspace=Slanted())
    step = advance(np.array([0.3, -0.3]), standing(np.zeros(2)), np.zeros(2), brisk)
    assert step.motion.velocity[0] == pytest.approx(3.0)
    assert step.motion.velocity @ [0.38, 0.92] == pytest.approx(0.0, abs=1e-6)
    assert step.cuts == ("wall", "speed lift")


@pytest.mark.parametrize(("wall", "velocity"), [(0.04, 3.0), (0.02, 1.5), (0.01, 0.75), (0.005, 0.0)])
def test_what_cannot_be_slid_along_is_approached_at_a_half_and_a_quarter_of_the_speed(
    wall: float, velocity: float
) -> None:
    class Step:
        """A wall that is seen only from within."""

        names = ("wall",)

        def clearance(self, poses: Array) -> Array:
            return np.where(poses[:, :1] > wall, -1.0, 1.0)

    brisk = replace(FLOOR, acceleration=np.full(2, 1e4), workspace=Step())
    step = advance(np.array([0.3, 0.0]), standing(np.zeros(2)), np.zeros(2), brisk)
    assert step.motion.velocity.tolist() == pytest.approx([velocity, 0.0])
    assert step.cuts == {3.0: ("speed lift",), 0.0: ("wall",)}.get(velocity, ("wall", "speed lift"))


@pytest.mark.parametrize(("free", "velocity"), [(0.0, 3.0), (-0.05, 3.0), (-0.1, 0.0)])
def test_what_touches_or_is_inside_already_may_move_as_long_as_it_gets_no_deeper(free: float, velocity: float) -> None:
    class Overlap:
        """It starts 0.05 m inside, and after 0.02 rad this is so."""

        names = ("overlap",)

        def clearance(self, poses: Array) -> Array:
            return np.where(poses[:, :1] > 0.001, free, -0.05)

    brisk = replace(FLOOR, acceleration=np.full(2, 1e4), workspace=Overlap())
    step = advance(np.array([0.3, 0.0]), standing(np.zeros(2)), np.zeros(2), brisk)
    assert step.motion.velocity.tolist() == pytest.approx([velocity, 0.0])


def test_touching_is_not_inside() -> None:
    class Touch:
        names = ("wall",)

        def clearance(self, poses: Array) -> Array:
            return np.where(poses[:, :1] > 0.001, 0.0, 1.0)

    brisk = replace(FLOOR, acceleration=np.full(2, 1e4), workspace=Touch())
    step = advance(np.array([0.3, 0.0]), standing(np.zeros(2)), np.zeros(2), brisk)
    assert step.motion.velocity.tolist() == pytest.approx([3.0, 0.0])
