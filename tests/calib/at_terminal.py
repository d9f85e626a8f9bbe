"""A small procedure for test_terminal.py: it asks, shows and hears as it is told, and writes what came to a file.

`python -m tests.calib.at_terminal RESULT STEP...`; steps: ask, ask-late, live, live-drawn, raise, hold.
"""

from __future__ import annotations

import select
import sys
import termios
import time
from pathlib import Path

import numpy as np

from armside.signals import stoppable
from calib.drawing import draw
from calib.person import JointRow, LiveView, Question
from calib.terminal import Terminal
from firmware_bridge.kinematics.so101 import SO101
from policy_spec.errors import Cancelled

QUESTION = Question("write", "Write it into the servos? Angles are ±5°.", ("yes", "no", "sweep again"), "no")


def view(which: int, round_: int, drawn: bool) -> LiveView:
    rows = tuple(
        JointRow(name, 2000 + round_ % 100, 1500, 1600 + round_, (2162, 2787), "short", "") for name in SO101.joints
    )
    drawing = draw(SO101, np.zeros(6), "elbow_flex", 1) if drawn else ""
    return LiveView(
        "Sweep", "Move elbow_flex to both stops", rows, message=f"live {which}, round {round_}", drawing=drawing
    )


def live(person: Terminal, which: int, drawn: bool) -> str:
    round_ = 0
    while True:
        person.show(view(which, round_, drawn))
        if word := person.hear():
            return word
        time.sleep(0.01)
        round_ += 1


def step(person: Terminal, which: int, name: str) -> str:
    if name == "ask":
        return person.ask(QUESTION)
    if name == "ask-late":  # a key is typed before the question is there
        person.tell("type now")
        select.select([sys.stdin], [], [])
        return person.ask(QUESTION)
    if name == "raise":
        person.show(view(which, 0, False))
        raise RuntimeError("on purpose")
    if name == "hold":  # deaf
        person.tell("deaf now")
        time.sleep(60)
    return live(person, which, name == "live-drawn")


def main() -> None:
    result, *steps = sys.argv[1:]
    heard: list[str] = []
    try:
        with stoppable(patience=1) as stop, Terminal(stop) as person:
            person.tell("This line was told.")
            for which, name in enumerate(steps, 1):
                heard.append(step(person, which, name))
            person.tell("all done")
    except Cancelled as error:
        heard.append(f"Cancelled: {error}")
    finally:
        Path(result).write_text("\n".join([*heard, left()]))


def left() -> str:
    """How the terminal is after the block, while this program still runs."""
    try:
        flags = termios.tcgetattr(sys.stdin)[3]
    except termios.error:
        return "gone"
    return "as before" if flags & termios.ICANON and flags & termios.ECHO else "still single keys"


if __name__ == "__main__":
    main()
