"""The words of the state machine: modes, what it is told, what it answers. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from firmware_bridge.driver import ArmState
from firmware_bridge.safety.levels import Level
from firmware_bridge.safety.limits import Limits
from firmware_bridge.safety.motion import Envelope

Array = npt.NDArray[np.float64]


class Mode(str, Enum):
    STARTING = "starting"
    SHADOW = "shadow"  # torque off or not ours; targets are computed, nothing is sent
    READY = "ready"  # torque on, holding
    RUNNING = "running"  # following a chunk
    PAUSED = "paused"  # holding, chunks refused
    ESTOP = "estop"  # latched: not one goal frame
    PARKING = "parking"
    LOWERING = "lowering"  # the end of an arm that cannot be left holding: support fades, then torque off
    FAULT = "fault"  # latched: not one goal frame
    STOPPED = "stopped"


ARMED = (Mode.READY, Mode.RUNNING, Mode.PAUSED, Mode.PARKING)
LATCHED = (Mode.ESTOP, Mode.FAULT)
ALIVE = tuple(mode for mode in Mode if mode not in (Mode.STARTING, Mode.STOPPED))
WAYS_OUT = {  # from each mode, what to do next
    Mode.STARTING: "wait until the bridge is ready",
    Mode.SHADOW: "arm first",
    Mode.READY: "it is armed already",
    Mode.RUNNING: "it is armed already",
    Mode.PAUSED: "resume first",
    Mode.ESTOP: "clear the arm's space, then rearm",
    Mode.PARKING: "wait until it is parked, or estop",
    Mode.LOWERING: "wait until it is down, or hold the arm and cut",
    Mode.FAULT: "mend the cause that Status.fault names, then rearm",
    Mode.STOPPED: "start a new bridge",
}


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What does not change while the machine runs; s and rad."""

    envelope: Envelope
    servo_bounds: tuple[Array, Array]  # [D] what the servos themselves keep to
    grippers: npt.NDArray[np.bool_]  # [D]
    park_pose: Array  # [D], inside limits
    park_speed: float
    may_move: bool
    exit_policy: str
    holds_alone: bool  # the servos keep their goal and torque when the host is silent
    silent_fault_s: float
    client_timeout_s: float
    park_after_s: float
    park_timeout_s: float
    levels: tuple[Level, ...] = ()
    lower_s: float = 4.0  # how long an arm that cannot be left holding takes to lose its support

    @property
    def limits(self) -> Limits:
        return self.envelope.limits


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One tick's view of the arm."""

    now: float  # s, monotonic
    tick: int
    state: ArmState


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What to do now: a goal, a switch of the torque, or neither (then the driver is told to hold)."""

    goal: Array | None = None  # [D] send it
    torque: bool | None = None  # True: on with goal = present; False: off
    support: float = 1.0  # of the holding, where neither is given: below 1 lowers the arm
    clamped: tuple[str, ...] = ()
