"""The virtual motor against what is known of the real one: watchdog, errors, memory, MIT control."""

from __future__ import annotations

import dataclasses
import struct

import numpy as np
import pytest

from firmware_bridge.damiao import nibbles
from firmware_bridge.damiao.frames import CLEAR, DISABLE, ENABLE, SET_ZERO, Mit, make_mit
from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.damiao.registers import REGISTERS
from firmware_bridge.damiao.virtual_motor import Load, VirtualMotor

KIND = MOTORS["DM4310"]
FREE = Load()


class Bench:
    """A motor and a clock."""

    def __init__(self) -> None:
        self.motor = VirtualMotor(1, KIND)
        self.now = 0.0
        self.load = FREE
        self.motor.advance(0.0, FREE)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            self.now += 0.01
            self.motor.advance(self.now, self.load)

    def follow(self, command: Mit, seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            self.motor.follow(make_mit(1, command, KIND.ranges).data, self.now)
            self.wait(0.01)

    def word(self, word: int) -> None:
        self.motor.obey(word, self.now)


@pytest.fixture
def bench() -> Bench:
    return Bench()


GO = Mit(0.5, 0.0, 10.0, 1.5, 0.0)


def test_nothing_moves_before_enable(bench: Bench) -> None:
    bench.follow(GO, 1.0)
    assert bench.motor.position == 0.0 and bench.motor.nibble == nibbles.DISABLED
    bench.word(ENABLE)
    bench.follow(GO, 1.0)
    assert bench.motor.position == pytest.approx(0.5, abs=0.01) and bench.motor.nibble == nibbles.ENABLED
    bench.word(DISABLE)
    assert bench.motor.nibble == nibbles.DISABLED


def test_a_load_bends_the_spring_and_feed_forward_carries_it(bench: Bench) -> None:
    bench.load = Load(torque=1.0, rest=-5.0)
    bench.word(ENABLE)
    bench.follow(GO, 2.0)
    assert bench.motor.position == pytest.approx(0.4, abs=0.01)  # 1 N m / 10 N m/rad
    bench.follow(dataclasses.replace(GO, torque=1.0), 2.0)
    assert bench.motor.position == pytest.approx(0.5, abs=0.01)


def test_silence_ends_in_error_d_and_a_braked_shaft(bench: Bench) -> None:
    bench.load = Load(torque=1.0, rest=-50.0)
    bench.word(ENABLE)
    bench.follow(dataclasses.replace(GO, torque=1.0), 1.0)
    bench.wait(0.37)
    assert bench.motor.nibble == nibbles.ENABLED
    bench.wait(0.05)
    assert bench.motor.nibble == nibbles.COMMUNICATION_LOST
    bench.wait(1.0)
    braked = abs(bench.motor.speed)
    bench.word(ENABLE)
    assert bench.motor.nibble == nibbles.COMMUNICATION_LOST  # only CLEAR ends an error
    bench.word(CLEAR)
    assert bench.motor.nibble == nibbles.DISABLED
    bench.wait(1.0)
    assert 0.05 < braked < 0.3 < abs(bench.motor.speed)


def test_without_a_watchdog_the_last_command_goes_on(bench: Bench) -> None:
    bench.motor.write(REGISTERS["TIMEOUT"].number, bytes(4))
    bench.word(ENABLE)
    bench.follow(Mit(0.0, 0.0, 0.0, 0.0, 0.5), 0.01)
    bench.wait(2.0)
    assert bench.motor.nibble == nibbles.ENABLED and bench.motor.position > 1.0


@pytest.mark.parametrize(
    ("field", "value", "nibble"),
    [("mos", 110, 0xB), ("rotor", 110, 0xC), ("voltage", 10.0, 0x9), ("voltage", 40.0, 0x8)],
)
def test_an_error_stays_until_its_cause_is_gone_and_it_is_cleared(
    bench: Bench, field: str, value: float, nibble: int
) -> None:
    good = getattr(bench.motor, field)
    bench.word(ENABLE)
    setattr(bench.motor, field, value)
    bench.wait(0.01)
    assert bench.motor.nibble == nibble
    bench.word(CLEAR)
    assert bench.motor.nibble == nibble
    setattr(bench.motor, field, good)
    bench.wait(0.01)
    assert bench.motor.nibble == nibble
    bench.word(CLEAR)
    bench.word(ENABLE)
    assert bench.motor.nibble == nibbles.ENABLED


def test_a_reboot_forgets_what_was_not_saved_and_the_turn(bench: Bench) -> None:
    timeout = REGISTERS["TIMEOUT"]
    bench.motor.place(4.0)
    bench.word(ENABLE)
    bench.motor.write(timeout.number, timeout.encode(100))
    bench.motor.reboot()
    assert bench.motor.read(timeout.number) == timeout.encode(8000)
    assert bench.motor.nibble == nibbles.DISABLED and bench.motor.position == pytest.approx(4.0 - 2 * np.pi)
    bench.motor.write(timeout.number, timeout.encode(4000))
    bench.motor.save(timeout.number)
    bench.motor.reboot()
    assert bench.motor.read(timeout.number) == timeout.encode(4000)


def test_zero_is_set_only_while_disabled(bench: Bench) -> None:
    bench.motor.place(1.0)
    bench.word(ENABLE)
    bench.word(SET_ZERO)
    assert bench.motor.position == 1.0
    bench.word(DISABLE)
    bench.word(SET_ZERO)
    assert bench.motor.position == 0.0


def test_registers_that_may_not_be_written_keep_their_value(bench: Bench) -> None:
    gear, mode = REGISTERS["Gr"], REGISTERS["CTRL_MODE"]
    assert bench.motor.write(gear.number, gear.encode(99.0)) == gear.encode(10.0)
    assert bench.motor.write(mode.number, mode.encode(2)) == mode.encode(2)
    bench.word(ENABLE)
    bench.follow(GO, 1.0)
    assert bench.motor.position == 0.0  # MIT frames mean nothing in another mode
    assert bench.motor.read(99) is None


def test_a_wrong_tmax_scales_the_torque(bench: Bench) -> None:
    """Why connecting refuses it: the same frame, three times the torque."""
    bench.motor.write(REGISTERS["TMAX"].number, struct.pack("<f", 30.0))
    bench.word(ENABLE)
    bench.follow(Mit(0.0, 0.0, 0.0, 0.0, 1.0), 0.01)
    assert bench.motor.torque == pytest.approx(3.0, abs=0.05)


def test_a_limp_joint_rests_and_a_raised_one_falls(bench: Bench) -> None:
    bench.load = Load(torque=2.0, rest=0.0, low=-0.03, high=3.0)
    bench.wait(1.0)
    assert bench.motor.position == 0.0
    bench.motor.place(1.0)
    bench.wait(3.0)
    assert bench.motor.position < 0.2
