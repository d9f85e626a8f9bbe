"""A real bridge process for the tests: on virtual servos of its own, or on a port whose servos take orders."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from edge.control import Control
from edge.run import RunConfig, run
from edge.state import LoopEvent, LoopState, RunResult
from firmware_bridge import robots
from firmware_bridge.client import BridgeConfig
from firmware_bridge.processes import Lines, spawn
from firmware_bridge.sts.robots import shipped_calibration


def sim_config(path: Path, **changes: Any) -> RunConfig:
    """A short run in simulation; parking is quick so that the tests are."""
    facts: dict[str, Any] = dict(
        bundle=path, bridge=BridgeConfig("so101", "sim", park_speed=3.0), task="pick up the red cube",
        cameras={"cam0": "test:160x120", "cam1": "test:64x48"}, frame="so101-molmoact2", duration_s=1.5,
    )  # fmt: skip
    return RunConfig(**{**facts, **changes})


class Watcher:
    """A LoopUi that remembers, and lets a test act when something was said."""

    def __init__(self) -> None:
        self.events: list[LoopEvent] = []
        self.states: list[LoopState] = []

    def event(self, event: LoopEvent) -> None:
        self.events.append(event)

    def state(self, state: LoopState) -> None:
        self.states.append(state)

    def said(self, name: str, part: str = "") -> bool:
        return any(event.name == name and part in event.text for event in self.events)

    def names(self) -> list[str]:
        return [event.name for event in self.events]


def run_and(config: RunConfig, act: Callable[[Control, Watcher], None]) -> tuple[RunResult, Watcher]:
    """Runs in this thread while `act` goes on in another; what went wrong there is raised here."""
    control, watcher = Control(), Watcher()
    wrong: list[BaseException] = []

    def play() -> None:
        try:
            act(control, watcher)
        except BaseException as error:
            wrong.append(error)
        control.say("quit")

    thread = threading.Thread(target=play)
    thread.start()
    try:
        result = run(config, control, watcher)
    finally:
        thread.join()
    if wrong:
        raise wrong[0]
    return result, watcher


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits for it; a run that never gets there is an error."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "never became true"
        time.sleep(0.01)


def moving(watcher: Watcher, chunks: int = 2) -> Callable[[], bool]:
    return lambda: bool(watcher.states) and watcher.states[-1].chunks >= chunks


def children(word: str) -> list[psutil.Process]:
    """Processes under this one whose command line holds `word`."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any(word in part for part in process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


class Servos:
    """Virtual servos in a process of their own, behind a real pty; `order` is what goes wrong with them.

    `plant`: fields of virtual_plant.Plant; a limp joint of such an arm stays where it is.
    """

    def __init__(self, folder: Path, plant: dict[str, Any] | None = None) -> None:
        robot = robots.find("so101")
        joints = shipped_calibration(robot).joints
        self.calibration = folder / "arm.json"
        self.calibration.write_text(json.dumps({name: dataclasses.asdict(joint) for name, joint in joints}))
        words = ["--robot", "so101"]
        if plant is not None:
            (folder / "plant.json").write_text(json.dumps({"calibration": "shipped", **plant}))
            words += ["--plant", str(folder / "plant.json")]
        self._process = spawn("firmware_bridge.sts.virtual_process", *words)
        self._lines = Lines(self._process)
        word = self._lines.read(15.0)
        assert word is not None
        self.port = str(word["port"])

    def bridge(self, **changes: Any) -> BridgeConfig:
        facts = dict(
            robot="so101", port=self.port, calibration=str(self.calibration), live=True, park_speed=3.0
        )
        return BridgeConfig(**{**facts, **changes})  # type: ignore[arg-type]

    def order(self, do: str, **fields: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._lines.read(5.0)
        assert answer is not None and "error" not in answer, answer
        return answer

    def goals(self) -> int:
        return int(self.order("report")["frames"].get("goal", 0))

    def torque(self) -> list[int]:
        return [row["Torque_Enable"] for row in self.order("report")["servos"].values()]

    def close(self) -> None:
        self._lines.close()
        self._process.terminate()
        self._process.wait()


@contextmanager
def servos(folder: Path, plant: dict[str, Any] | None = None) -> Iterator[Servos]:
    process = Servos(folder, plant)
    try:
        yield process
    finally:
        process.close()
