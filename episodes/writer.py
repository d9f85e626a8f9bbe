"""Writes a recording, synchronously, one unbuffered append per record. Threads are edge/recorder.py's.

Order makes it crash-safe: a picture is written before the line that names it, a chunk's row before its line.
Whatever a kill or a full disk cuts off is therefore the tail of a file, and the reader drops it. A write that
fails raises RecordingError; after that only `finish` may be called, and it needs no new disk space.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from episodes import layout
from episodes.generated_lines import generated_json
from episodes.layout import ChunkRecord, EndRecord, EventRecord, ObservationRecord, RunHeader, TickRecord
from episodes.rows import Column, RowFile, write_all
from policy_spec.errors import RecordingError, sentence

ENCODINGS = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1]}


def require_free(path: Path) -> None:
    """RecordingError where nothing can be recorded at `path` because something is there: known before a run begins."""
    if (path / layout.HEADER_FILE).exists():
        raise _taken(path)
    if path.exists() and not path.is_dir():
        raise RecordingError(sentence(f"the recording at {path}", expected="a folder", got="a file"))
    if path.is_dir() and any(path.iterdir()):
        raise RecordingError(
            sentence(
                f"the recording at {path}",
                expected="a new or an empty folder",
                got=f"a folder with other files, such as {min(p.name for p in path.iterdir())}",
                do="choose another folder",
            )
        )


class RecordingWriter:
    """`write(record)` for every kind of record, `sync` now and then, `finish` once."""

    def __init__(self, path: Path, header: RunHeader) -> None:
        self.path = path
        self._suffix = layout.IMAGE_SUFFIXES[header.image_format]
        self._words: dict[str, dict[str, int]] = {}  # "mode" and "clamp": word -> number
        self._slots: set[str] = set()
        joints, policy = len(header.joints), len(header.policy_joints) or len(header.joints)
        try:
            self._create(header, joints, policy)
        except FileExistsError:
            raise _taken(path) from None
        except OSError as error:
            raise RecordingError(_cannot_write(path, error)) from None
        self._writers = {
            ObservationRecord: self._observation,
            ChunkRecord: self._chunk,
            TickRecord: self._tick,
            EventRecord: self._event,
        }

    def _create(self, header: RunHeader, joints: int, policy: int) -> None:
        (self.path / layout.IMAGES_DIR).mkdir(parents=True, exist_ok=True)
        head = (json.dumps(header.to_json(), indent=1) + "\n").encode()
        self._end_fd = _new_file(self.path / layout.END_FILE)
        write_all(self._end_fd, b" " * layout.END_BYTES)
        self._events = _new_file(self.path / layout.EVENTS_FILE, os.O_APPEND)
        self._ticks = RowFile(self.path / layout.TICKS_FILE, tick_columns(joints))
        self._chunks = RowFile(self.path / layout.CHUNKS_FILE, chunk_columns(header.horizon, joints, policy))
        head_fd = _new_file(self.path / layout.HEADER_FILE)  # last: it says that the others are there
        try:
            write_all(head_fd, head)
        finally:
            os.close(head_fd)

    def write(self, record: ObservationRecord | ChunkRecord | TickRecord | EventRecord) -> None:
        try:
            self._writers[type(record)](record)  # type: ignore[operator]
        except OSError as error:
            raise RecordingError(_cannot_write(self.path, error)) from None

    def _observation(self, record: ObservationRecord) -> None:
        files = {slot: self._image(slot, record.index, image) for slot, image in record.images.items()}
        self._line(
            "observation",
            index=record.index,
            t=record.t,
            status_seq=record.status_seq,
            status_tick=record.status_tick,
            task=record.task,
            seed=record.seed,
            state=_numbers(record.state),
            image_times=dict(record.image_times),
            image_files=files,
            **({"begins": True} if record.begins else {}),
        )

    def _image(self, slot: str, index: int, image: np.ndarray) -> str:
        folder = self.path / layout.IMAGES_DIR / slot
        if slot not in self._slots:
            folder.mkdir(exist_ok=True)
            self._slots.add(slot)
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(self._suffix, bgr, ENCODINGS[self._suffix])
        if not done:
            raise RecordingError(sentence(f"camera {slot}: a picture cannot be encoded", got=image.shape))
        name = f"{index:06d}{self._suffix}"
        fd = _new_file(folder / name)
        try:
            write_all(fd, data.tobytes())
        finally:
            os.close(fd)
        return f"{layout.IMAGES_DIR}/{slot}/{name}"

    def _chunk(self, record: ChunkRecord) -> None:
        row = self._chunks.append(
            {"index": record.index, "actions": record.actions, "policy_actions": record.policy_actions}
        )
        self._line(
            "chunk",
            index=record.index,
            row=row,
            t=record.t,
            status_seq=record.status_seq,
            start_tick=record.start_tick,
            outcome=record.outcome,
            timings_s=dict(record.timings_s),
            **generated_json(record),
        )

    def _tick(self, record: TickRecord) -> None:
        mode = self._number("mode", record.mode)
        bits = [self._number("clamp", word) for word in record.clamped]
        fresh = record.fresh or (True,) * len(record.measured)
        nothing = np.full(len(record.measured), np.nan)
        self._ticks.append(
            {
                "seq": record.seq,
                "tick": record.tick,
                "t": record.t,
                "mode": mode,
                "clamped": sum(1 << min(bit, layout.MAX_WORDS - 1) for bit in set(bits)),
                "fresh": sum(1 << joint for joint, answered in enumerate(fresh) if answered),
                "late_ticks": record.late_ticks,
                "worst_lateness_s": record.worst_lateness_s,
                "chunk_seq": record.chunk_seq,
                "measured": record.measured,
                "commanded": record.commanded,
                **{name: record.health.get(name, nothing) for name in layout.HEALTH},
            }
        )

    def _number(self, group: str, word: str) -> int:
        """Rows hold numbers: a new word gets the next one, written before the first row that uses it."""
        numbers = self._words.setdefault(group, {})
        if word not in numbers:
            self._line(group, name=word, number=len(numbers))
            numbers[word] = len(numbers)
        return numbers[word]

    def _event(self, record: EventRecord) -> None:
        self._line("event", t=record.t, name=record.name, text=record.text)

    def _line(self, kind: str, **facts: Any) -> None:
        write_all(self._events, (json.dumps({"kind": kind, **facts}, allow_nan=False) + "\n").encode())

    def sync(self) -> None:
        """Puts what was written on the disk: a power loss costs what came after the last call."""
        try:
            os.fdatasync(self._events)
            self._ticks.sync()
            self._chunks.sync()
        except OSError as error:
            raise RecordingError(_cannot_write(self.path, error)) from None

    def finish(self, end: EndRecord) -> None:
        """Writes how the run ended into the reserved block and closes. Works on a full disk."""
        facts = {"t": end.t, "reason": end.reason, "text": end.text[:1500], "counts": dict(end.counts)}
        text = json.dumps(facts)
        try:
            os.pwrite(self._end_fd, text.encode()[: layout.END_BYTES - 1] + b"\n", 0)
        finally:
            self.close()

    def close(self) -> None:
        """Closes without an end record: what a kill leaves."""
        self._ticks.close()
        self._chunks.close()
        for fd in (self._events, self._end_fd):
            if fd >= 0:
                os.close(fd)
        self._events = self._end_fd = -1


def tick_columns(joints: int) -> list[Column]:
    """Columns of ticks.rows; units as in layout.TickRecord."""
    per_joint = (joints,)
    return [
        ("seq", "<i8", ()),
        ("tick", "<i8", ()),
        ("t", "<f8", ()),
        ("late_ticks", "<i8", ()),
        ("chunk_seq", "<i8", ()),
        ("worst_lateness_s", "<f8", ()),
        ("clamped", "<u8", ()),
        ("fresh", "<u4", ()),
        ("mode", "<i4", ()),
        ("measured", "<f8", per_joint),
        ("commanded", "<f8", per_joint),
        *((name, "<f4", per_joint) for name in layout.HEALTH),
    ]


def chunk_columns(horizon: int, joints: int, policy: int) -> list[Column]:
    """Columns of chunks.rows; units as in layout.ChunkRecord."""
    return [
        ("index", "<i8", ()),
        ("actions", "<f8", (horizon, joints)),
        ("policy_actions", "<f8", (horizon, policy)),
    ]


def _new_file(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | flags, 0o644)


def _numbers(values: np.ndarray) -> list[float | None]:
    """JSON has no NaN: null stands for whatever is not finite."""
    return [float(v) if np.isfinite(v) else None for v in np.asarray(values, np.float64).reshape(-1)]


def _taken(path: Path) -> RecordingError:
    return RecordingError(sentence(f"{path} is a recording already", do="give another folder, or remove that one"))


def _cannot_write(path: Path, error: OSError) -> str:
    return sentence(
        f"the recording at {path} cannot be written: {error.strerror or error}",
        do="free some space or give a folder on another disk; what was recorded so far stays readable",
    )
