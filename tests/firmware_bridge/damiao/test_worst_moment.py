"""A bridge that took over a holding arm, one tick at a time: what goes wrong at the worst moment."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.damiao import nibbles
from firmware_bridge.errors import PortLost
from firmware_bridge.loop import Loop, Rim
from firmware_bridge.replug import Replug
from firmware_bridge.rules import make_door, make_info, make_rules
from firmware_bridge.safety.chunks import Mailbox
from firmware_bridge.safety.modes import Mode, Reading, Step
from firmware_bridge.safety.state_machine import StateMachine
from firmware_bridge.service import Service
from tests.firmware_bridge.damiao.conftest import YAM, Rig

RATE_HZ = 200.0


@pytest.fixture
def loop(rig: Rig, tmp_path: Path) -> Iterator[Loop]:
    """A loop that took over a holding arm."""
    arm = rig.open()
    arm.torque_on()
    config = rig.config()
    timing = dataclasses.replace(config.timing, rate_hz=RATE_HZ)
    config = dataclasses.replace(config, timing=timing)
    rules = make_rules(config, YAM, arm.facts)
    machine = StateMachine(rules, Mailbox(make_door(config, YAM)))
    machine.torque = "on"
    machine.adopt("the bridge was killed")
    service = Service(f"ipc://{tmp_path}/s")
    replug = Replug(str(tmp_path / "nothing"), lambda: arm)  # never there
    yield Loop(arm, machine, service, make_info(config, YAM, rules, arm.facts, "x", ""), config, Rim(replug=replug))
    replug.end()
    service.close()


def ticks_to_the_end(loop: Loop) -> int:
    count = 0
    while not loop.machine.done and count < 3000:
        loop.tick()
        count += 1
    return count


@pytest.mark.parametrize("readings", [0, 1])
def test_a_lost_arm_is_left_in_the_time_of_a_lowering(readings: int, loop: Loop, rig: Rig) -> None:
    for _ in range(readings):
        loop.tick()
    loop.arm.chain.lost[0] = PortLost("pulled")  # type: ignore[attr-defined]  # as its wire says it
    loop.tick()
    assert loop.machine.mode is Mode.FAULT
    loop.machine.leave("park", 0.0)
    assert loop.machine.mode is Mode.LOWERING
    wanted = round(loop.machine.rules.lower_s * RATE_HZ)
    assert ticks_to_the_end(loop) == pytest.approx(wanted, abs=5)


@pytest.mark.parametrize("deaf", [True, False])
def test_motors_that_hold_go_on_holding_when_another_fails_in_the_tick_of_rearming(
    deaf: bool, loop: Loop, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        loop.tick()
    loop.machine.command("rearm", time.monotonic())
    decide = loop.machine.step

    def step(reading: Reading) -> Step:  # after the reading, before the switch
        rig.fault(2, deaf=deaf)
        return decide(reading)

    monkeypatch.setattr(loop.machine, "step", step)
    loop.tick()
    assert (loop.machine.mode, loop.machine.torque) == ((Mode.FAULT, "unknown") if deaf else (Mode.READY, "on"))
    until = time.monotonic() + 2.5  # their watchdog bites after 1 s
    while time.monotonic() < until:
        loop.tick()
        time.sleep(0.005)
    others = [nibble for index, nibble in enumerate(rig.nibbles()) if index != 2]
    assert others == [nibbles.ENABLED] * 6
