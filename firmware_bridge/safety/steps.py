"""What each mode does in a tick in which every servo answered. Pure; takes the machine, moves it, gives a Step."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import BridgeError
from firmware_bridge.safety.levels import SHORT, SLOW
from firmware_bridge.safety.modes import Mode, Reading, Step
from firmware_bridge.safety.motion import Envelope, advance, standing

if TYPE_CHECKING:
    from firmware_bridge.safety.state_machine import StateMachine

Array = npt.NDArray[np.float64]
PARKED = 0.15  # rad: gravity and backlash leave a resting arm this far off (SO-ARM100 #134)
PROGRESS = 1e-3  # rad nearer to the park pose: the way there is not blocked


class Parking:
    """How far a parking has come."""

    def __init__(self) -> None:
        self.hot = ""  # the heat for which the arm parks: then its torque goes off and this is the fault
        self.begin(0.0)

    def begin(self, now: float) -> None:
        self._left = math.inf  # rad
        self._since = now

    def stuck_s(self, now: float, left: float) -> float:
        """For how long the command has not come nearer, `left` rad away."""
        if left < self._left - PROGRESS or now < self._since:
            self._left, self._since = left, now
        return now - self._since


def hold(machine: StateMachine, reading: Reading) -> Step:
    """Not one goal."""
    return Step(support=machine.support)


def shadow(machine: StateMachine, reading: Reading) -> Step:
    """Compute what would be sent, as if the arm followed; send nothing."""
    wish = machine.mailbox.target(reading.tick)
    if wish is None or not np.isfinite(machine.commanded).all():
        machine.motion = standing(reading.state.position)
        return hold(machine, reading)
    pace = machine.mailbox.pace(reading.tick)
    step = _towards(machine, wish, machine.motion.position, _envelope(machine, machine.mailbox.speed), pace)
    machine.add_note("shadow: this goal is not sent")
    return dataclasses.replace(step, goal=None)


def follow(machine: StateMachine, reading: Reading) -> Step:
    """Follow the chunk; without one come to rest, from this tick on."""
    wish = machine.mailbox.target(reading.tick)
    if wish is None:
        machine.mode = Mode.READY
        if "the client is silent" not in machine.note:
            machine.add_note("no chunk: holding")
        return rest(machine, reading)
    machine.mode = Mode.RUNNING
    pace = machine.mailbox.pace(reading.tick)
    return _towards(machine, wish, reading.state.position, _envelope(machine, machine.mailbox.speed), pace)


def rest(machine: StateMachine, reading: Reading) -> Step:
    """Brake until the command stands, then send nothing, but where a joint must press less."""
    last, measured, envelope = machine.motion, reading.state.position, _envelope(machine)
    if last.velocity.any():
        return _towards(machine, None, measured, envelope)
    short = machine.verdict.short
    if short is not None and (short & (np.abs(last.position - measured) > envelope.lead)).any():
        return _towards(machine, last.position, measured, envelope)
    return hold(machine, reading)


def park(machine: StateMachine, reading: Reading) -> Step:
    """Slowly to the park pose; torque off there. Where that fails the torque stays on."""
    rules, now = machine.rules, reading.now
    machine.add_note(f"parking to cool down: {machine.parking.hot}" if machine.parking.hot else "parking")
    arm = ~rules.grippers
    step = hold(machine, reading)
    left = np.abs(rules.park_pose - machine.commanded) * arm
    off = np.abs(rules.park_pose - reading.state.position) * arm
    if left.any() or machine.motion.velocity.any():
        step = _towards(machine, rules.park_pose, reading.state.position, _envelope(machine, rules.park_speed))
    elif off.max() <= PARKED:
        machine.remark = "; ".join(text for text in ("parked", machine.parking.hot) if text and machine.leaving)
        machine.mode = Mode.STOPPED if machine.leaving else Mode.SHADOW
        machine.driver_at = None
        return Step(torque=False)
    if machine.parking.stuck_s(now, float(left.max())) <= rules.park_timeout_s:
        return step
    worst = int(np.maximum(left, off).argmax())
    why = f" ({', '.join(step.clamped)})" if step.clamped else ""
    away = max(left[worst], off[worst])
    return _could_not_park(machine, step, f"could not park: {rules.limits.joints[worst]} is {away:.2f} rad away{why}")


def _could_not_park(machine: StateMachine, step: Step, what: str) -> Step:
    machine.driver_at = None
    machine.remark = f"{what}; torque stays on"
    if machine.parking.hot:
        machine.failed(f"{machine.parking.hot}; {what}")
    elif machine.leaving:
        machine.end()
        if machine.mode is Mode.LOWERING:
            machine.remark = what
    else:
        machine.mode = Mode.PAUSED
        return step  # where the command moves, it goes on to be braked from the next tick on
    return Step(support=machine.support)


def lower(machine: StateMachine) -> Step:
    """Less support in each tick, by ticks and not by the clock, which may jump; torque off at the end."""
    rules = machine.rules
    machine.support = max(0.0, machine.support - rules.envelope.dt / rules.lower_s)
    machine.add_note(f"lowering the arm: {machine.support:.0%} of its support is left")
    if machine.support > 0.0:
        return Step(support=machine.support)
    machine.mode = Mode.STOPPED
    return Step(torque=False)


def _towards(
    machine: StateMachine, wish: Array | None, measured: Array, envelope: Envelope, pace: Array | None = None
) -> Step:
    try:
        moved = advance(wish, machine.motion, measured, envelope, pace)
    except BridgeError as error:
        machine.failed(str(error))
        return Step(support=machine.support)
    machine.motion = moved.motion
    return Step(goal=moved.motion.position, clamped=moved.cuts)


def _envelope(machine: StateMachine, speed: float = math.inf) -> Envelope:
    """The rules' envelope, no faster than `speed` rad/s, and as the levels ask."""
    envelope, verdict = machine.rules.envelope, machine.verdict
    if speed == math.inf and not verdict.slow and verdict.short is None:
        return envelope
    slower = np.minimum(envelope.limits.speed * (SLOW if verdict.slow else 1.0), speed)
    lead = envelope.lead if verdict.short is None else np.where(verdict.short, SHORT, 1.0) * envelope.lead
    return dataclasses.replace(envelope, limits=dataclasses.replace(envelope.limits, speed=slower), lead=lead)


STEPS: dict[Mode, Callable[[StateMachine, Reading], Step]] = {
    Mode.SHADOW: shadow,
    Mode.READY: follow,
    Mode.RUNNING: follow,
    Mode.PAUSED: rest,
    Mode.ESTOP: hold,
    Mode.PARKING: park,
    Mode.FAULT: hold,
    Mode.STOPPED: hold,
}
