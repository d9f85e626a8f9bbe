"""The whole machine under any words, readings and clocks: when a goal leaves, and where it may be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.driver import ArmState
from firmware_bridge.errors import BridgeError
from firmware_bridge.messages import FRAME, UNITS, Chunk
from firmware_bridge.safety.chunks import Door, Mailbox
from firmware_bridge.safety.levels import LEVELS
from firmware_bridge.safety.limits import Limits
from firmware_bridge.safety.modes import ARMED, Mode, Reading, Rules, Step
from firmware_bridge.safety.motion import Array
from firmware_bridge.safety.state_machine import StateMachine
from tests.firmware_bridge.safety.examples import examples
from tests.firmware_bridge.safety.planar import Planar
from tests.firmware_bridge.safety.rig import JOINTS, RULES

WORDS = ("arm", "rearm", "pause", "resume", "estop", "park", "cut")
Event = tuple[str, Any]

floats = st.floats(-3.0, 3.0)
events = st.one_of(
    st.tuples(st.just("command"), st.sampled_from(WORDS)),
    st.tuples(st.just("command"), st.sampled_from(["arm", "rearm"])),
    st.tuples(st.just("chunk"), st.tuples(floats, floats, st.sampled_from([0.004, 0.03, 0.5]), st.integers(-20, 40))),
    st.tuples(st.just("chunk"), st.tuples(floats, floats, st.just(0.5), st.just(0))),
    st.tuples(st.just("leave"), st.sampled_from(["park", "hold", "limp"])),
    st.tuples(st.just("heard"), st.none()),
    st.tuples(st.just("failed"), st.none()),
    st.tuples(st.just("torque fails"), st.none()),
)
numbers = st.one_of(st.floats(-4.0, 4.0), st.sampled_from([np.nan, np.inf]))
faults = st.one_of(
    st.tuples(st.just("silent"), st.integers(0, 1)),
    st.tuples(st.just("alarm"), st.sampled_from(["", "overload"])),
    st.tuples(st.just("changed"), st.sampled_from([(), ("lift: torque 1 -> 0",)])),
    st.tuples(st.just("temperature"), st.sampled_from([30.0, 57.0, 61.0, 66.0, np.nan])),
    st.tuples(st.just("voltage"), st.sampled_from([7.4, 4.5, 4.0, 12.0])),
    st.tuples(st.just("load"), st.sampled_from([0.0, 0.92, 1.0])),
    st.tuples(st.just("follows"), st.sampled_from(["exactly", "exactly", "slowly", "not"])),
    st.tuples(st.just("pushed"), st.tuples(numbers, numbers)),
    st.tuples(st.just("well"), st.none()),
    st.tuples(st.just("clock"), st.sampled_from([0.01, 0.0, 0.3, 20.0, -5.0])),
    st.tuples(st.just("late"), st.integers(1, 300)),
)
turns = st.lists(st.tuples(st.one_of(events, events, faults), st.sampled_from([1, 2, 10, 40])), min_size=1, max_size=25)


class World:
    """A machine, an arm that follows as told, and the checks of each tick."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.machine = StateMachine(rules, Mailbox(Door("so101", 2, 100.0, 500)))
        self.measured = np.array([0.5, 0.5])
        self.now, self.step_s, self.tick = 100.0, 0.01, 0
        self.torque_fails = False
        self.answers: list[Step] = []
        self.well()

    def well(self) -> None:
        self.fresh = np.array([True, True])
        self.alarms: tuple[str, ...] = ("", "")
        self.changed: tuple[str, ...] = ()
        self.values = {"temperature": 30.0, "voltage": 7.4, "load": 0.0}
        self.follows = "exactly"
        self.measured = np.nan_to_num(self.measured, nan=0.5, posinf=0.5)

    def do(self, name: str, value: Any) -> None:
        try:
            if name == "command":
                self.machine.command(value, self.now)
            elif name == "chunk":
                lift, gripper, dt, ahead = value
                rows = np.linspace([lift, gripper], [-lift, 0.5], 8, dtype=np.float32)
                self.machine.chunk(Chunk(rows, "so101", UNITS, FRAME, self.tick, self.tick + ahead, dt), self.now)
            elif name == "leave":
                self.machine.leave(value, self.now)
            elif name == "heard":
                self.machine.heard(self.now)
            elif name == "failed":
                self.machine.failed("a mistake")
            else:
                self.torque_fails = True
        except BridgeError as refused:
            assert "what to do" in str(refused) or "expected" in str(refused)

    def suffer(self, name: str, value: Any) -> None:
        if name == "silent":
            self.fresh = np.array([value != 0, value != 1])
        elif name == "alarm":
            self.alarms = (value, "")
        elif name == "changed":
            self.changed = value
        elif name in self.values:
            self.values[name] = value
        elif name == "follows":
            self.follows = value
        elif name == "pushed":
            self.measured = np.array(value)
        elif name == "well":
            self.well()
        elif name == "clock":
            self.step_s = value
        else:
            self.tick += value

    def turn(self) -> None:
        self.tick += 1
        self.now += self.step_s
        machine, before, support = self.machine, self.machine.motion, self.machine.support
        latched = machine.mode in (Mode.ESTOP, Mode.FAULT)
        step = machine.step(Reading(self.now, self.tick, self.state()))
        self.answers.append(step)
        assert not (step.goal is not None and step.torque is not None)
        assert step.torque is not None or step.support <= support
        if step.goal is not None:
            self.check_goal(step.goal, before, latched)
        if step.torque is True:
            assert self.rules.may_move and machine.mode in ARMED and self.fresh.all()
        if step.torque is not None:
            self.switch(step.torque)
        elif step.goal is not None and np.isfinite(self.measured).all():
            part = {"exactly": 1.0, "slowly": 0.2, "not": 0.0}[self.follows]
            self.measured = self.measured + part * (step.goal - self.measured)
        machine.mailbox.published(self.tick, self.tick)

    def switch(self, on: bool) -> None:
        self.machine.torque_asked()
        if self.torque_fails:
            self.torque_fails = False
            self.machine.failed("Torque_Enable: silence")
        elif on:
            self.machine.torque_is(True, self.measured.copy())
        else:
            self.machine.torque_is(False)

    def check_goal(self, goal: Array, before: Any, latched: bool) -> None:
        rules, limits = self.rules, self.rules.limits
        assert rules.may_move and self.machine.mode in ARMED and self.machine.torque == "on" and not latched
        assert self.fresh.all() and not self.changed and self.alarms == ("", "") and np.isfinite(goal).all()
        low, high = np.minimum(limits.lower, before.position), np.maximum(limits.upper, before.position)
        assert (goal >= low).all() and (goal <= high).all()
        dt = rules.envelope.dt
        assert (np.abs(goal - before.position) <= np.maximum(limits.speed, np.abs(before.velocity)) * dt + 1e-9).all()
        lead = np.maximum(rules.envelope.lead, np.abs(before.position - self.measured))
        assert (np.abs(goal - self.measured) <= lead + 1e-8).all()
        if rules.envelope.workspace is not None:
            free = rules.envelope.workspace.clearance(np.vstack([before.position, goal]))
            assert (free[1] >= np.minimum(free[0], -1e-7)).all()

    def state(self) -> ArmState:
        rest = np.zeros(2)
        rows = {name: np.full(2, value) for name, value in self.values.items()}
        return ArmState(
            position=self.measured.copy(),
            velocity=rest,
            current=rest,
            errors=(0, 0),
            alarms=self.alarms,
            changed=self.changed,
            fresh=self.fresh,
            **rows,
        )


def rules(workspace: bool, **changes: Any) -> Rules:
    limits = Limits(JOINTS, np.array([-1.0, -2.0]), np.array([1.0, 2.0]), np.array([2.0, 2.0]))
    envelope = replace(
        RULES.envelope,
        limits=limits,
        acceleration=np.array([20.0, 30.0]),
        lead=np.array([0.4, 0.3]),
        workspace=Planar() if workspace else None,
        alone=RULES.grippers,
    )
    return replace(RULES, envelope=envelope, levels=LEVELS["sts"], **changes)


def check_play(world: World, script: list[tuple[Event, int]]) -> None:
    world.turn()
    for (name, value), ticks in script:
        if name in ("command", "chunk", "leave", "heard", "failed", "torque fails"):
            world.do(name, value)
        else:
            world.suffer(name, value)
        for _ in range(ticks):
            world.turn()


BEGIN: list[tuple[Event, int]] = [(("command", "arm"), 2), (("chunk", (-0.8, 1.0, 0.5, 0)), 5)]


@examples(100)
@given(turns, st.booleans(), st.booleans(), st.booleans())
def test_no_words_readings_or_clocks_send_a_goal_that_must_not_be(
    script: list[tuple[Event, int]], workspace: bool, alone: bool, begun: bool
) -> None:
    check_play(World(rules(workspace, holds_alone=alone)), (BEGIN if begun else []) + script)


@examples(25)
@given(turns)
def test_what_is_not_live_sends_nothing(script: list[tuple[Event, int]]) -> None:
    world = World(rules(False, may_move=False))
    check_play(world, BEGIN + script)
    assert all(step.goal is None and step.torque is None for step in world.answers)


@examples(20)
@given(turns)
def test_a_replay_gives_the_same_bytes(script: list[tuple[Event, int]]) -> None:
    one, two = World(rules(True)), World(rules(True))
    check_play(one, BEGIN + script)
    check_play(two, BEGIN + script)
    for first, second in zip(one.answers, two.answers, strict=True):
        goals = [None if step.goal is None else step.goal.tobytes() for step in (first, second)]
        assert goals[0] == goals[1]
        assert (first.torque, first.support, first.clamped) == (second.torque, second.support, second.clamped)
    assert one.machine.fault == two.machine.fault and one.machine.note == two.machine.note


@examples(50)
@given(turns, st.booleans())
def test_torque_goes_off_only_at_the_park_pose_or_lowered_or_when_asked(
    script: list[tuple[Event, int]], alone: bool
) -> None:
    world = World(rules(False, holds_alone=alone))
    asked = any(event in (("command", "cut"), ("leave", "limp")) for event, _ in script)
    check_play(world, BEGIN + script)
    parks = (np.abs(world.rules.park_pose - world.measured) <= 0.15) | world.rules.grippers
    if any(step.torque is False for step in world.answers) and not asked:
        lowered = world.machine.support == 0.0
        pushed = any(event[0] == "pushed" for event, _ in script)
        assert lowered or pushed or parks.all() or _moved_on(world)


def _moved_on(world: World) -> bool:
    """The arm was armed again after its torque had gone off."""
    switches = [step.torque for step in world.answers if step.torque is not None]
    return switches.index(False) < len(switches) - 1


def test_the_checks_can_fail() -> None:
    """Negative control: a machine that sends one goal too many is found."""
    world = World(rules(False))
    check_play(world, BEGIN)
    assert any(step.goal is not None for step in world.answers)
    goal, before = world.machine.commanded, world.machine.motion
    world.check_goal(goal, before, latched=False)
    bad: list[dict[str, Any]] = [
        {"fresh": np.array([True, False])},
        {"changed": ("lift: torque 1 -> 0",)},
        {"alarms": ("overload", "")},
        {"measured": np.array([5.0, 0.5])},
    ]
    for change in bad:
        kept = {name: getattr(world, name) for name in change}
        for name, value in change.items():
            setattr(world, name, value)
        with pytest.raises(AssertionError):
            far = goal + 0.01 if "measured" not in change else goal - 0.01
            world.check_goal(far, before, latched=False)
        for name, value in kept.items():
            setattr(world, name, value)
    for wrong in (goal + 0.03, np.array([1.5, 0.5]), goal * np.nan):
        with pytest.raises(AssertionError):
            world.check_goal(wrong, before, latched=False)
    with pytest.raises(AssertionError):
        world.check_goal(goal, before, latched=True)
