"""The bus against virtual servos behind a real pty: every fault it promises to survive or to name."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any

import pytest

from firmware_bridge.errors import CorruptAnswer, NoAnswer, ServoDuplicate, ServoWrong
from firmware_bridge.sts.bus import Bus, Patience
from firmware_bridge.sts.protocol import make_frame
from firmware_bridge.sts.registers import REGISTERS, TELEMETRY_ADDRESS, TELEMETRY_LENGTH
from firmware_bridge.sts.scan import probe_echo, scan
from firmware_bridge.sts.stale import SPARE_LENGTHS, Debts
from firmware_bridge.sts.virtual_port import VirtualPort

IDS = (1, 2, 3, 4, 5, 6)
POSITION = REGISTERS["Present_Position"]
AT = POSITION.address - TELEMETRY_ADDRESS
Place = Callable[[int, int], None]


def positions(bus: Bus) -> dict[int, int]:
    answer = bus.sync_read(TELEMETRY_ADDRESS, TELEMETRY_LENGTH, IDS)
    return {servo: POSITION.decode(frame.data[AT:]) for servo, frame in answer.frames.items()}


def test_one_request_reads_all_telemetry(bus: Bus, port: VirtualPort, place: Place) -> None:
    place(2, 1234)
    assert positions(bus)[2] == 1234
    assert bus.counters.requests == port.bus.frames["sync_read"] == 1


def test_a_silent_servo_does_not_hide_the_others(bus: Bus, port: VirtualPort) -> None:
    bus.patience = Patience(reply_timeout_s=0.05)
    bus._debts = Debts(quarantine_s=60.0)
    port.bus.faults[3].silent = True
    answer = bus.sync_read(TELEMETRY_ADDRESS, TELEMETRY_LENGTH, IDS)
    assert answer.missing == (3,) and set(answer.frames) == set(IDS) - {3}
    for _ in range(20):  # silent for long: bounded, and the others are read all the while
        assert bus.sync_read(TELEMETRY_ADDRESS, TELEMETRY_LENGTH, IDS).missing == (3,)
    assert bus.counters.silent == SPARE_LENGTHS


def test_dropped_and_corrupt_answers_are_asked_for_again(bus: Bus, port: VirtualPort) -> None:
    port.bus.faults[2].drop = 1
    port.bus.faults[5].corrupt = 1
    assert len(positions(bus)) == 6
    assert bus.counters.retries == 1 and bus.counters.corrupt == 1


def test_error_byte_of_each_servo_is_kept(bus: Bus, port: VirtualPort) -> None:
    port.bus.servos[3].status = 32
    answer = bus.sync_read(TELEMETRY_ADDRESS, TELEMETRY_LENGTH, IDS)
    assert {servo: frame.error for servo, frame in answer.frames.items()} == {**dict.fromkeys(IDS, 0), 4: 32}


def test_one_servo_silent_or_corrupt_raises_what_it_is(bus: Bus, port: VirtualPort) -> None:
    assert bus.read(4, "Model_Number") == 777
    port.bus.faults[4].silent = True
    with pytest.raises(NoAnswer, match=r"servo 4.*what to do"):
        bus.read(4, "Model_Number")
    port.bus.faults[5].corrupt = 9
    with pytest.raises(CorruptAnswer, match="servo 5"):
        bus.read(5, "Model_Number")


def test_echo_is_found_and_tolerated(bus: Bus, port: VirtualPort, place: Place) -> None:
    assert not probe_echo(bus)
    port.bus.echo = True
    assert probe_echo(bus)
    assert scan(bus, IDS) == IDS
    for ticks in range(2000, 2020):
        place(1, ticks)
        bus.sync_write("Goal_Position", {1: 2047})
        assert bus.read(1, "Present_Position") == ticks
        assert positions(bus)[1] == ticks
    assert bus.counters.stray_bytes == 0
    bus.echo = False  # negative control: an echo that is not expected is noise
    positions(bus)
    assert bus.counters.stray_bytes > 0


def test_scan_names_missing_and_duplicate_ids(bus: Bus, port: VirtualPort) -> None:
    port.bus.faults[6].silent = True
    assert scan(bus, IDS) == (1, 2, 3, 4, 5)
    port.bus.faults[2].duplicate = True
    with pytest.raises(ServoDuplicate, match=r"id 2.*one at a time"):
        scan(bus, IDS)


def test_recentring_torque_value_never_leaves(bus: Bus, port: VirtualPort) -> None:
    with pytest.raises(ServoWrong, match="128"):
        bus.sync_write("Torque_Enable", {1: 128})
    with pytest.raises(ServoWrong, match="128"):
        bus.write(1, "Torque_Enable", 128)
    assert not port.bus.journal


# -- the stale read


def late_then_moving(read: Callable[[], int | None], port: VirtualPort, place: Place) -> list[tuple[int, int | None]]:
    """(true position, what was read) of twenty cycles, the first answered late."""
    with port.lock:
        port.bus.faults[1].late, port.bus.faults[1].late_s = 1, 0.08
    rows = []
    for cycle in range(20):
        place(1, 2000 + 10 * cycle)
        rows.append((2000 + 10 * cycle, read()))
        time.sleep(0.01)
    return rows


def test_a_late_answer_is_never_taken_for_a_new_one(bus: Bus, port: VirtualPort, place: Place) -> None:
    bus.patience = Patience(reply_timeout_s=0.03)
    rows = late_then_moving(lambda: positions(bus).get(1), port, place)
    wrong = [row for row in rows if row[1] not in (row[0], None)]
    assert not wrong
    assert sum(got is not None for _, got in rows) >= 18
    assert bus.counters.stray_bytes > 0  # the late answer did arrive


def test_the_sdk_reads_stale_data(port: VirtualPort, place: Place) -> None:
    """Negative control: the same servo, the same lateness, feetech-servo-sdk."""
    sdk: Any = pytest.importorskip("scservo_sdk", reason="feetech-servo-sdk is not installed")
    handler = sdk.PortHandler(port.path)
    assert handler.openPort()
    group = sdk.GroupSyncRead(handler, sdk.PacketHandler(0), 56, 15)
    group.addParam(1)

    def read() -> int | None:
        return group.getData(1, 56, 2) if group.txRxPacket() == 0 else None

    rows = late_then_moving(read, port, place)
    handler.closePort()
    assert [row for row in rows if row[1] not in (row[0], None)]


def test_bytes_that_lie_in_the_input_are_thrown_away_first(bus: Bus, port: VirtualPort, place: Place) -> None:
    place(1, 2000)
    telemetry = bus.read_bytes(1, TELEMETRY_ADDRESS, TELEMETRY_LENGTH).data
    forged = make_frame(1, 0, telemetry[:AT] + (1111).to_bytes(2, "little") + telemetry[AT + 2 :])
    os.write(port._master, forged)
    while not select.select([bus.line._file], [], [], 1.0)[0]:  # type: ignore[attr-defined]
        pass
    assert positions(bus)[1] == 2000
    assert bus.counters.stray_bytes == len(forged)


def test_debts_change_the_length_until_they_run_out() -> None:
    debts = Debts(spare=2, quarantine_s=1.0)
    assert debts.ask(15, (1, 2), 0.0).length == 15
    debts.unanswered(15, (1,), 0.0)
    assert debts.ask(15, (1, 2), 0.5).length == 16
    debts.unanswered(16, (1,), 0.5)
    ask = debts.ask(15, (1, 2), 0.6)
    assert ask.servos == (2,) and ask.withheld == (1,)
    assert debts.ask(15, (1, 2), 1.1) == debts.ask(15, (1, 2), 1.2)
    assert debts.ask(15, (1, 2), 1.1).servos == (1, 2)
    assert debts.ask(15, (1, 2), 2.0).length == 15


def test_a_debt_counts_for_every_request_of_that_length() -> None:
    debts = Debts()
    debts.unanswered(2, (1,), 0.0)  # torque, asked with one byte more
    assert debts.ask(2, (1,), 0.1).length == 3  # position: two bytes
    assert debts.ask(31, (1,), 0.1).length == 31
    assert debts.ask(2, (2,), 0.1).length == 2


@pytest.mark.parametrize("unicast", [False, True])
def test_a_late_answer_to_one_question_is_no_answer_to_another(
    bus: Bus, port: VirtualPort, place: Place, unicast: bool
) -> None:
    """A late position (2 bytes) must not be read as the limit (2 bytes) that is asked for next."""
    bus.patience = Patience(reply_timeout_s=0.02, unicast_timeout_s=0.03, retries=0)
    limit = REGISTERS["Max_Position_Limit"]
    place(1, 1111)
    with port.lock:
        port.bus.faults[1].late, port.bus.faults[1].late_s = 1, 0.12
    if unicast:
        with pytest.raises(NoAnswer):
            bus.read(1, "Present_Position")
    else:
        assert bus.sync_read(POSITION.address, 2, (1,)).missing == (1,)
    seen = set()
    deadline = time.monotonic() + 0.25
    while time.monotonic() < deadline:
        answer = bus.sync_read(limit.address, limit.length, (1,))
        seen |= {limit.decode(frame.data) for frame in answer.frames.values()}
    assert seen == {3298}


def test_a_copy_of_an_answer_is_avoided_and_never_the_reason_for_silence() -> None:
    debts = Debts(spare=2)
    debts.answered(15, (1, 2), 0.0)
    assert debts.ask(15, (1, 2), 0.001).length == 16
    debts.answered(16, (1, 2), 0.001)
    assert debts.ask(15, (1, 2), 0.002).servos == (1, 2)  # every length came just now: ask all the same
    debts.unanswered(15, (1,), 0.002)
    ask = debts.ask(15, (1, 2), 0.003)
    assert (ask.servos, ask.withheld) == ((2,), (1,))
    assert debts.ask(15, (1, 2), 0.1).servos == (1, 2)
