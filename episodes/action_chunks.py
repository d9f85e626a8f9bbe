"""Chunks of actions, from whatever holds some: a LeRobot dataset, recordings of `armside run`, an .npz file.

Takes a path; gives sequences of actions [T, D] in the units they were stored in, and windows of them. Pictures and
states are not read. Knows nothing of policies, tokenizers or normalization.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from policy_spec.errors import RecordingError, sentence

_DO = "give a LeRobot dataset's folder, a recording (or a folder of recordings), or an .npz with chunks [N, H, D]"


@dataclass(frozen=True, slots=True, eq=False)
class Actions:
    """Actions in time. Raises RecordingError where there are none, or some are not numbers."""

    source: str  # what it is, for a person
    names: tuple[str, ...]  # of the dimensions
    fps: float | None  # actions per second, where that is known
    sequences: tuple[np.ndarray, ...]  # [T, D] float32 each: episodes, or chunks
    chunked: bool  # the sequences are chunks already, of equal length

    def __post_init__(self) -> None:
        width = len(self.names)
        if not self.sequences:
            raise RecordingError(sentence(f"{self.source} holds no actions", do=_DO))
        for index, sequence in enumerate(self.sequences):
            if sequence.ndim != 2 or sequence.shape[1] != width:
                what = f"{self.source}: actions number {index}"
                raise RecordingError(sentence(what, expected=f"[T, {width}]", got=list(sequence.shape)))
            if not np.isfinite(sequence).all():
                step, dim = np.argwhere(~np.isfinite(sequence))[0].tolist()
                where = f"{sequence[step, dim]} in number {index}, step {step}, {self.names[dim]}"
                raise RecordingError(sentence(f"{self.source}: actions", expected="finite numbers", got=where))

    @property
    def frames(self) -> np.ndarray:
        """[F, D] every action."""
        return np.concatenate(self.sequences)

    def horizon(self) -> int:
        """Steps of one second; of a chunk, where it is shorter or no rate is known. Raises RecordingError."""
        length = len(self.sequences[0]) if self.chunked else None
        if self.fps is None:
            if length is None:
                raise RecordingError(sentence(f"{self.source} does not say its rate", do="say --horizon"))
            return length
        second = max(1, round(self.fps))
        return second if length is None else min(second, length)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Chunks cut out of sequences."""

    values: np.ndarray  # [N, H, D] float32
    possible: int  # how many there are; N of them were taken, evenly
    short: int  # sequences that are shorter than one


def windows(actions: Actions, horizon: int, most: int) -> Windows:
    """Whole chunks of `horizon` steps: of episodes from every step on, of chunks their beginnings; at most `most`,
    spread evenly. Raises RecordingError where not one fits.
    """
    lengths = np.array([len(sequence) for sequence in actions.sequences])
    counts = np.maximum(lengths - horizon + 1, 0)
    counts = np.minimum(counts, 1) if actions.chunked else counts
    possible = int(counts.sum())
    if possible == 0 or horizon < 1 or most < 1:
        raise RecordingError(
            sentence(
                f"chunks of {horizon} steps in {actions.source}",
                expected="at least one",
                got=f"none; the longest sequence has {int(lengths.max())} steps",
                do="say a shorter --horizon",
            )
        )
    taken = np.unique(np.linspace(0, possible - 1, min(possible, most)).round().astype(np.int64))
    ends = np.cumsum(counts)
    which = np.searchsorted(ends, taken, side="right")
    starts = taken - (ends - counts)[which]
    values = np.stack([actions.sequences[i][s : s + horizon] for i, s in zip(which, starts, strict=True)])
    return Windows(values, possible, int((lengths < horizon).sum()))


def open_actions(path: Path | str, array: str | None = None) -> Actions:
    """Reads the actions at a path; `array` names one of an .npz. Raises RecordingError."""
    root = Path(path)
    if root.suffix == ".npz" and root.is_file():
        return _npz(root, array)
    if array is not None:
        raise RecordingError(sentence("--array", expected="an .npz file", got=str(root)))
    if (root / "meta" / "info.json").is_file():
        from episodes.lerobot.actions import read_actions

        names, fps, sequences = read_actions(root)
        return Actions(f"the dataset {root.name}", names, fps, sequences, chunked=False)
    runs = [root] if (root / "run.json").is_file() else sorted(f.parent for f in root.glob("*/run.json"))
    if runs:
        return _recordings(root, runs)
    raise RecordingError(sentence(f"{root} holds no actions that can be read", do=_DO))


def _npz(file: Path, array: str | None) -> Actions:
    try:
        with np.load(file, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except (OSError, ValueError) as error:
        raise RecordingError(sentence(f"{file} cannot be read", got=error)) from error
    chunks = [name for name, value in arrays.items() if value.ndim == 3 and value.dtype.kind == "f"]
    name = array or ("actions" if "actions" in chunks else chunks[0] if len(chunks) == 1 else None)
    if name not in chunks:
        got = f"{array!r}; there are {', '.join(arrays)}" if array else f"{', '.join(arrays)}"
        expected = f"one of {', '.join(chunks)}" if chunks else "an array of floats [N, H, D]"
        raise RecordingError(sentence(f"chunks in {file.name}", expected=expected, got=got, do="say --array NAME"))
    values = arrays[name].astype(np.float32)
    names = tuple(str(n) for n in arrays["names"]) if "names" in arrays else dims(values.shape[2])
    fps = float(arrays["fps"]) if "fps" in arrays else None
    return Actions(f"{file.name}: {name}", names, fps, tuple(values), chunked=True)


def dims(count: int) -> tuple[str, ...]:
    """Names for dimensions that have none."""
    return tuple(f"dim {i}" for i in range(count))


def _recordings(root: Path, runs: list[Path]) -> Actions:
    """The chunks that policies predicted and that were sent, in policy units."""
    from episodes.recording import Recording

    opened = [Recording.open(run) for run in runs]
    first = opened[0].header
    for run in opened[1:]:
        mine, theirs = (
            (first.policy_joints, first.horizon, first.dt_s),
            (
                run.header.policy_joints,
                run.header.horizon,
                run.header.dt_s,
            ),
        )
        if mine != theirs:
            what = f"{run.path} is of another policy than {opened[0].path}"
            raise RecordingError(sentence(what, expected=f"joints, steps and seconds per step {mine}", got=theirs))
    chunks = [chunk.policy_actions for run in opened for chunk in run.chunks if chunk.outcome == "sent"]
    if not chunks:
        raise RecordingError(sentence(f"{root} holds no chunk that was sent", do=_DO))
    width = chunks[0].shape[1]
    names = first.policy_joints if len(first.policy_joints) == width else dims(width)
    what = f"the recording {root.name}" if len(opened) == 1 else f"{len(opened)} recordings in {root.name}"
    fps = 1.0 / first.dt_s if first.dt_s > 0 else None
    return Actions(what, names, fps, tuple(c.astype(np.float32) for c in chunks), chunked=True)
