"""A live line and keys in a terminal. Without a terminal: events as plain lines, and no keys.

    space pause / go on    e emergency stop    r rearm    t new task    q quit

Implements state.LoopUi; writes words into a Control. The loop calls `event` and `state` and is never kept waiting:
the screen is drawn by rich's own thread, keys are read in another.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import termios
import threading
import time
import tty
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from edge.control import ESTOP, PAUSE, QUIT, REARM, RESUME, TASK, Control
from edge.state import LoopEvent, LoopState

KEYS = {" ": PAUSE, "e": ESTOP, "r": REARM, "t": TASK, "q": QUIT}
HELP = "space pause   e emergency stop   r rearm   t new task   q quit"
LOUD = {
    **dict.fromkeys(("fault", "estop"), "bold red"),
    **dict.fromkeys(("chunk refused", "camera", "servo", "pause"), "yellow"),
    **dict.fromkeys(("recording", "shadow", "slow"), "bold yellow"),
}
MODE_STYLE = {
    **dict.fromkeys(("estop", "fault"), "bold white on red"),
    **dict.fromkeys(("ready", "parking", "lowering"), "cyan"),
    "running": "green",
    "paused": "yellow",
    "shadow": "magenta",
}
BACKSPACE, ENTER, ESCAPE = ("\x7f", "\b"), ("\r", "\n"), "\x1b"
# What a terminal sends for one arrow or function key: letters that are not meant.
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])")


class RunConsole:
    """A context manager: the line is shown and keys are heard inside the block."""

    def __init__(self, control: Control, stdin: TextIO | None = None, console: Console | None = None) -> None:
        self._control = control
        self._stdin = stdin if stdin is not None else sys.stdin
        self._console = console or Console()
        self._keys_on = _is_tty(self._stdin)
        self._started = time.monotonic()
        self._newest: LoopState | None = None
        self._typing: str | None = None  # the task being typed
        self._live = Live(
            get_renderable=self._render, console=self._console, refresh_per_second=8, transient=True
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read_keys, name="keys", daemon=True)

    # -- LoopUi

    def event(self, event: LoopEvent) -> None:
        style = LOUD.get(event.name, "dim")
        self._console.print(
            f"[{style}]{event.t - self._started:7.1f} s  {escape(event.name)}[/]  {escape(event.text)}",
            soft_wrap=not self._console.is_terminal,  # in a log an event is one line
        )

    def state(self, state: LoopState) -> None:
        self._newest = state

    # -- the screen

    def _render(self) -> Group:
        lines = [status_line(self._newest)] if self._newest else []
        if self._typing is not None:
            lines.append(Text(f"new task (enter: use it, escape: leave): {self._typing}_", style="bold"))
        elif self._keys_on:
            lines.append(Text(HELP, style="dim"))
        return Group(*lines)

    # -- the keys

    def press(self, key: str) -> None:
        """One key, as it comes from the terminal."""
        if self._typing is not None:
            self._type(key)
            return
        word = KEYS.get(key.lower())
        if word == TASK:
            self._typing = ""
        elif word == PAUSE and self._newest is not None and "user" in self._newest.held:
            self._control.say(RESUME)
        elif word is not None:
            self._control.say(word)

    def _type(self, key: str) -> None:
        assert self._typing is not None
        if key in ENTER:
            if self._typing.strip():
                self._control.say(TASK, self._typing.strip())
            self._typing = None
        elif key == ESCAPE:
            self._typing = None
        elif key in BACKSPACE:
            self._typing = self._typing[:-1]
        elif key.isprintable():
            self._typing += key

    def _read_keys(self) -> None:
        number = self._stdin.fileno()
        while not self._stop.is_set():
            if not select.select([number], [], [], 0.1)[0]:
                continue
            data = os.read(number, 1024)
            if not data:  # the terminal went away
                return
            for key in keys_of(data.decode(errors="ignore")):
                self.press(key)

    def __enter__(self) -> RunConsole:
        if self._keys_on:
            self._before = termios.tcgetattr(self._stdin)
            tty.setcbreak(self._stdin)  # Ctrl-C stays a signal
            self._thread.start()
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._console.is_terminal:
            self._live.stop()
        if self._keys_on:
            self._thread.join(timeout=1.0)
            with contextlib.suppress(termios.error):  # the terminal went away
                termios.tcsetattr(self._stdin, termios.TCSADRAIN, self._before)


def keys_of(text: str) -> list[str]:
    """The keys that came from a terminal, without arrows, function keys and the like."""
    return list(SEQUENCE.sub("", text))


def status_line(state: LoopState) -> Text:
    """One or two lines of what goes on."""
    minutes, seconds = divmod(int(state.running_s), 60)
    line = Text(f"{minutes:02d}:{seconds:02d} ")
    line.append(f" {state.mode} ", style=MODE_STYLE.get(state.mode, ""))
    line.append(f"  torque {state.torque}  ")
    line.append(
        f"{'thinking' if state.predicting else 'waiting '}  {1000 * state.latency_s:.0f} ms  ", style="dim"
    )
    line.append(f"chunks {state.chunks}")
    for name, count in (
        ("refused", state.refused),
        ("stood still", state.waited_ticks),
        ("late", state.late_ticks),
    ):
        line.append(f"  {name} {count}", style="yellow" if count else "dim")
    if state.thought:
        line.append(f"  {state.thought}", style="dim")
    line.append(f"\n{state.task}", style="bold")
    for trouble in (state.camera, state.note if state.mode != "running" else "", _stopped(state.recording)):
        if trouble:
            line.append(f"   {trouble}", style="yellow")
    return line


def _stopped(recording: str) -> str:
    return recording if recording.startswith("recording stopped") else ""


def _is_tty(stream: TextIO | None) -> bool:
    """Whether there are keys to hear. A service has no stdin at all, or a closed one."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
