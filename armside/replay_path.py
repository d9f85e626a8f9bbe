"""From a recording to a path that an arm can follow again: what its bridge commanded while a policy drove. Pure.

Takes a Recording and the facts of an arm, gives [N, D] rows at a fixed rate; or says why not, before anything moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from policy_spec.errors import RecordingError, sentence

if TYPE_CHECKING:
    from episodes.recording import Recording

Array = npt.NDArray[np.float64]
DRIVEN = ("running", "shadow", "ready", "paused")
JUMP = 0.35  # rad between two ticks in a row: no arm moves so fast, the recording joins two moves here


def check_arm(recording: Recording, arm: str, joints: Sequence[str]) -> None:
    """That the recording is of this kind of arm. RecordingError."""
    header = recording.header
    if header.arm != arm:
        raise RecordingError(
            sentence(
                f"{recording.path} was recorded on another arm",
                expected=arm,
                got=header.arm,
                do=f"replay it on an arm of type {header.arm}, or --to sim",
            )
        )
    if tuple(header.joints) != tuple(joints):
        raise RecordingError(
            sentence(
                f"{recording.path} has other joints than the arm",
                expected=", ".join(joints),
                got=", ".join(header.joints),
                do="replay it on the arm that it was recorded on",
            )
        )


def commanded_path(recording: Recording, dt: float, speed: float) -> Array:
    """[N, D] rad, gripper 0..1: the commands from the first chunk to the last, a row each `dt` s of the replay.

    `speed` 2 replays twice as fast. RecordingError where nothing was commanded, or numbers are missing.
    """
    ticks = recording.ticks
    names = np.array(recording.modes, dtype=object)
    if not len(ticks) or not recording.header.rate_hz:
        raise RecordingError(sentence(f"{recording.path} holds no ticks", do="record a run with --record"))
    driven = np.flatnonzero(ticks["chunk_seq"] >= 0)
    if not len(driven):
        text = f"in {recording.path} no chunk was followed"
        raise RecordingError(sentence(text, expected="a run in which the policy moved the arm", do="choose another"))
    part = ticks[driven[0] : driven[-1] + 1]
    part = part[np.isin(names[part["mode"]], DRIVEN)]
    commands: Array = np.asarray(part["commanded"], np.float64)
    if not np.isfinite(commands).all():
        bad = recording.header.joints[int(np.argwhere(~np.isfinite(commands))[0][1])]
        raise RecordingError(sentence(f"{recording.path} lacks numbers", expected="finite commands", got=bad))
    at: Array = (part["tick"] - part["tick"][0]) / recording.header.rate_hz / speed  # s of the replay
    _check_jumps(recording, commands, np.diff(part["tick"]))
    moments = np.append(np.arange(0.0, at[-1], dt), at[-1])
    path: Array = np.column_stack([np.interp(moments, at, column) for column in commands.T])
    return path


def _check_jumps(recording: Recording, commands: Array, ticks: npt.NDArray[np.int64]) -> None:
    if not len(ticks):
        return
    step = np.abs(np.diff(commands, axis=0)) / np.maximum(ticks, 1)[:, None]
    row, joint = np.unravel_index(int(step.argmax()), step.shape)
    if step[row, joint] > JUMP:
        name = recording.header.joints[joint]
        text = f"{recording.path} jumps: {name} by {step[row, joint]:.2f} rad in one tick"
        raise RecordingError(sentence(text, expected=f"at most {JUMP} rad", do="choose another recording"))
