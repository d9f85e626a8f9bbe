"""The live table and the keys of jog in a real pseudo-terminal, against a real bridge."""

from __future__ import annotations

import contextlib
import json
import math
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.bridges import DEADLINE_S, Home, home
from tests.cli.conftest import armside_program

ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        yield made


class Terminal:
    """A verb in a terminal of its own."""

    def __init__(self, place: Home, *words: str) -> None:
        self.ours, theirs = pty.openpty()
        env = {**place.env, "TERM": "xterm", "COLUMNS": "150", "LINES": "50"}
        command = [*armside_program(), *words]
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True, close_fds=True
        )
        os.close(theirs)
        self.text = ""

    def wait_for(self, pattern: str) -> str:
        """Reads until the text since the last call has it; that text."""
        deadline = time.monotonic() + DEADLINE_S
        while not (match := re.search(pattern, self.text)):
            assert time.monotonic() < deadline, f"never {pattern!r} in {self.text[-3000:]}"
            if select.select([self.ours], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.text += ESCAPES.sub("", os.read(self.ours, 65536).decode(errors="replace"))
        seen, self.text = self.text[: match.end()], self.text[match.end() :]
        return seen

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def end(self) -> int:
        """Reads what is left, so that the program never waits for its terminal; its exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"never ended: {self.text[-3000:]}"
            if select.select([self.ours], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.text += ESCAPES.sub("", os.read(self.ours, 65536).decode(errors="replace"))
        os.close(self.ours)
        return self.process.returncode


def joint(place: Home, number: int) -> float:
    done = place.call("bridge", "status", "--json")
    return float(json.loads(done.stdout)[0]["status"]["measured"][number])


def test_the_live_table_goes_on_until_ctrl_c(place: Home) -> None:
    with place.bridge("--robot", "blue") as bridge:
        terminal = Terminal(place, "bridge", "status")
        terminal.wait_for("elbow_flex")
        first = int(re.findall(r"tick (\d+)", terminal.wait_for(r"tick \d+ "))[-1])
        terminal.wait_for("Ctrl-C ends this table")
        later = int(re.findall(r"tick (\d+)", terminal.wait_for(r"tick \d+ "))[-1])
        assert later > first  # it lives
        assert place.call("bridge", "stop", "blue").returncode == 0
        terminal.wait_for("estop")
        terminal.wait_for("armside bridge rearm blue")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 0 and "Traceback" not in terminal.text
        assert bridge.poll() is None  # the bridge is not the table's


def test_the_live_table_says_when_a_bridge_has_ended_and_another_came(place: Home) -> None:
    terminal = Terminal(place, "bridge", "status")
    terminal.wait_for("no bridge runs here")
    with place.bridge("--robot", "blue"):
        terminal.wait_for("elbow_flex")
        assert place.call("bridge", "end", "blue").returncode == 0
        terminal.wait_for("no bridge runs here")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 0


def test_jog_with_keys(place: Home, tmp_path: Path) -> None:
    with place.bridge("--robot", "blue"):
        before = [joint(place, number) for number in range(6)]
        terminal = Terminal(place, "jog", "--robot", "blue", "--speed", "1")
        terminal.wait_for("joint: shoulder_pan   step: 2°")
        terminal.type("]")
        terminal.wait_for("step: 5°")
        terminal.type("\x1b[C")  # right: one step of 5 degrees
        terminal.wait_for("running")
        terminal.wait_for(" ready ")
        terminal.type("\x1b[B\x1b[B")
        terminal.wait_for("joint: elbow_flex")
        terminal.type("-")
        terminal.wait_for("running")
        terminal.wait_for(" ready ")
        terminal.type("q")
        assert terminal.end() == 0, terminal.text
        assert "its bridge goes on" in terminal.text
        after = [joint(place, number) for number in range(6)]
        moved = [math.degrees(b - a) for a, b in zip(before, after, strict=True)]
        assert moved[0] == pytest.approx(5, abs=1.5) and moved[2] == pytest.approx(-5, abs=1.5)
        assert max(abs(moved[number]) for number in (1, 3, 4)) < 1


def test_the_stop_key_of_jog_latches(place: Home) -> None:
    with place.bridge("--robot", "blue"):
        terminal = Terminal(place, "jog", "--robot", "blue", "--speed", "0.05")
        terminal.wait_for("joint: shoulder_pan")
        terminal.type("]]l")
        terminal.wait_for("running")
        terminal.type("e")
        assert terminal.end() == 1 and "emergency stop" in terminal.text, terminal.text
        shown = json.loads(place.call("bridge", "status", "--json").stdout)
        assert shown[0]["status"]["mode"] == "estop"


def test_the_terminal_is_as_before_after_jog(place: Home) -> None:
    import termios

    with place.bridge("--robot", "blue"):
        terminal = Terminal(place, "jog", "--robot", "blue")
        keep = os.dup(terminal.ours)
        terminal.wait_for("joint: shoulder_pan")
        assert not termios.tcgetattr(keep)[3] & termios.ICANON  # single keys
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
        assert termios.tcgetattr(keep)[3] & termios.ICANON and termios.tcgetattr(keep)[3] & termios.ECHO
        os.close(keep)
