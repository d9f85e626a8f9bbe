"""The loop's small parts: the pulse, the grid, lateness, words that never fail, a port that is waited for."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.driver import Driver
from firmware_bridge.errors import PortMissing
from firmware_bridge.pulse import Heard, Pulse
from firmware_bridge.punctual import Grid, Lateness
from firmware_bridge.replug import Replug, is_there
from firmware_bridge.words import open_standard_files, say, tell

# -- pulse


def test_a_pulse_is_heard_with_what_it_says() -> None:
    reader, writer = os.pipe()
    pulse, heard = Pulse(writer), Heard(0.5)
    pulse.busy(2.0)
    heard.hear(os.read(reader, 65536))
    assert heard.allowed_s == 2.5
    pulse.tick(41, 77)
    pulse.word({"event": "ready", "endpoint": "ipc:///x"})
    data = os.read(reader, 65536)
    for index in range(len(data)):  # in whatever pieces it comes
        heard.hear(data[index : index + 1])
    assert (heard.seq, heard.tick, heard.allowed_s) == (41, 77, 0.5)
    assert heard.words == [{"event": "ready", "endpoint": "ipc:///x"}]
    assert not pulse.alone
    pulse.word({"event": "error", "text": "ä" * 50_000})
    pulse.tick(42, 78)
    heard.hear(os.read(reader, 65536))
    assert heard.words[-1]["event"] == "error" and heard.seq == 42  # cut, and what follows is whole
    heard.hear(b"{broken\nbusy soon\n1 2 3\n43 79\n")
    assert (heard.seq, len(heard.words)) == (43, 2)
    os.close(reader)
    pulse.tick(42, 78)
    assert pulse.alone
    pulse.tick(43, 79)  # and goes on saying nothing
    os.close(writer)


def test_a_supervisor_that_was_stopped_does_not_stop_its_bridge() -> None:
    reader, writer = os.pipe()
    pulse = Pulse(writer)
    for number in range(20_000):  # more than a pipe holds
        pulse.tick(number, number)
    assert not pulse.alone
    heard = Heard(0.5)
    os.close(writer)
    while data := os.read(reader, 65536):
        heard.hear(data)
    assert 1000 < heard.seq < 20_000  # whole lines only: no number was cut in two
    os.close(reader)


def test_a_pulse_without_a_supervisor_says_nothing() -> None:
    pulse = Pulse()
    pulse.tick(1, 1)
    assert not pulse.alone


# -- time


def test_ticks_that_passed_are_skipped_and_counted() -> None:
    grid = Grid(100.0, 0.01)
    assert grid.begin(100.0) == 0.0 and (grid.tick, grid.missed) == (0, 0)
    grid.tick += 1
    assert math.isclose(grid.begin(100.012), 0.002, abs_tol=1e-9) and grid.tick == 1
    grid.tick += 1
    assert math.isclose(grid.begin(100.055), 0.035, abs_tol=1e-9)
    assert (grid.tick, grid.missed) == (5, 3) and grid.due <= 100.055
    grid.tick += 1
    assert grid.begin(100.0599) < 0 and grid.tick == 6  # early: nothing to skip


def test_quantiles_of_lateness_are_those_of_numpy() -> None:
    random = np.random.default_rng(1)
    seconds = random.lognormal(math.log(1e-4), 1.0, 20_000)
    lateness = Lateness()
    for value in seconds.tolist():
        lateness.add(value)
    for part in (0.5, 0.9, 0.99):
        truth = float(np.quantile(seconds, part))
        assert truth * 0.99 <= lateness.quantile(part) <= truth * 1.13, part
    assert lateness.worst == seconds.max() and lateness.newest == seconds[-1]
    assert lateness.quantile(1.0) == lateness.worst and "20000 ticks" in lateness.text()


def test_no_ticks_have_no_lateness_and_the_worst_ones_are_counted() -> None:
    lateness = Lateness()
    assert lateness.quantile(0.99) == 0.0
    for value in (-1.0, 0.0, 1e9):
        lateness.add(value)
    assert lateness.worst == 1e9 and lateness.count == 3


# -- words


def test_words_are_lines_and_a_dead_reader_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    say({"event": "ready", "text": "ä"})
    tell("to people")
    seen = capfd.readouterr()
    assert json.loads(seen.out) == {"event": "ready", "text": "ä"} and seen.err == "bridge: to people\n"


def test_words_to_a_dead_a_full_and_a_stuck_reader_do_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    kept = os.dup(2)
    reader, writer = os.pipe()
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        os.dup2(full, 2)
        tell("nowhere")
        os.dup2(writer, 2)
        for _ in range(100):  # 400 kB into a pipe of 64 kB that nobody reads
            tell("x" * 4000)
        os.close(reader)
        tell("nobody")
        os.close(2)
        tell("no file")
    finally:
        os.dup2(kept, 2)
        for file in (kept, writer, full):
            os.close(file)
    tell("a person")
    assert capfd.readouterr().err == "bridge: a person\n"  # nothing of it is caught up on, nothing is lost after it


def test_closed_standard_files_become_dev_null() -> None:
    kept = os.dup(0)
    try:
        os.close(0)
        open_standard_files()
        assert os.readlink("/proc/self/fd/0") == "/dev/null"
    finally:
        os.dup2(kept, 0)
        os.close(kept)


# -- replug


class Silent(Driver):
    """A driver that knows only whether it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1
        raise OSError("a port that is gone")


def soon(true: object) -> bool:
    deadline = time.monotonic() + 10.0
    while not true():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_a_port_is_opened_again_when_it_is_there_and_not_before(tmp_path: Path) -> None:
    port, tries, old, new = tmp_path / "tty", [0], Silent(), Silent()

    def reopen() -> Driver:
        tries[0] += 1
        if tries[0] == 1:
            raise PortMissing("half there")
        if tries[0] == 2:
            raise ZeroDivisionError
        return new

    replug = Replug(str(port), reopen, every_s=0.02)
    assert replug.back() is None
    replug.lost(old)
    assert soon(lambda: "is not there" in replug.problem) and tries == [0] and old.closed == 1
    port.touch()
    assert soon(lambda: tries[0] == 3)
    found: list[Driver] = []
    assert soon(lambda: (arm := replug.back()) is not None and not found.append(arm)) and found == [new]
    assert replug.back() is None and new.closed == 0  # once
    replug.end()


def test_ending_stops_the_waiting_and_closes_what_nobody_took(tmp_path: Path) -> None:
    new = Silent()
    replug = Replug("udp_multicast:239.1.1.1", lambda: new, every_s=0.01)
    replug.lost(Silent())
    assert soon(lambda: not [t for t in threading.enumerate() if t.name == "replug"])
    replug.end()
    assert new.closed == 1
    other = Replug(str(tmp_path / "never"), lambda: new, every_s=30.0)
    other.lost(Silent())
    other.end()  # does not wait for the next try
    assert not [t for t in threading.enumerate() if t.name == "replug"]


PORTS = {
    "/dev/null": True,
    "/dev/no": False,
    "slcan:/dev/null": True,
    "slcan:/dev/no": False,
    "lo": True,  # any network interface will do for the look
    "can99": False,
    "socketcan:lo": True,
    "socketcan:can99": False,
    "lo,can99": False,
    "left=lo,right=slcan:/dev/null": True,
    "left=lo,right=/dev/no": False,
    "udp_multicast:239.74.163.2:1234": True,
}


@pytest.mark.parametrize("port", PORTS)
def test_where_a_port_is_looked_for(port: str, tmp_path: Path) -> None:
    assert is_there(port) == PORTS[port]
    odd = tmp_path / "pci-0000:00:14.0-usb-0:2"
    assert not is_there(str(odd))
    odd.touch()
    assert is_there(str(odd)) and is_there(f"slcan:{odd}")
