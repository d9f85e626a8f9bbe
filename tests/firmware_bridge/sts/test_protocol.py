"""Frames: byte for byte the vendor SDK's, and a parser that finds its way through noise."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.sts import protocol
from firmware_bridge.sts.protocol import StatusParser, make_frame


class Recorder:
    """The SDK's port, as far as a transmitting packet handler sees it: keeps what is written."""

    is_using = False

    def __init__(self) -> None:
        self.sent = b""

    def clearPort(self) -> None: ...

    def setPacketTimeout(self, length: int) -> None: ...

    def setPacketTimeoutMillis(self, ms: float) -> None: ...

    def getBaudRate(self) -> int:
        return 1_000_000

    def isPacketTimeout(self) -> bool:
        return True

    def readPort(self, length: int) -> list[int]:
        return []

    def writePort(self, packet: list[int]) -> int:
        self.sent += bytes(packet)
        return len(packet)


CASES: dict[str, tuple[bytes, Callable[[Any, Any], Any]]] = {
    "ping": (protocol.make_ping(3), lambda h, p: h.ping(p, 3)),
    "read": (protocol.make_read(3, 56, 15), lambda h, p: h.readTx(p, 3, 56, 15)),
    "write 1": (protocol.make_write(3, 40, b"\x01"), lambda h, p: h.write1ByteTxOnly(p, 3, 40, 1)),
    "write 2": (
        protocol.make_write(3, 42, (2047).to_bytes(2, "little")),
        lambda h, p: h.write2ByteTxOnly(p, 3, 42, 2047),
    ),
    "reg write": (
        protocol.make_reg_write(3, 42, b"\x10\x20"),
        lambda h, p: h.regWriteTxOnly(p, 3, 42, 2, [0x10, 0x20]),
    ),
    "action": (protocol.make_action(), lambda h, p: h.action(p, 0xFE)),
    "sync read": (
        protocol.make_sync_read(56, 15, [1, 2, 3, 4, 5, 6]),
        lambda h, p: h.syncReadTx(p, 56, 15, [1, 2, 3, 4, 5, 6], 6),
    ),
    "sync write": (
        protocol.make_sync_write(42, 2, {1: b"\x01\x02", 6: b"\xff\x0f"}),
        lambda h, p: h.syncWriteTxOnly(p, 42, 2, [1, 1, 2, 6, 0xFF, 0x0F], 6),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_frames_equal_the_sdk(name: str) -> None:
    sdk = pytest.importorskip("scservo_sdk", reason="feetech-servo-sdk is not installed")
    ours, send = CASES[name]
    port = Recorder()
    send(sdk.PacketHandler(0), port)
    assert port.sent == ours
    port.sent = b""
    send(sdk.PacketHandler(0), port)
    assert port.sent != ours[:-1] + bytes((ours[-1] ^ 1,))  # the comparison can fail


def test_parser_finds_every_frame_in_noise_however_it_is_cut() -> None:
    rng = random.Random(7)
    frames = [make_frame(servo, error, bytes(rng.randbytes(15))) for servo in range(1, 7) for error in (0, 32)]
    noise = [b"\xff\xff", b"\xff\xff\x03", b"\xff\xff\x03\x11\x00", bytes(rng.randbytes(5)), b""]
    stream = b"".join(rng.choice(noise) + frame for frame in frames) + b"\xff"
    for _ in range(50):
        parser = StatusParser(range(1, 7), 15)
        found = []
        at = 0
        while at < len(stream):
            size = rng.randint(1, 40)
            found += parser.feed(stream[at : at + size])
            at += size
        assert [make_frame(f.servo, f.error, f.data) for f in found] == frames


def test_parser_refuses_other_ids_lengths_and_checksums() -> None:
    good = make_frame(3, 0, b"ab")
    assert len(StatusParser((3,), 2).feed(good)) == 1
    assert not StatusParser((4,), 2).feed(good)
    assert not StatusParser((3,), 3).feed(good)
    parser = StatusParser((3,), 2)
    assert not parser.feed(good[:-1] + bytes((good[-1] ^ 1,)))
    assert parser.corrupt == 1
    assert len(parser.feed(good)) == 1
