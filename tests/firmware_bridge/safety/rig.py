"""A machine with a clock of its own, and an arm that follows its goals exactly; every Step is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from firmware_bridge.driver import ArmState
from firmware_bridge.messages import FRAME, UNITS, Chunk
from firmware_bridge.safety.chunks import Door, Mailbox
from firmware_bridge.safety.limits import Limits
from firmware_bridge.safety.modes import Mode, Reading, Rules, Step
from firmware_bridge.safety.motion import Envelope
from firmware_bridge.safety.state_machine import StateMachine

JOINTS = ("lift", "gripper")
RULES = Rules(
    envelope=Envelope(
        Limits(JOINTS, np.array([-1.0, 0.0]), np.array([1.0, 1.0]), np.array([2.0, 2.0])),
        acceleration=np.array([1e4, 1e4]),
        lead=np.array([10.0, 10.0]),
        dt=0.01,
    ),
    servo_bounds=(np.array([-1.2, 0.0]), np.array([1.2, 1.0])),
    grippers=np.array([False, True]),
    park_pose=np.array([-1.0, 0.0]),
    park_speed=0.5,
    may_move=True,
    exit_policy="park",
    holds_alone=True,
    silent_fault_s=0.2,
    client_timeout_s=0.5,
    park_after_s=1.0,
    park_timeout_s=1.0,
)


def idle(step: Step) -> bool:
    """Nothing is sent, and what is held is held with all its support."""
    return step.goal is None and step.torque is None and step.support == 1.0


class Rig:
    """A machine, and an arm that follows its goals exactly; every Step is kept."""

    def __init__(self, start: bool = True, **changes: Any) -> None:
        rules = replace(RULES, **changes)
        self.machine = StateMachine(rules, Mailbox(Door("so101", 2, 100.0, 500)))
        self.measured = np.array([0.5, 0.5])
        self.fresh = np.array([True, True])
        self.alarms = ("", "")
        self.changed: tuple[str, ...] = ()
        self.velocity = np.zeros(2)
        self.load = np.zeros(2)
        self.current = np.zeros(2)
        self.temperature = np.full(2, 31.0)
        self.voltage = np.full(2, 7.4)
        self.stuck = False
        self.tick = 0
        self.steps: list[Step] = []
        if start:
            self.run(1)

    @property
    def now(self) -> float:
        return self.tick * 0.01

    @property
    def state(self) -> ArmState:
        return ArmState(
            position=self.measured,
            velocity=self.velocity,
            load=self.load,
            current=self.current,
            temperature=self.temperature,
            voltage=self.voltage,
            errors=(0, 0),
            alarms=self.alarms,
            changed=self.changed,
            fresh=self.fresh,
        )

    def run(self, ticks: int) -> list[Step]:
        made = []
        for _ in range(ticks):
            self.tick += 1
            step = self.machine.step(Reading(self.now, self.tick, self.state))
            if step.torque is True:
                self.machine.torque_is(True, self.measured)
            elif step.torque is False:
                self.machine.torque_is(False)
            elif step.goal is not None and not self.stuck:
                self.measured = step.goal.copy()
            self.machine.mailbox.published(self.tick, self.tick)
            made.append(step)
        self.steps += made
        return made

    def do(self, name: str) -> str:
        return self.machine.command(name, self.now)

    def send(self, lift: float, seconds: float = 1.0) -> None:
        actions = np.tile(np.array([lift, 0.5], np.float32), (max(1, int(seconds * 10)), 1))
        self.machine.chunk(Chunk(actions, "so101", UNITS, FRAME, self.tick, self.tick, 0.1), self.now)

    def goals(self) -> int:
        return sum(step.goal is not None for step in self.steps)

    def raised(self) -> None:
        """Armed, and moving on a chunk."""
        self.do("arm")
        self.send(0.0)
        self.run(5)
        assert self.machine.mode is Mode.RUNNING and self.goals() > 0
