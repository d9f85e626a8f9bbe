"""The words of a recording: file names, and the typed records that pass between writer, reader and report.

A recording is a folder (see README.md beside this file). Times are seconds of the machine's monotonic clock.
Arm values are SI (rad; a gripper 0 closed .. 1 open); `state` and `policy_actions` are in the policy's units.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policy_spec.errors import RecordingError, sentence
from policy_spec.generated import Depth, Discrete

FORMAT = "armside-recording"
VERSION = 1
HEADER_FILE = "run.json"
EVENTS_FILE = "events.jsonl"
TICKS_FILE = "ticks.rows"
CHUNKS_FILE = "chunks.rows"
END_FILE = "end.json"
IMAGES_DIR = "images"
END_BYTES = 4096  # reserved when the recording starts, so that the reason of a full disk still fits
HEALTH = {"load": "1", "current": "A", "temperature": "degrees C", "voltage": "V"}  # per joint, with units
MAX_WORDS = 64  # different words of clamping: bits of one column
IMAGE_SUFFIXES = {"jpeg": ".jpg", "png": ".png"}


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What is known before the first tick. `joints` are the arm's, in the order of every arm array here."""

    arm: str
    joints: tuple[str, ...]
    joint_units: tuple[str, ...]  # of measured and commanded: "rad" or "1" (a gripper)
    cameras: Mapping[str, str]  # slot -> source as given
    horizon: int
    dt_s: float
    execute: int
    seed: int
    task: str
    bundle: str = ""
    norm_tag: str = ""
    frame: str = ""
    policy_joints: tuple[str, ...] = ()
    image_format: str = "jpeg"
    started_utc: str = ""
    started_s: float = 0.0
    rate_hz: float = 0.0  # of the bridge's ticks
    facts: Mapping[str, Any] = field(default_factory=dict)  # shown, never computed with

    def __post_init__(self) -> None:
        if self.image_format not in IMAGE_SUFFIXES:
            raise RecordingError(
                sentence("unknown image format", expected=" or ".join(IMAGE_SUFFIXES), got=self.image_format)
            )
        if len(self.joints) != len(self.joint_units):
            raise RecordingError(
                sentence("one unit per joint", expected=len(self.joints), got=len(self.joint_units))
            )

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> RunHeader:
        known = {f.name: f for f in dataclasses.fields(cls)}
        given = {k: v for k, v in facts.items() if k in known}
        absent = dataclasses.MISSING
        needed = [n for n, f in known.items() if f.default is absent and f.default_factory is absent]
        missing = [name for name in needed if name not in given]
        if missing:
            raise RecordingError(sentence(f"{HEADER_FILE} lacks keys", expected=", ".join(missing)))
        for name in ("joints", "joint_units", "policy_joints"):
            if name in given:
                given[name] = tuple(given[name])
        return cls(**given)


@dataclass(frozen=True, slots=True)
class ObservationRecord:
    """What the policy saw for one prediction."""

    index: int
    t: float
    status_seq: int
    status_tick: int
    task: str
    seed: int
    state: np.ndarray  # [D] float64, policy units
    image_times: Mapping[str, float]  # slot -> monotonic time of the frame
    images: Mapping[str, np.ndarray] = field(default_factory=dict)  # slot -> [h, w, 3] uint8 RGB
    image_files: Mapping[str, str] = field(default_factory=dict)  # slot -> path inside the recording
    begins: bool = False  # an episode: what the policy remembered of calls before was dropped


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """One prediction, as it was sent (or refused)."""

    index: int  # equals the observation's
    t: float  # when it was sent
    status_seq: int
    start_tick: int
    outcome: str  # "sent", or why it was not
    timings_s: Mapping[str, float]  # stage -> seconds
    actions: np.ndarray  # [H, D] float64, SI
    policy_actions: np.ndarray  # [H, P] float64, policy units
    depth: Depth | None = None  # what the policy generated before, of a think bundle
    discrete: Discrete | None = None  # or of a discrete one


@dataclass(frozen=True, slots=True)
class TickRecord:
    """One status of the bridge: what it measured and what it commanded at that tick."""

    seq: int
    tick: int
    t: float
    mode: str
    measured: np.ndarray  # [D] float64, SI
    commanded: np.ndarray  # [D] float64, SI
    fresh: tuple[bool, ...] = ()  # [D] the servo answered in this tick; () = all did
    late_ticks: int = 0  # cumulative
    worst_lateness_s: float = 0.0  # so far
    clamped: tuple[str, ...] = ()  # what was limited in this tick, in the bridge's words
    chunk_seq: int = -1  # status_seq of the chunk being followed, -1 when none
    health: Mapping[str, np.ndarray] = field(default_factory=dict)  # of HEALTH, [D] each


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something a person should read in the report: a pause, a fault, a new task, a camera that came back."""

    t: float
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class EndRecord:
    """How the run ended. Absent when the process was killed."""

    t: float
    reason: str
    text: str = ""
    counts: Mapping[str, int] = field(default_factory=lambda: types.MappingProxyType({}))
