"""Writes a LeRobot dataset, v3.0, one whole episode after another: `LeRobotWriter.open(folder, plan)`.

Takes frames (state, action, pictures, task); gives files that LeRobot reads. Pictures are encoded as they come. An
episode is in the dataset when `save` returns, not before: a killed process loses the episode that it was in, and the
next one goes on in the same folder. Knows nothing of arms and policies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from episodes.lerobot import commit
from episodes.lerobot.draft import Draft
from episodes.lerobot.info import INFO_FILE, OWN_FILE, OWN_FORMAT, OWN_VERSION
from episodes.lerobot.merge import Merger, State
from episodes.lerobot.plan import DatasetPlan
from policy_spec.errors import DatasetError, sentence


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One moment of an episode. Names are the plan's short ones."""

    state: np.ndarray  # [D] float, in the plan's joint frame
    action: np.ndarray  # [A] float, what was commanded then
    images: Mapping[str, np.ndarray]  # camera -> [h, w, 3] uint8 RGB
    task: str
    depths: Mapping[str, np.ndarray] = field(default_factory=dict)  # camera -> [h, w] float, metres
    extras: Mapping[str, Any] = field(default_factory=dict)  # column -> [width], or one number


class LeRobotWriter:
    """`start()`, `add(frame)` ..., then `save()` or `drop()`; `close()` at last. Not for several threads."""

    def __init__(self, root: Path, plan: DatasetPlan, state: State, held: int, durable: bool = True) -> None:
        """Use `open`."""
        self.root, self.plan = root, plan
        self._held = held
        self._merger = Merger(root, plan, state, durable)
        self._draft: Draft | None = None

    @classmethod
    def open(cls, root: Path | str, plan: DatasetPlan, *, durable: bool = True) -> LeRobotWriter:
        """A new dataset in an empty or absent folder, or one of the same plan that goes on. Raises DatasetError.

        `durable`: a saved episode also survives a loss of power; what a simulation can make again need not.
        """
        folder = Path(root)
        require_place(folder)
        held = commit.lock(folder)
        try:
            commit.recover(folder)
            state = State()
            if (folder / INFO_FILE).is_file():
                _same_plan(folder, plan)
                state = State.read(folder)
            return cls(folder, plan, state, held, durable)
        except BaseException:
            os.close(held)
            raise

    @property
    def episodes(self) -> int:
        """Whole ones so far."""
        return self._merger.state.episodes

    @property
    def open_episode(self) -> bool:
        """One was started and neither saved nor dropped."""
        return self._draft is not None

    @property
    def frames(self) -> int:
        """Of the episode that is being written."""
        return 0 if self._draft is None else self._draft.length

    def start(self) -> None:
        """A new episode; one that was not saved is dropped."""
        self.drop()
        self._draft = Draft(commit.begin(self.root), self.plan)

    def add(self, frame: Frame) -> None:
        """The next frame, 1 / fps after the one before. DatasetError where it is not of the plan."""
        if self._draft is None:
            raise DatasetError(sentence("a frame outside an episode", do="call start() first"))
        self._draft.add(frame)

    def save(self) -> int:
        """Puts the episode into the dataset; its number. DatasetError where it is empty or the disk is full."""
        draft, self._draft = self._draft, None
        if draft is None or not draft.length:
            raise DatasetError(sentence("an episode without frames cannot be saved", do="call drop()"))
        try:
            draft.close()
            return self._merger.add(draft)
        except OSError as error:
            raise DatasetError(
                sentence(f"{self.root}: the episode could not be saved", got=error, do="make room on the disk")
            ) from None

    def drop(self) -> None:
        """Forgets the episode that is being written, if there is one."""
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.abandon()
            commit.recover(self.root)

    def close(self) -> None:
        """Drops what was not saved, and lets another process write. May be called twice."""
        self.drop()
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def __enter__(self) -> LeRobotWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def require_place(folder: Path) -> None:
    """DatasetError where no dataset can be begun, and none of ours goes on: known before anything is recorded."""
    if (folder / INFO_FILE).is_file():
        _plan_there(folder)
    elif folder.exists() and (not folder.is_dir() or commit.strangers(folder)):
        do = "choose another folder"
        raise DatasetError(sentence(f"{folder}", expected="an empty folder, or a dataset", got="other files", do=do))


def _same_plan(folder: Path, plan: DatasetPlan) -> None:
    """Raises DatasetError where the dataset there is of another plan."""
    wanted, found = json.loads(json.dumps(asdict(plan))), _plan_there(folder)
    odd = [key for key in wanted if found.get(key) != wanted[key]]
    if odd or found != wanted:
        raise DatasetError(
            sentence(
                f"{folder} holds a dataset of another plan",
                expected=f"the same {', '.join(odd) or 'plan'}",
                got={key: found.get(key) for key in odd},
                do="record into a folder of its own; armside can train on several datasets",
            )
        )


def _plan_there(folder: Path) -> dict[str, Any]:
    """The plan that a dataset of ours was begun with."""
    try:
        own = json.loads((folder / OWN_FILE).read_bytes())
        if (own["format"], own["version"]) != (OWN_FORMAT, OWN_VERSION):
            raise ValueError(f"format {own['format']} {own['version']}")
        return dict(own["plan"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            sentence(
                f"{folder} is a dataset that armside did not write",
                expected=OWN_FILE,
                got=error,
                do="record into a folder of its own",
            )
        ) from None
