"""What a run says of itself while it goes on and when it has ended. Data only; the console and the CLI show it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol


class ExitReason(str, Enum):
    """Why a run ended. The first three are what was asked for."""

    DURATION = "duration"
    INTERRUPT = "interrupt"  # Ctrl-C, SIGTERM, SIGHUP
    QUIT = "quit"  # the key
    FAULT = "fault"  # the bridge latched one
    BRIDGE = "bridge"  # its process is gone
    CAMERA = "camera"
    POLICY = "policy"  # an observation or a chunk that cannot be
    REFUSED = "refused"  # the bridge took none of many chunks in a row
    START = "start"  # the arm did not get to where the policy's data were


Ending = tuple[ExitReason, str]  # why, in a word and in a sentence


@dataclass(frozen=True, slots=True)
class LoopEvent:
    """Something a person should read. `name`: task, pause, resume, estop, rearm, camera, fault, start pose ..."""

    t: float  # s, monotonic
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class LoopState:
    """The live line, about ten times a second."""

    running_s: float
    mode: str  # the bridge's: ready, running, paused, estop ...
    torque: str
    task: str
    chunks: int  # sent and taken
    refused: int  # by us or by the bridge
    held: str  # why the loop wants no chunks: "", "user", "camera" or both
    predicting: bool
    latency_s: float  # running mean, observation to chunk
    waited_ticks: int  # ticks the arm stood still for want of a chunk, after the first
    late_ticks: int  # the bridge's own
    clamped_ticks: int
    camera: str  # "" or which one is stale
    recording: str  # "", the path, or why it stopped
    note: str  # the bridge's: why it holds
    measured: tuple[float, ...]  # SI
    joints: tuple[str, ...]
    thought: str = ""  # what the newest prediction generated before it acted, if anything


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `farewell` is where the arm was left and whether its torque is on."""

    reason: ExitReason
    text: str
    farewell: str
    seconds: float = 0.0
    chunks: int = 0
    refused: int = 0
    waited_ticks: int = 0
    late_ticks: int = 0
    recording: Path | None = None
    recording_error: str = ""
    thoughts: str = ""  # what the policy generated before it acted, over the run
    dataset: str = ""  # what became of the dataset, if one was recorded
    dataset_error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended as asked."""
        return self.reason in (ExitReason.DURATION, ExitReason.INTERRUPT, ExitReason.QUIT)


class LoopUi(Protocol):
    """Whoever shows a run. Called from the loop's thread: return at once."""

    def event(self, event: LoopEvent) -> None: ...

    def state(self, state: LoopState) -> None: ...


class QuietUi:
    """Shows nothing."""

    def event(self, event: LoopEvent) -> None:
        return None

    def state(self, state: LoopState) -> None:
        return None
