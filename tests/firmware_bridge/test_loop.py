"""One tick of the loop at a time, on a real pty: what fails inside a tick becomes a stated fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.config import BridgeConfig, Timing
from firmware_bridge.loop import Loop
from firmware_bridge.messages import FRAME, UNITS, Chunk, Command, Reply, Wire
from firmware_bridge.robots import find
from firmware_bridge.rules import make_info, make_rules
from firmware_bridge.safety.chunks import Door, Mailbox
from firmware_bridge.safety.modes import Mode
from firmware_bridge.safety.state_machine import StateMachine
from firmware_bridge.service import Service
from firmware_bridge.sts.arm import StsArm
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_port import VirtualPort

ROBOT = find("so101")


@pytest.fixture
def loop(bus: Bus, tmp_path: Path) -> Iterator[Loop]:
    config = BridgeConfig(robot="so101", port="sim", timing=Timing(rate_hz=100.0))
    arm = StsArm(bus, ROBOT, shipped_calibration(ROBOT))
    arm.learn(())
    rules = make_rules(config, ROBOT, arm.facts)
    machine = StateMachine(rules, Mailbox(Door("so101", 6, 100.0, 500)))
    service = Service(f"ipc://{tmp_path}/s")
    info = make_info(config, ROBOT, rules, arm.facts, "pty", "")
    yield Loop(arm, machine, service, info, config)
    service.close()


def say(loop: Loop, word: str) -> Reply:
    reply = loop.answer(b"client", Command(word))
    assert isinstance(reply, Reply)
    return reply


def test_a_torque_switch_that_fails_is_a_fault_that_does_not_guess(loop: Loop, port: VirtualPort) -> None:
    loop.tick()
    assert say(loop, "arm").ok  # on the last reading, which was whole
    port.bus.faults[4].silent = True
    loop.tick()
    assert loop.machine.mode is Mode.FAULT and loop.machine.torque == "unknown"
    assert "torque: not known" in loop.machine.fault
    assert not port.bus.journal  # present could not be read: nothing was written
    loop.machine.leave("park", 0.0)
    assert "torque not known: hold the arm by hand" in loop.machine.farewell()


def test_arm_then_one_tick_and_the_torque_is_on(loop: Loop, port: VirtualPort) -> None:
    """Negative control of the test above."""
    loop.tick()
    assert say(loop, "arm").ok
    loop.tick()
    assert loop.machine.mode is Mode.READY and loop.machine.torque == "on"
    assert [servo.get("Torque_Enable") for servo in port.bus.servos] == [1] * 6


def test_our_own_mistake_becomes_a_fault_and_the_loop_goes_on(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    loop.tick()
    say(loop, "arm")
    loop.tick()
    monkeypatch.setattr(loop.arm, "read", lambda: 1 // 0)
    for _ in range(5):
        loop.tick()
    assert "a mistake inside the bridge: ZeroDivisionError" in loop.machine.fault
    assert loop.machine.torque == "on" and capfd.readouterr().err.count("Traceback") == 1
    monkeypatch.undo()
    loop.tick()
    assert say(loop, "rearm").ok
    loop.tick()
    assert loop.machine.mode is Mode.READY


def test_unknown_words_are_refused_with_the_known_ones(loop: Loop) -> None:
    loop.tick()
    refused = say(loop, "dance")
    assert not refused.ok and refused.error == "CommandRefused" and "estop" in refused.text
    assert loop.answer(b"client", Command("heartbeat")) is None


def test_no_message_however_made_ends_the_bridge(loop: Loop, capfd: pytest.CaptureFixture[str]) -> None:
    loop.tick()
    assert say(loop, "arm").ok
    loop.tick()
    good = Chunk(np.zeros((2, 6), np.float32), "so101", UNITS, FRAME, loop.counts.seq, loop.grid.tick, 0.1)
    odd = dataclasses.replace(good, start_tick="soon")  # type: ignore[arg-type]
    for message in (odd, Command({}), Command("shutdown", 5)):  # type: ignore[arg-type]
        reply = loop.answer(b"client", message)
        assert isinstance(reply, Reply) and not reply.ok and loop.machine.mode is not Mode.STOPPED
    assert "Traceback" in capfd.readouterr().err
    loop.tick()
    assert say(loop, "pause").ok


def test_a_status_that_cannot_be_published_is_a_fault_and_the_loop_goes_on(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    loop.tick()
    say(loop, "arm")
    loop.tick()
    monkeypatch.setattr(loop.service, "publish", lambda status: 1 // 0)
    loop.tick()
    loop.tick()
    assert loop.machine.mode is Mode.FAULT and capfd.readouterr().err.count("Traceback") == 1
    monkeypatch.undo()
    loop.tick()
    assert say(loop, "rearm").ok


def test_the_wire_counts_what_a_retry_hides(loop: Loop, port: VirtualPort) -> None:
    """A reading whose second try succeeds is fresh: only the count shows a bad cable."""
    loop.arm.connect()
    loop.arm.learn(())
    loop.tick()
    before = loop.answer(b"client", Command("wire"))
    port.bus.faults[3].corrupt = 1
    port.bus.faults[5].drop = 2
    loop.tick()
    after = loop.answer(b"client", Command("wire"))
    assert isinstance(before, Wire) and isinstance(after, Wire)
    assert before.missed == (0,) * 6 and after.missed == (0, 0, 1, 0, 2, 0)
    assert after.firmware == ("3.6",) * 6
    assert loop._state is not None and loop._state.fresh.tolist() == [True] * 4 + [False, True]
