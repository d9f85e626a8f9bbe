"""A recording written from a thread of its own, so that the loop never waits for a disk.

Whatever is put goes into a bounded queue; where the disk cannot keep up, records are dropped and counted. A disk
that is full ends the recording, says so once, and leaves what there is readable; the arm does not notice.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from episodes.layout import ChunkRecord, EndRecord, EventRecord, ObservationRecord, RunHeader, TickRecord
from episodes.writer import RecordingWriter

Record = ObservationRecord | ChunkRecord | TickRecord | EventRecord
QUEUE_RECORDS = 4096  # 40 s of a bridge at 100 Hz
SYNC_S = 2.0


class Recorder:
    """`put` from any thread, `close` once. `error` is "" or why the recording stopped."""

    def __init__(self, path: Path, header: RunHeader, say: Callable[[str], None] = lambda text: None) -> None:
        """Creates the recording. RecordingError where that is not possible."""
        self.path = path
        self.error = ""
        self.lost = 0
        self._say = say
        self._writer = RecordingWriter(path, header)
        self._queue: queue.Queue[Record | None] = queue.Queue(QUEUE_RECORDS)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> None:
        """Hands a record over; never waits. Its arrays must not be changed afterwards."""
        if self.error:
            return
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self.lost += 1

    def close(self, end: EndRecord) -> None:
        """Writes what is queued, then how the run ended. May be called twice."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
            counts = {**end.counts, "lost_records": self.lost}
            text = f"{end.text}; {self.error}" if self.error else end.text
            self._writer.finish(EndRecord(end.t, end.reason, text, counts))

    def _run(self) -> None:
        synced = time.monotonic()
        while (record := self._queue.get()) is not None:
            if self.error:
                continue
            try:
                self._writer.write(record)
                if time.monotonic() - synced > SYNC_S:
                    self._writer.sync()
                    synced = time.monotonic()
            except Exception as error:  # nothing that goes wrong here may reach the arm
                self.error = f"recording stopped: {error}"
                self._say(self.error)


class NoRecorder:
    """Records nothing."""

    path = None
    error = ""
    lost = 0

    def put(self, record: Record) -> None:
        return None

    def close(self, end: EndRecord) -> None:
        return None
