"""Frames bit for bit: the facts' golden frame, one from each field's end, and both directions by property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.damiao import frames
from firmware_bridge.damiao.frames import Feedback, Mit, Ranges
from firmware_bridge.damiao.motors import MOTORS

DM4340, DM4310 = MOTORS["DM4340"].ranges, MOTORS["DM4310"].ranges
RANGES = st.sampled_from([row.ranges for row in MOTORS.values()])


def inside(limit: float) -> st.SearchStrategy[float]:
    return st.floats(-limit, limit, allow_nan=False)


def test_golden_mit_command() -> None:
    frame = frames.make_mit(2, Mit(0.0, 0.0, 80.0, 5.0, 0.0), DM4340)
    assert frame == frames.Frame(2, bytes.fromhex("7FFF7FF28FFFF7FF"))
    assert frames.make_mit(2, Mit(0.0, 0.0, 80.5, 5.0, 0.0), DM4340) != frame  # negative control


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (Mit(12.5, 10.0, 500.0, 5.0, 28.0), "FFFFFFFFFFFFFFFF"),
        (Mit(-12.5, -10.0, 0.0, 0.0, -28.0), "0000000000000000"),
        (Mit(99.0, -99.0, 999.0, -1.0, 99.0), "FFFF000FFF000FFF"),  # out of range is clamped
    ],
)
def test_ends_of_the_fields(command: Mit, wanted: str) -> None:
    assert frames.make_mit(1, command, DM4340).data == bytes.fromhex(wanted)


def test_zero_torque_reads_a_little_below_zero() -> None:
    data = frames.make_mit(4, Mit(0.0, 0.0, 0.0, 0.0, 0.0), DM4310).data
    assert frames.parse_mit(data, DM4310).torque == pytest.approx(-0.0024, abs=1e-4)


def test_golden_feedback() -> None:
    got = frames.parse_feedback(bytes.fromhex("D37FFF7FF7FF2A1B"), DM4310)
    assert got is not None and (got.id, got.error, got.mos, got.rotor) == (3, 0xD, 42, 27)
    assert abs(got.position) < 4e-4 and abs(got.velocity) < 8e-3 and abs(got.torque) < 3e-3
    assert frames.parse_feedback(bytes(7), DM4310) is None


@given(RANGES, st.data())
def test_what_is_sent_is_what_the_motor_reads(ranges: Ranges, data: st.DataObject) -> None:
    command = Mit(
        data.draw(inside(ranges.position)),
        data.draw(inside(ranges.velocity)),
        data.draw(st.floats(0, 500)),
        data.draw(st.floats(0, 5)),
        data.draw(inside(ranges.torque)),
    )
    frame = frames.make_mit(5, command, ranges)
    read = frames.parse_mit(frame.data, ranges)
    assert abs(read.position - command.position) <= 2 * ranges.position / 65535 + 1e-5
    assert abs(read.velocity - command.velocity) <= 2 * ranges.velocity / 4095 + 1e-5
    assert abs(read.torque - command.torque) <= 2 * ranges.torque / 4095 + 1e-5
    assert abs(read.kp - command.kp) <= 500 / 4095 + 1e-5 and abs(read.kd - command.kd) <= 5 / 4095 + 1e-5
    assert frames.make_mit(5, read, ranges) == frame  # what was measured and sent back is the same number


@given(st.binary(min_size=8, max_size=8), RANGES)
def test_every_feedback_is_read_and_made_again(data: bytes, ranges: Ranges) -> None:
    feedback = frames.parse_feedback(data, ranges)
    assert feedback is not None and frames.make_feedback(0x11, feedback, ranges).data == data


@given(st.binary(max_size=9))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    request, feedback = frames.parse_register(data), frames.parse_feedback(data, DM4310)
    assert request is None or len(request.data) == 4
    assert (feedback is None) == (len(data) != 8)
    assert frames.parse_word(data) in (None, *frames.WORDS)


def test_words_and_registers() -> None:
    assert frames.make_word(7, frames.ENABLE) == frames.Frame(7, bytes.fromhex("FFFFFFFFFFFFFFFC"))
    assert frames.make_word(7, frames.DISABLE).data[7] == 0xFD
    assert frames.parse_word(frames.make_word(1, frames.CLEAR).data) == frames.CLEAR
    assert frames.parse_word(frames.make_mit(1, Mit(99, 99, 999, 9, 99), DM4340).data) is None  # FF x 8
    assert frames.make_register_read(0x103, 9) == frames.Frame(0x7FF, bytes.fromhex("0301330900000000"))
    assert frames.make_refresh(4) == frames.Frame(0x7FF, bytes.fromhex("0400CC0000000000"))
    written = frames.parse_register(frames.make_register_write(2, 10, b"\x01\0\0\0").data)
    assert written == frames.RegisterFrame(2, frames.WRITE, 10, b"\x01\0\0\0")
    assert frames.parse_register(frames.make_register_save(2, 10).data[:4]) is not None  # the short answer


def test_feedback_carries_the_nibble() -> None:
    frame = frames.make_feedback(0x13, Feedback(3, 0xB, 0.5, 0.1, 0.2, 99, 80), DM4340)
    assert frame.id == 0x13 and frame.data[0] == 0xB3 and frame.data[6:] == bytes((99, 80))
