"""Keys become words, states become a line, and without a terminal nothing is asked of one."""

from __future__ import annotations

import io
import os
import pty
import sys

import pytest
from rich.console import Console

from edge.console import RunConsole, keys_of, status_line
from edge.control import Control
from edge.state import LoopEvent, LoopState
from tests.edge.arm import until

STATE = LoopState(
    running_s=75.0, mode="running", torque="on", task="pick up the [red] cube", chunks=12, refused=1, held="",
    predicting=True, latency_s=0.41, waited_ticks=0, late_ticks=2, clamped_ticks=0, camera="", recording="",
    note="", measured=(0.0,) * 6, joints=("a",) * 6,
)  # fmt: skip


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


def words(console: RunConsole, control: Control, keys: str) -> list[tuple[str, str]]:
    for key in keys:
        console.press(key)
    return [(word.name, word.text) for word in control.take()]


def test_keys_become_words() -> None:
    control = Control()
    console = RunConsole(control, io.StringIO(), quiet())
    assert words(console, control, "erq") == [("estop", ""), ("rearm", ""), ("quit", "")]
    assert words(console, control, "xyz") == []
    assert words(console, control, " ") == [("pause", "")]
    console.state(LoopState(**{**{f: getattr(STATE, f) for f in STATE.__slots__}, "held": "user"}))
    assert words(console, control, " ") == [("resume", "")]


def test_a_new_task_is_typed_and_only_then_said() -> None:
    control = Control()
    console = RunConsole(control, io.StringIO(), quiet())
    assert words(console, control, "tpush tx\x7fhe button") == []  # e, r, q and space are letters now
    assert words(console, control, "\r") == [("task", "push the button")]
    assert words(console, control, "tnever mind\x1b") == []
    assert words(console, control, "t  \r") == []
    assert words(console, control, "e") == [("estop", "")]


def test_function_keys_and_arrows_are_no_words() -> None:
    """A terminal sends them as several letters: F2 ends in Q, F3 in R, and neither asked to quit or to rearm."""
    assert keys_of("\x1bOQ\x1bOR\x1b[A\x1b[1;5Q\x1b[15~\x1b[Ee") == ["e"]
    assert keys_of("\x1b") == ["\x1b"]
    assert keys_of("\x1be") == ["\x1b", "e"]  # escape, then quickly the emergency stop
    assert keys_of("Öl r") == ["Ö", "l", " ", "r"]


def test_the_line_says_what_goes_on() -> None:
    text = status_line(STATE).plain
    for part in (
        "01:15",
        "running",
        "torque on",
        "410 ms",
        "chunks 12",
        "refused 1",
        "late 2",
        "the [red] cube",
    ):
        assert part in text
    assert "thinking" in text


def test_the_line_says_what_a_policy_thought() -> None:
    words = "depth: 2 passes, 17 of 100 cells changed"
    facts = {name: getattr(STATE, name) for name in STATE.__slots__}
    assert words in status_line(LoopState(**{**facts, "thought": words})).plain
    assert "depth" not in status_line(STATE).plain  # the control


def test_without_a_terminal_events_are_lines_and_there_are_no_keys() -> None:
    out = io.StringIO()
    with RunConsole(Control(), io.StringIO(), Console(file=out, width=120)) as console:
        console.event(LoopEvent(0.0, "fault", "elbow_flex [3] is silent"))
        console.state(STATE)
    assert "fault  elbow_flex [3] is silent" in out.getvalue()
    assert "emergency" not in out.getvalue()


def test_an_event_in_a_log_is_one_line() -> None:
    out = io.StringIO()
    with RunConsole(Control(), io.StringIO(), Console(file=out, width=40)) as console:
        console.event(LoopEvent(0.0, "shadow", "many words " * 10))
    assert out.getvalue().count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_keys_of_a_real_terminal_are_heard_and_its_settings_restored() -> None:
    import termios

    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as stdin:
        before = termios.tcgetattr(stdin)
        control = Control()
        heard: list[str] = []
        with RunConsole(control, stdin, quiet()):
            os.write(ours, b"e")
            until(lambda: bool(heard.extend(word.name for word in control.take())) or bool(heard))
        assert heard == ["estop"]
        assert termios.tcgetattr(stdin) == before
    os.close(ours)


def test_a_service_without_stdin_has_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    out = io.StringIO()
    with RunConsole(Control(), None, Console(file=out)) as console:
        console.event(LoopEvent(0.0, "armed", "torque on"))
    assert "armed" in out.getvalue()
