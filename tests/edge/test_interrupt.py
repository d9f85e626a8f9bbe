"""Ctrl-C at any moment of a run, and a disk that fills up: the arm is left as configured, the recording readable."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge.control import Control, signals
from episodes.recording import Recording

ROOT = Path(__file__).parents[2]
RUN = """
import json, resource, sys
from pathlib import Path
from edge.run import run
from firmware_bridge.client import BridgeConfig
from tests.edge.arm import sim_config

class Ui:
    def event(self, event):
        print("event", event.name, flush=True)
    def state(self, state):
        print("chunks", state.chunks, flush=True)

bundle, record, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
if "file_size" in options:
    resource.setrlimit(resource.RLIMIT_FSIZE, (options["file_size"], options["file_size"]))
bridge = BridgeConfig("so101", "sim", park_speed=options.get("park_speed", 3.0))
result = run(sim_config(bundle, record=Path(record), duration_s=options.get("duration_s"), bridge=bridge), ui=Ui())
print("result", json.dumps({name: str(getattr(result, name)) for name in (
    "reason", "text", "farewell", "chunks", "recording_error", "ok")}), flush=True)
"""


def _hear_hangups() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may themselves run under nohup


class Program:
    """A run in a process of its own, read line by line."""

    def __init__(self, bundle: Path, record: Path, **options: Any) -> None:
        command = [sys.executable, "-c", RUN, str(bundle), str(record), json.dumps(options)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_hangups
        )

    def wait_for(self, words: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(words):
                return
        raise AssertionError(f"never said {words!r}: {self.process.communicate()[1]}")

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def result(self) -> dict[str, str]:
        out, errors = self.process.communicate(timeout=60)
        lines = [line for line in out.splitlines() if line.startswith("result ")]
        assert lines, errors
        assert self.process.returncode == 0, errors
        found: dict[str, str] = json.loads(lines[0].removeprefix("result "))
        return found


@pytest.mark.parametrize(
    "moment", ["event starting", "event opening", "event ready", "event armed", "chunks 0", "chunks 3"]
)
@pytest.mark.parametrize("delay_s", [0.0, 0.05])
def test_ctrl_c_at_any_moment(bundle: Path, tmp_path: Path, moment: str, delay_s: float) -> None:
    program = Program(bundle, tmp_path / "run")
    program.wait_for(moment)
    time.sleep(delay_s)
    program.interrupt()
    result = program.result()
    assert result["reason"] == "ExitReason.INTERRUPT" and result["ok"] == "True"
    if not (tmp_path / "run" / "run.json").exists():
        assert result["farewell"] == "nothing had moved"
        return
    recording = Recording.open(tmp_path / "run")
    assert recording.end is not None and recording.end.reason == "interrupt"
    assert result["farewell"] == "parked; torque off" or "torque as it was" in result["farewell"]
    assert ("running" in recording.modes) <= (result["farewell"] == "parked; torque off")


def test_a_second_ctrl_c_while_parking_holds_here(bundle: Path, tmp_path: Path) -> None:
    program = Program(bundle, tmp_path / "run", park_speed=0.05)
    program.wait_for("chunks 3")
    program.interrupt()
    program.wait_for("event end")
    time.sleep(0.3)
    program.interrupt()
    result = program.result()
    assert result["reason"] == "ExitReason.INTERRUPT"
    assert "torque on: the arm holds its last goal" in result["farewell"]
    assert any(
        event.name == "park" and "cut short" in event.text
        for event in Recording.open(tmp_path / "run").events
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_service_that_stops_it_and_a_terminal_that_closes(bundle: Path, tmp_path: Path, number: int) -> None:
    """A lost ssh session sends SIGHUP: the arm is parked now, not when the bridge has missed its client for long."""
    program = Program(bundle, tmp_path / "run")
    program.wait_for("chunks 3")
    program.process.send_signal(number)
    result = program.result()
    assert result["reason"] == "ExitReason.INTERRUPT" and result["farewell"] == "parked; torque off"
    assert Recording.open(tmp_path / "run").end is not None


def test_under_nohup_a_closed_terminal_is_not_heard() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals(control := Control()):
            signal.raise_signal(signal.SIGHUP)
        assert control.interrupts == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_full_disk_ends_the_recording_and_not_the_run(bundle: Path, tmp_path: Path) -> None:
    program = Program(bundle, tmp_path / "run", file_size=60_000, duration_s=4.0)
    result = program.result()
    assert result["reason"] == "ExitReason.DURATION" and int(result["chunks"]) >= 4
    assert result["farewell"] == "parked; torque off"
    assert result["recording_error"].startswith("recording stopped: ")
    assert "cannot be written: File too large" in result["recording_error"]
    recording = Recording.open(tmp_path / "run")
    assert len(recording.ticks) > 50 and recording.observations
    assert recording.end is not None and recording.end.reason == "duration"
    assert "recording stopped" in recording.end.text


def test_the_first_signal_raises_only_while_nothing_moves() -> None:
    control = Control()
    before = signal.getsignal(signal.SIGINT)
    with signals(control):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # while it unwinds: only counted
        assert control.interrupts == 2
    assert signal.getsignal(signal.SIGINT) is before
    moving = Control()
    moving.moving = True
    with signals(moving):
        signal.raise_signal(signal.SIGTERM)
    assert moving.interrupts == 1
    with pytest.raises(ValueError, match="unknown word 'jump'"):
        control.say("jump")
