"""One camera: a thread that keeps the newest frame of a source, with the time it came.

A source that fails is opened again, a bounded number of times; then the camera is lost and says so to whoever
asks for a frame. Meanwhile the newest frame grows old, and its age is what the loop decides by. Knows nothing
of policies; the one clock it reads is time.monotonic.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import cv2

from edge.camera_sources import FrameSource, Image, make_source
from policy_spec.errors import CameraError, sentence

T = TypeVar("T")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CameraPatience:
    """How long a camera may be silent."""

    first_frame_s: float = 10.0  # from opening to the first frame
    stale_s: float = 0.5  # an older newest frame: the arm holds
    give_up_s: float = 15.0  # still no frame: the run stops, whatever the thread is doing
    attempts: int = 5  # to open it again
    retry_s: float = 1.0  # between two attempts


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    image: Image  # [h, w, 3] uint8 RGB, never written again
    t: float  # time.monotonic when it came
    index: int  # frames of this camera before it


class Camera:
    """`newest()` never waits. Closed once, by whoever opened it."""

    def __init__(self, slot: str, source: str, patience: CameraPatience, say: Say) -> None:
        self.slot = slot
        self.source = source
        self._patience = patience
        self._say = say
        self._reader: FrameSource = _named(slot, lambda: make_source(source))
        self._frame: Frame | None = None
        self._error: CameraError | None = None
        self._told_rounds = False
        self._stop = threading.Event()
        self._came = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {slot}", daemon=True)

    @property
    def period_s(self) -> float:
        """Between two frames, as far as the source knows; 0 for a live one."""
        return self._reader.period_s

    def open(self) -> None:
        """Opens the source and waits for the first frame. CameraError."""
        _named(self.slot, self._reader.open)
        self._thread.start()
        if not self._came.wait(self._patience.first_frame_s):
            raise CameraError(
                sentence(
                    f"camera {self.slot} ({self.source}) gave no frame for {self._patience.first_frame_s:g} s"
                )
            )
        self.newest()

    def newest(self) -> Frame:
        """The newest frame, however old. CameraError when the camera is lost for good."""
        if self._error is not None:
            raise self._error
        assert self._frame is not None, "open() first"
        return self._frame

    def close(self) -> None:
        """Ends the thread. A driver that hangs in a read is left to end with the process."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            try:
                self._publish(self._reader.read())
            except (CameraError, cv2.error) as error:
                if not self._reopen(error):
                    break
            due = max(due + self._reader.period_s, time.monotonic() - self._reader.period_s)
            self._stop.wait(max(0.0, due - time.monotonic()) if self._reader.period_s else 0.0)
        self._reader.close()

    def _publish(self, image: Image) -> None:
        index = self._frame.index + 1 if self._frame is not None else 0
        if self._reader.rounds and not self._told_rounds:
            self._told_rounds = True
            self._say(f"camera {self.slot}: {self.source} is over and starts again, as it will each time")
        self._frame = Frame(image, time.monotonic(), index)
        self._came.set()

    def _reopen(self, error: Exception) -> bool:
        patience = self._patience
        self._say(f"camera {self.slot}: {error}; opening it again, at most {patience.attempts} times")
        for attempt in range(1, patience.attempts + 1):
            self._reader.close()
            if self._stop.wait(patience.retry_s):
                return False
            try:
                self._reader.open()
                self._publish(self._reader.read())
            except (CameraError, cv2.error) as again:
                error = again
                continue
            self._say(f"camera {self.slot} is back after {attempt} attempts")
            return True
        self._error = CameraError(
            sentence(
                f"camera {self.slot} ({self.source}) is lost: {error}",
                got=f"{patience.attempts} attempts to open it again failed",
                do="plug it in and start the run again",
            )
        )
        self._came.set()
        return False


def _named(slot: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except CameraError as error:
        raise CameraError(f"camera {slot}: {error}") from None
