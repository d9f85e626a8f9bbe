"""Names of CAN ports: what each means, and what is said when it cannot be opened."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import can
import pytest

from firmware_bridge.damiao import can_port
from firmware_bridge.damiao.can_port import Spec, open_port, parse_port
from firmware_bridge.damiao.frames import Frame
from firmware_bridge.damiao.wire import Wire
from firmware_bridge.errors import ConfigError, PortBusy, PortLost, PortMissing, PortPermission


@pytest.mark.parametrize(
    ("port", "spec"),
    [
        ("can0", Spec("socketcan", "can0")),
        ("socketcan:can1", Spec("socketcan", "can1")),
        ("gs_usb:0", Spec("gs_usb", "0")),
        ("slcan:/dev/ttyACM0", Spec("slcan", "/dev/ttyACM0")),
        ("/dev/ttyACM0", Spec("slcan", "/dev/ttyACM0")),
        ("virtual:here", Spec("virtual", "here")),
        ("udp_multicast:239.74.163.2:4711", Spec("udp_multicast", "239.74.163.2:4711")),
    ],
)
def test_one_bus(port: str, spec: Spec) -> None:
    assert parse_port(port, ("",)) == (spec,)


def test_two_buses_by_place_or_by_name() -> None:
    sides = ("left", "right")
    can0, can1 = Spec("socketcan", "can0"), Spec("socketcan", "can1")
    assert parse_port("can0,can1", sides) == parse_port("right=can1, left=can0", sides) == (can0, can1)


@pytest.mark.parametrize(
    "port", ["can0", "can0,can0", "can0,", "left=can0", "left=can0,middle=can1", "a,b,c", "left=can0,can1"]
)
def test_a_port_that_is_not_two_buses_is_refused(port: str) -> None:
    with pytest.raises(ConfigError, match="expected: can0,can1 or left=can0,right=can1"):
        parse_port(port, ("left", "right"))


@pytest.mark.parametrize("port", ["can0,can1", "pcan:0", "gs_usb:first", "udp_multicast:239.0.0.1", "slcan:"])
def test_a_port_that_is_not_one_bus_is_refused(port: str) -> None:
    with pytest.raises(ConfigError, match="port of"):
        parse_port(port, ("",))


def test_a_missing_interface_says_how_to_bring_it_up() -> None:
    with pytest.raises(PortMissing, match=r"CAN interface can99.*sudo ip link set can99 up type can bitrate 1000000"):
        open_port(Spec("socketcan", "can99"))


def test_an_interface_that_is_down_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "can7").mkdir()
    (tmp_path / "can7" / "flags").write_text("0x80\n")
    monkeypatch.setattr(can_port, "NETWORK", tmp_path)
    with pytest.raises(PortMissing, match=r"expected: up; got: down; what to do: sudo ip link set can7 up"):
        open_port(Spec("socketcan", "can7"))


def test_gs_usb_without_its_driver_says_what_to_install() -> None:
    try:
        import usb  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        with pytest.raises(PortMissing, match=r'pip install "python-can\[gs-usb\]"'):
            open_port(Spec("gs_usb", "0"))
    else:
        with pytest.raises((PortMissing, PortPermission, PortLost)):
            open_port(Spec("gs_usb", "99"))


def test_a_missing_serial_adapter() -> None:
    with pytest.raises(PortMissing, match="ttyNOT_THERE"):
        open_port(Spec("slcan", "/dev/ttyNOT_THERE"))


def test_a_serial_adapter_has_one_user() -> None:
    master, slave = os.openpty()
    try:
        first = open_port(Spec("slcan", os.ttyname(slave)))
        with pytest.raises(PortBusy, match="stop the program"):
            open_port(Spec("slcan", os.ttyname(slave)))
        first.shutdown()
        open_port(Spec("slcan", os.ttyname(slave))).shutdown()  # negative control: free again
    finally:
        os.close(master)
        os.close(slave)


def test_a_pulled_adapter_is_lost() -> None:
    master, slave = os.openpty()
    wire = Wire(Spec("slcan", os.ttyname(slave)))
    os.close(slave)
    os.close(master)
    with pytest.raises(PortLost, match="is gone"):
        wire.drain()
    with pytest.raises(PortLost):
        wire.send(Frame(1, bytes(8)))
    wire.close()  # and closing what is gone says nothing


def test_characters_that_are_no_frame_are_counted_and_overcome() -> None:
    master, slave = os.openpty()
    wire = Wire(Spec("slcan", os.ttyname(slave)))
    good = b"t0118" + b"00" * 8 + b"\r"
    for noise in (b"tXYZ8\rt01\rz\r", b"\xff\xfe\r"):
        before = wire.counts.broken
        os.write(master, noise)
        deadline = time.monotonic() + 10.0
        while wire.counts.broken == before:
            assert wire.drain() == [] and time.monotonic() < deadline
        wire.drain()
        os.write(master, good)
        frames: list[Frame] = []
        while not frames:
            frames = wire.drain()
            assert time.monotonic() < deadline
        assert frames == [Frame(0x11, bytes(8))]
    wire.close()
    os.close(master)
    os.close(slave)


def test_frames_that_no_motor_sends_are_left_out() -> None:
    name = uuid.uuid4().hex
    wire, other = Wire(Spec("virtual", name)), open_port(Spec("virtual", name))
    other.send(can.Message(arbitration_id=0x11, data=bytes(8), is_extended_id=True))
    other.send(can.Message(arbitration_id=0x11, is_remote_frame=True, is_extended_id=False))
    other.send(can.Message(arbitration_id=0x11, data=bytes(8), is_extended_id=False))
    assert wire.drain() == [Frame(0x11, bytes(8))] and wire.counts.broken == 2
    wire.close()
    other.shutdown()
