"""The virtual servo's surprising habits, and the vendor SDK talking to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.virtual_port import VirtualPort
from firmware_bridge.sts.virtual_servo import VirtualServo
from firmware_bridge.sts.virtual_world import Drive, FirstOrderWorld


def write(servo: VirtualServo, name: str, value: int) -> None:
    servo.write(REGISTERS[name].address, REGISTERS[name].encode(value))


def make(**eeprom: int) -> VirtualServo:
    return VirtualServo(7, eeprom, position=2500.0)


def test_eeprom_persists_only_while_unlocked() -> None:
    servo = make()
    write(servo, "P_Coefficient", 16)  # Lock is 1 at power-on
    assert servo.get("P_Coefficient") == 16
    servo.power_on()
    assert servo.get("P_Coefficient") == 32
    write(servo, "Lock", 0)
    write(servo, "P_Coefficient", 16)
    servo.power_on()
    assert servo.get("P_Coefficient") == 16 and servo.get("Lock") == 1


def test_goal_is_clamped_inside_while_the_register_keeps_the_hosts_value() -> None:
    servo = make(Min_Position_Limit=1000, Max_Position_Limit=3000)
    write(servo, "Goal_Position", 4000)
    assert servo.get("Goal_Position") == 4000 and servo.drive.target == 3000


def test_a_goal_write_turns_the_torque_on_again() -> None:
    servo = make()
    write(servo, "Torque_Enable", 0)
    write(servo, "Acceleration", 10)
    assert not servo.drive.torque
    write(servo, "Goal_Position", 2000)
    assert servo.drive.torque and servo.get("Torque_Enable") == 1


def test_homing_offset_shifts_and_wraps_unless_multi_turn() -> None:
    servo = make(Homing_Offset=-1700)
    servo.tick(servo.motion)
    assert servo.get("Present_Position") == (2500 + 1700) % 4096
    write(servo, "Phase", servo.get("Phase") | 0x10)
    servo.tick(servo.motion)
    assert servo.get("Present_Position") == 4200


def test_torque_128_moves_the_zero() -> None:
    servo = make()
    write(servo, "Torque_Enable", 128)
    servo.tick(servo.motion)
    assert servo.get("Present_Position") == 2048 and servo.get("Homing_Offset") == 2500 - 2048


def test_read_only_registers_keep_their_values() -> None:
    servo = make()
    servo.write(3, b"\x01\x01")
    servo.write(56, b"\x01\x01")
    assert servo.get("Model_Number") == 777 and servo.get("Present_Position") == 2500


def test_reboot_resets_sram() -> None:
    servo = make(Max_Torque_Limit=500)
    write(servo, "Torque_Limit", 1000)
    write(servo, "Goal_Position", 100)
    servo.power_on()
    assert servo.get("Torque_Limit") == 500 and not servo.drive.torque
    assert servo.get("Goal_Position") == 2500


def test_the_world_keeps_speed_and_falls_when_limp() -> None:
    world = FirstOrderWorld([0.0], rest=[-500.0])
    drive = Drive(True, 1000.0, 500.0, 25400.0, 1.0)
    world.advance(0.0, [drive])
    last = 0.0
    for step in range(1, 400):
        motion = world.advance(step * 0.01, [drive])[0]
        assert -1e-6 <= motion.position - last <= 5.0 + 1e-6
        last = motion.position
    assert last == 1000.0 and motion.load > 0
    limp = Drive(False, 1000.0, 500.0, 25400.0, 1.0)
    assert world.advance(14.0, [limp])[0].position == -500.0


def test_servos_whose_owner_was_stopped_meanwhile_go_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "firmware_bridge.sts.virtual_process", "--robot", "so101"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, timeout=30)
    os.close(writer)
    assert done.returncode == 0 and done.stderr == b""


def test_one_late_look_equals_many() -> None:
    drive = Drive(True, 1000.0, 2000.0, 25400.0, 1.0)
    often, once = FirstOrderWorld([0.0]), FirstOrderWorld([0.0])
    once.advance(0.0, [drive])
    for step in range(101):
        many = often.advance(step * 0.005, [drive])[0]
    assert once.advance(0.5, [drive])[0].position == pytest.approx(many.position, abs=2.0)


# -- feetech-servo-sdk


@pytest.fixture
def sdk_port(port: VirtualPort, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any, Any]]:
    sdk = pytest.importorskip("scservo_sdk", reason="feetech-servo-sdk is not installed")
    # Its deadline is 2 * 16 + 2 ms, less than a busy machine may take to wake the servos' thread.
    monkeypatch.setattr("scservo_sdk.port_handler.LATENCY_TIMER", 250)
    handler = sdk.PortHandler(port.path)
    assert handler.openPort() and handler.setBaudRate(1_000_000)
    yield sdk, handler, sdk.PacketHandler(0)
    handler.closePort()


def test_sdk_pings_reads_and_writes(sdk_port: tuple[Any, Any, Any], port: VirtualPort) -> None:
    _, handler, packets = sdk_port
    assert packets.ping(handler, 3) == (777, 0, 0)
    assert packets.read2ByteTxRx(handler, 3, 3) == (777, 0, 0)
    assert packets.write1ByteTxRx(handler, 3, 41, 254) == (0, 0)
    assert packets.read1ByteTxRx(handler, 3, 41)[0] == 254
    assert packets.write2ByteTxRx(handler, 3, 42, 2047) == (0, 0)
    assert port.bus.servos[2].get("Goal_Position") == 2047
    assert packets.regWriteTxRx(handler, 3, 42, 2, [0x00, 0x04]) == (0, 0)
    assert port.bus.servos[2].get("Goal_Position") == 2047
    packets.action(handler, 0xFE)
    assert packets.ping(handler, 3)[1] == 0  # all bytes before it have been served
    assert port.bus.servos[2].get("Goal_Position") == 1024
    assert packets.ping(handler, 9)[1] != 0  # nobody there


def test_sdk_group_read_and_write(
    sdk_port: tuple[Any, Any, Any], port: VirtualPort, place: Callable[[int, int], None]
) -> None:
    sdk, handler, packets = sdk_port
    read = sdk.GroupSyncRead(handler, packets, 56, 15)
    write = sdk.GroupSyncWrite(handler, packets, 42, 2)
    for servo in range(1, 7):
        place(servo, 2000 + servo)
        read.addParam(servo)
        write.addParam(servo, [sdk.SCS_LOBYTE(2100 + servo), sdk.SCS_HIBYTE(2100 + servo)])
    assert read.txRxPacket() == 0
    assert [read.getData(servo, 56, 2) for servo in range(1, 7)] == [2000 + s for s in range(1, 7)]
    assert write.txPacket() == 0
    assert packets.ping(handler, 1)[1] == 0  # all bytes before it have been served
    assert [servo.get("Goal_Position") for servo in port.bus.servos] == [2100 + s for s in range(1, 7)]
