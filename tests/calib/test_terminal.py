"""The person's terminal in a real pseudo-terminal: keys typed, the screen as it would be seen, and left as it was."""

from __future__ import annotations

import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calib import keys
from tests.terminals import DEADLINE_S, Cells, Program

Start = Callable[..., Program]
NARROW_WIDE = ((80, 24), (150, 40))


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return tmp_path / "heard"


@pytest.fixture
def start(result: Path) -> Iterator[Start]:
    running: list[Program] = []

    def call(*steps: str, size: tuple[int, int] = (80, 24), **env: str) -> Program:
        words = [sys.executable, "-m", "tests.calib.at_terminal", str(result), *steps]
        running.append(Program(words, env, size))
        return running[-1]

    yield call
    for program in running:
        program.close()


def heard(result: Path, left: str = "as before") -> list[str]:
    *words, after = result.read_text().splitlines()
    assert after == left
    return words


def test_a_question_is_answered_by_one_key(start: Start, result: Path) -> None:
    program = start("ask", "ask", "ask")
    for key, answer in (("xs", "sweep again"), ("Y", "yes"), ("\r", "no")):  # x is no answer, Enter is the usual one
        program.wait_for(r"Enter  or  n  no    y  yes    s  sweep again    q  cancel\n*\Z")
        program.type(key)
        program.wait_for(rf"cancel\n  {answer}\n")
    assert program.end() == 0 and heard(result) == ["sweep again", "yes", "no"]
    assert program.cooked()


def test_what_was_typed_before_a_question_does_not_answer_it(start: Start, result: Path) -> None:
    program = start("ask-late")
    program.wait_for("type now")
    program.type("y\r")
    program.wait_for(r"q  cancel\n*\Z")
    program.type("s")
    assert program.end() == 0 and heard(result) == ["sweep again"]


def test_live_then_told(start: Start, result: Path) -> None:
    program = start("live", "live")
    program.wait_for(r"round [1-9]")
    lines = program.cells.lines
    assert lines[:3] == ["This line was told.", "Sweep", "▶ Move elbow_flex to both stops"]
    assert sum("shoulder_lift" in line for line in lines) == 1
    assert not program.cooked()  # single keys
    program.type("r")
    program.wait_for(r"live 2, round \d+")  # keys typed before a screen is there are dropped
    program.type("\r")
    assert program.end() == 0 and heard(result) == ["again", "done"]
    assert [line for line in program.cells.lines if line] == ["This line was told.", "all done"]
    assert program.cooked()


@pytest.mark.parametrize("key", ["q", "\x1b", "\x04", "\x03"], ids=["q", "escape", "ctrl-d", "ctrl-c"])
@pytest.mark.parametrize("step", ["ask", "live"])
def test_ways_out(start: Start, result: Path, step: str, key: str) -> None:
    program = start(step)
    program.wait_for("q  cancel")
    program.type(key)
    assert program.end() == 0 and heard(result) == ["Cancelled: cancelled"]
    assert program.cooked() and "all done" not in program.cells.text


def test_an_arrow_key_is_no_way_out(start: Start, result: Path) -> None:
    program = start("live")
    program.wait_for("round 1")
    program.type("\x1b[A\x1bOB\x1b[1;5C")
    program.wait_for(r"round \d\d")
    program.type("\r")
    assert program.end() == 0 and heard(result) == ["done"]


def test_after_an_exception_the_terminal_is_as_before(start: Start, result: Path) -> None:
    program = start("raise")
    assert program.end() == 1 and heard(result) == []
    assert "on purpose" in program.cells.text and program.cooked()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels(start: Start, result: Path, number: signal.Signals) -> None:
    program = start("live")
    program.wait_for("round 1")
    program.process.send_signal(number)
    assert program.end() == 0 and heard(result) == ["Cancelled: cancelled"] and program.cooked()


def test_a_second_ctrl_c_ends_what_does_not_listen(start: Start) -> None:
    program = start("hold")
    program.wait_for("deaf now")
    program.type("\x03")
    time.sleep(0.6)  # on a busy machine two that come together are one
    assert program.process.poll() is None
    program.type("\x03")
    assert program.end() != 0
    assert "KeyboardInterrupt" in program.cells.text and program.cooked()


def test_a_closed_window_cancels(start: Start, result: Path) -> None:
    program = start("live")
    program.wait_for("round 1")
    program.hang_up()
    program.end()
    (line,) = heard(result, left="gone")
    assert line.startswith("Cancelled")


@pytest.mark.parametrize("step", ["ask", "live"])
def test_a_window_closed_under_nohup_cancels(result: Path, step: str) -> None:
    deaf = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    with Program([*deaf, sys.executable, "-m", "tests.calib.at_terminal", str(result), step]) as program:
        program.wait_for("q  cancel")
        program.hang_up()
        program.end()
    assert heard(result, left="gone") == ["Cancelled: the terminal went away: cancelled"]


def test_keys_come_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert keys.typed() == ""
        os.write(writing, b"\x1b")
        assert keys.typed() == "\x1b"  # nothing more came: it is Escape
        monkeypatch.setattr(keys, "REST_S", DEADLINE_S)
        for parts in ((b"\x1b", b"[A"), (b"x\x1b[1;", b"5C"), (b"\x1bO", b"B")):  # as a slow line brings them
            os.write(writing, parts[0])
            threading.Timer(0.05, os.write, (writing, parts[1])).start()
            assert keys.typed() == b"".join(parts).decode()
        os.close(writing)
        assert keys.typed() is keys.GONE
    assert keys.split("q\x1b[A\x1b\x1bOB\r") == ["q", "\x1b[A", "\x1b", "\x1bOB", "\r"]


def test_another_size_is_drawn_anew(start: Start, result: Path) -> None:
    program = start("live-drawn", size=NARROW_WIDE[0])
    program.wait_for("round 1")
    assert "seen from its right side" not in program.cells.text  # no room
    for size in (*NARROW_WIDE[1:], (60, 20), (120, 45)):
        program.resize(*size)
        program.wait_for(r"round \d+")
        deadline = time.monotonic() + DEADLINE_S
        while not _clean(program.cells, size):
            assert time.monotonic() < deadline, program.cells.text
            program.read(0.1)
    program.type("\r")
    assert program.end() == 0 and program.cooked()


def _clean(cells: Cells, size: tuple[int, int]) -> bool:
    """One title, one table, and the drawing where there is room for it."""
    count = {word: cells.text.count(word) for word in ("Sweep", "wrist_roll", "This line was told.")}
    drawn = cells.text.count("seen from its right side")
    return set(count.values()) == {1} and drawn == (size[1] >= 40)


def test_keys_work_after_ctrl_z(start: Start, result: Path) -> None:
    program = start("live")
    program.wait_for("round 1")
    shell = termios.tcgetattr(program.ours)
    shell[3] |= termios.ICANON | termios.ECHO  # as a shell sets it in the meantime
    termios.tcsetattr(program.ours, termios.TCSANOW, shell)
    program.process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + DEADLINE_S
    while termios.tcgetattr(program.ours)[3] & termios.ICANON:
        assert time.monotonic() < deadline
        program.read(0.01)
    program.type("r")
    assert program.end() == 0 and heard(result) == ["again"]


def test_a_terminal_without_unicode(start: Start, result: Path) -> None:
    program = start("ask", "live-drawn", size=(150, 40), PYTHONIOENCODING="ascii")
    program.wait_for("q  cancel")
    assert "Angles are ?5?." in program.cells.text
    program.type("y")
    program.wait_for("@ *elbow_flex|elbow_flex *@")
    assert program.cells.text.isascii()
    program.type("q")
    assert program.end() == 0 and heard(result) == ["yes", "Cancelled: cancelled"]


def test_a_terminal_that_cannot_write_a_line_twice(start: Start, result: Path) -> None:
    program = start("ask", "live", TERM="dumb")
    program.wait_for("q  cancel")
    program.type("y")
    program.wait_for("Move elbow_flex to both stops")
    for _ in range(20):
        program.read(0.02)
    program.type("r")
    assert program.end() == 0 and heard(result) == ["yes", "again"]
    assert program.cells.text.count("Move elbow_flex") == 1 and program.cooked()
