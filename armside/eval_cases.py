"""Which episodes an evaluation has, and what came of each: rows of data, and their journal on disk.

A Case says everything that an episode is made from, so the same case is the same episode, whichever policy plays it and
in whatever order. The journal is a file of JSON lines: a header, then an Outcome each, appended as they come; what a
kill cut off is dropped, and an evaluation that is started again goes on after it. Knows nothing of worlds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_spec.errors import UsageError, sentence

FORMAT, VERSION = "armside-eval", 1
DONE, FAILED, TIME, ENDED = "done", "failed", "time is over", "ended"


@dataclass(frozen=True, slots=True)
class Condition:
    """What is made harder than in training, or wrong. All of `perturb` at once."""

    perturb: tuple[str, ...] = ()  # names of sim.randomise's table
    wrong_word: bool = False  # the instruction means another object or side
    black_camera: bool = False  # every picture is black

    @property
    def name(self) -> str:
        """In a table."""
        words = [*self.perturb]
        words += ["wrong word"] if self.wrong_word else []
        words += ["black camera"] if self.black_camera else []
        return ", ".join(words) or "plain"


@dataclass(frozen=True, slots=True)
class Case:
    """One episode."""

    task: str  # "reach", "push", "pick"
    seed: int  # of the scene, held out from training, and of the policy's noise
    condition: Condition = Condition()

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def case_of(data: dict[str, Any]) -> Case:
    """The inverse of Case.to_json."""
    condition = dict(data["condition"])
    condition["perturb"] = tuple(condition["perturb"])
    return Case(str(data["task"]), int(data["seed"]), Condition(**condition))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one episode went. Times are the world's."""

    case: Case
    success: bool
    seconds: float  # until it was done, or until the end
    path_rad: float  # way of all joints together, grippers left out
    ending: str  # DONE, FAILED and why, TIME, or ENDED and why
    said: str  # the instruction that the policy was given
    followed: bool | None = None  # with a wrong word: whether it did what it was told instead
    chunks: int = 0
    refused: int = 0
    clamped_ticks: int = 0  # of the bridge: something was limited

    @property
    def words(self) -> str:
        """For a person."""
        return f"done after {self.seconds:.1f} s" if self.success else f"not done: {self.ending}"

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        return cls(**{**data, "case": case_of(data["case"])})


def make_cases(tasks: Sequence[str], conditions: Sequence[Condition], episodes: int, seed: int) -> list[Case]:
    """Every task under every condition, on the seeds from `seed` on: the same scenes for all of them."""
    return [
        Case(task, seed + number, condition) for task in tasks for condition in conditions for number in range(episodes)
    ]


class Journal:
    """Outcomes on disk, by case. `path` None: kept in memory alone."""

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        """Opens or begins it. Raises UsageError where the file is of other settings."""
        self.path = path
        self.done: dict[Case, Outcome] = {}
        self._file = -1
        if path is None:
            return
        header = json.loads(json.dumps({"format": FORMAT, "version": VERSION, "settings": settings}))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._read(path, header)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if not self.done and not os.fstat(self._file).st_size:
            self._line(header)

    def _read(self, path: Path, header: dict[str, Any]) -> None:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) != len(data):  # a kill cut the last line off
            os.truncate(path, len(whole))
        lines = whole.splitlines()
        if not lines:
            return
        with contextlib.suppress(ValueError):
            found = json.loads(lines[0])
            if found == header:
                for line in lines[1:]:
                    outcome = Outcome.from_json(json.loads(line))
                    self.done[outcome.case] = outcome
                return
        do = "name another folder, or remove this one to begin anew"
        what = f"{path} is the journal of another evaluation"
        raise UsageError(sentence(what, expected=json.dumps(header["settings"]), got=lines[0].decode()[:300], do=do))

    def add(self, outcome: Outcome) -> None:
        """One more; on disk before this returns."""
        self.done[outcome.case] = outcome
        if self._file >= 0:
            self._line(outcome.to_json())

    def _line(self, data: dict[str, Any]) -> None:
        os.write(self._file, (json.dumps(data, allow_nan=False) + "\n").encode())

    def close(self) -> None:
        """Leaves it readable."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
