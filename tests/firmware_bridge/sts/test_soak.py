"""Twenty thousand faults in random order on the virtual line: nothing old is ever returned as new, nothing hangs.

The world's shafts are clocks: what a servo reads says when it was read, to half a millisecond. Runs in
seconds, because no time passes but on the virtual clock.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from firmware_bridge.sts.stale import Debts
from firmware_bridge.sts.virtual_arm import make_servos
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_line import VirtualClock, VirtualLine
from firmware_bridge.sts.virtual_world import Drive, Motion
from tests.firmware_bridge.sts.conftest import CALIBRATION, IDS, ROBOT, TICK_S, Rig, virtual_rig

FAULTS = 20_000
TICKS_PER_S = 2000.0
LONGEST_S = 0.085  # of one reading: four silent requests of 20 ms and the wire
LATEST_S = 0.24  # stale.QUARANTINE_S less a reading; what comes later is not promised to be told apart


class ClockWorld:
    """Every shaft turns at a steady rate, whatever its motor wants."""

    def advance(self, now: float, drives: Sequence[Drive]) -> Sequence[Motion]:
        return [Motion(now * TICKS_PER_S, 0.0, 0.0) for _ in drives]


def make_rig() -> Rig:
    rig = virtual_rig(VirtualBus(make_servos(ROBOT, CALIBRATION), ClockWorld()))
    rig.arm.connect()
    return rig


def misbehave(rig: Rig, dice: random.Random) -> int:
    """Some faults for the next tick; how many."""
    clock, line = rig.bus.clock, rig.bus.line
    assert isinstance(clock, VirtualClock) and isinstance(line, VirtualLine)
    count = dice.choice((0, 0, 1, 1, 2, 3, 6))
    for _ in range(count):
        faults = rig.servos.faults[dice.choice(IDS)]
        kind = dice.randrange(9)
        if kind <= 2:
            faults.late, faults.late_s = dice.choice((1, 1, 2, 5)), dice.uniform(0.001, LATEST_S)
        elif kind == 3:
            faults.drop = dice.choice((1, 1, 2, 7))
        elif kind == 4:
            faults.corrupt = dice.choice((1, 1, 3))
        elif kind == 5:
            faults.deaf = dice.choice((1, 1, 4))
        elif kind == 6:
            faults.again, faults.again_s = 1, dice.uniform(0.0, 0.004)
        elif kind == 7:
            noise = bytes(dice.choice((0xFF, 0xFF, dice.randrange(256))) for _ in range(dice.randrange(1, 60)))
            line.inject(noise, clock.now + dice.uniform(0.0, 0.03))
        else:
            servo = dice.choice(rig.servos.servos)
            servo.restart(clock.now, dice.uniform(0.0, 0.3))
    return count


def soak(rig: Rig, seed: int, faults: int) -> tuple[int, int, int]:
    """(readings returned as new, of them old, faults); time per tick is bounded all along."""
    dice = random.Random(seed)
    clock = rig.bus.clock
    assert isinstance(clock, VirtualClock)
    new = old = done = 0
    offsets = np.array([servo.get("Homing_Offset") for servo in rig.servos.servos], float)
    due = clock.now
    while done < faults:
        done += misbehave(rig, dice)
        due = max(due + TICK_S, clock.now)
        clock.until(due)
        start = clock.now
        fresh = rig.arm.read().fresh
        assert clock.now - start < LONGEST_S
        raw = rig.arm._block.rows["position"].astype(float)
        since = (raw + offsets - start * TICKS_PER_S + 2048) % 4096 - 2048  # ticks after the request
        bad = fresh & ((since < -1) | (since > (clock.now - start) * TICKS_PER_S + 1))
        new += int(fresh.sum())
        old += int(bad.sum())
    return new, old, done


def test_no_reading_is_older_than_its_request() -> None:
    rig = make_rig()
    new, old, done = soak(rig, 1, FAULTS)
    assert old == 0 and done >= FAULTS and new > 2 * FAULTS / 3
    assert rig.bus.counters.stray_bytes > 10_000  # late answers did arrive
    for faults in rig.servos.faults.values():
        faults.late = faults.drop = faults.corrupt = faults.deaf = faults.again = 0
    rig.wait(1.0)
    rig.ticks(30)
    assert rig.ticks(1)[0].fresh.all()


@pytest.mark.parametrize("quarantine_s", [0.0, 0.25])
def test_without_changing_lengths_old_readings_are_returned(quarantine_s: float) -> None:
    """Negative control: the same faults, but every request as long as the one before."""
    rig = make_rig()

    class OneLength(Debts):
        def unanswered(self, length: int, servos: Sequence[int], now: float) -> None:
            pass

    rig.bus._debts = OneLength(quarantine_s=quarantine_s)
    assert soak(rig, 1, 2000)[1] > 10


def test_no_goal_ever_switches_a_restarted_servo_on_again() -> None:
    """A loop that sends only what `read` allows, while servos restart and frames get lost."""
    rig = virtual_rig()
    rig.arm.connect()
    rig.arm.learn(())
    dice = random.Random(2)
    restarts = named = steps = 0
    for _ in range(120):
        goal = rig.arm.torque_on()
        rig.ticks(40)
        restart_at = dice.randrange(20, 60)
        victim = dice.choice(IDS)
        for step in range(120):
            faults = rig.servos.faults[dice.choice(IDS)]
            if dice.random() < 0.2:
                faults.drop = faults.corrupt = dice.randrange(2)
            if dice.random() < 0.05:
                faults.deaf = 1
            if step == restart_at:
                rig.servo(victim).restart(rig.bus.clock(), dice.choice((0.0, 0.0, 0.1, 0.3)))
                restarts += 1
            state = rig.arm.read()
            if state.changed:
                assert step >= restart_at and state.changed[0].startswith(ROBOT.joints[victim - 1]), state.changed
                assert rig.servo(victim).get("Torque_Enable") == 0
                named += 1
                break
            if state.fresh.all():
                rig.arm.send(goal + 0.05 * np.sin(0.1 * step))
                steps += 1
            rig.wait(TICK_S)
        for faults in rig.servos.faults.values():
            faults.drop = faults.corrupt = faults.deaf = 0
        rig.wait(0.5)
        rig.ticks(3)
    assert named == restarts == 120 and steps > 2000


def test_the_virtual_clock_is_the_only_one() -> None:
    """Not a second of real time passes for an hour of silence."""
    rig = make_rig()
    for servo in IDS:
        rig.fault(servo, silent=True)
    start = rig.bus.clock()
    while rig.bus.clock() - start < 3600.0:
        assert not rig.arm.read().fresh.any()
        rig.wait(1.0)
