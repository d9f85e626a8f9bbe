"""Where pictures come from: a device, a stream, a clip, a folder, a moving test pattern. One class per kind.

A source gives uint8 RGB at its own resolution and knows nothing of threads, slots or time; `period_s` says
how fast whoever reads it should ask (0: the source itself waits for the next frame). Whatever goes wrong is
a CameraError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from glob import glob
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge.sim_camera import PREFIX, SimSource
from policy_spec.errors import CameraError, sentence

Image = npt.NDArray[np.uint8]  # [height, width, 3] RGB
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
USUAL_FPS = 30.0  # of a clip that does not say, of a folder, of the test pattern
OPEN_TIMEOUT_MS = 4000  # OpenCV's own defaults are 30 s: an arm would stand still for that long
READ_TIMEOUT_MS = 2000
KINDS = (
    "an index (0), a device (/dev/video0), a video file, an image or a folder of images, "
    "an rtsp or http URL, test (a moving pattern), or sim:front (a simulated scene's)"
)


class FrameSource(Protocol):
    """What a camera thread needs. `rounds` counts how often a finite source started again."""

    period_s: float
    rounds: int

    def open(self) -> None: ...

    def read(self) -> Image: ...

    def close(self) -> None: ...


class StreamSource:
    """A live device or URL through OpenCV; its end is a loss."""

    period_s = 0.0
    rounds = 0

    def __init__(self, target: str) -> None:
        self._target: int | str = int(target) if target.isdigit() else target
        self._capture: Any = None

    def open(self) -> None:
        if isinstance(self._target, str) and "://" in self._target:
            timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
            capture = cv2.VideoCapture(self._target, cv2.CAP_FFMPEG, [*timeouts, READ_TIMEOUT_MS])
        else:
            self._check_device()
            capture = cv2.VideoCapture(self._target)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not the oldest of four
        if not capture.isOpened():
            raise CameraError(
                sentence(
                    f"{self._target} cannot be opened as a camera",
                    do="see that it is plugged in, that no other program has it, and that you may read it "
                    "(sudo usermod -aG video $USER, then log in again)",
                )
            )
        self._capture = capture

    def _check_device(self) -> None:
        path = f"/dev/video{self._target}" if isinstance(self._target, int) else self._target
        if not Path(path).exists():
            found = ", ".join(sorted(glob("/dev/video*"))) or "no /dev/video* at all"
            raise CameraError(sentence(f"there is no camera {path}", got=found, do="plug it in"))

    def read(self) -> Image:
        done, image = self._capture.read() if self._capture is not None else (False, None)
        if not done or image is None:
            raise CameraError(f"{self._target} stopped giving frames")
        return _rgb(image)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class ClipSource:
    """A video file at its own speed; after its last frame it starts again."""

    def __init__(self, target: str) -> None:
        self._path = target
        self._capture: Any = None
        self.period_s = 1 / USUAL_FPS
        self.rounds = 0

    def open(self) -> None:
        self.close()
        capture = cv2.VideoCapture(self._path) if Path(self._path).is_file() else None
        if capture is None or not capture.isOpened():
            raise CameraError(sentence(f"{self._path} cannot be played", expected="a video file"))
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        self.period_s = 1 / fps if 1 <= fps <= 240 else 1 / USUAL_FPS
        self._capture = capture

    def read(self) -> Image:
        done, image = self._capture.read() if self._capture is not None else (False, None)
        if not done:
            self.open()
            self.rounds += 1
            done, image = self._capture.read()
        if not done or image is None:
            raise CameraError(f"{self._path} holds no frame")
        return _rgb(image)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class FolderSource:
    """The images of a folder in the order of their names (or one image file), over and over."""

    period_s = 1 / USUAL_FPS

    def __init__(self, target: str) -> None:
        self._path = Path(target)
        self._files: list[Path] = []
        self._next = 0
        self.rounds = 0

    def open(self) -> None:
        if self._path.is_file():
            self._files = [self._path]
        else:
            inside = self._path.iterdir() if self._path.is_dir() else ()
            self._files = sorted(f for f in inside if f.suffix.lower() in IMAGE_SUFFIXES)
        if not self._files:
            raise CameraError(
                sentence(f"{self._path} holds no images", expected="files named " + " ".join(IMAGE_SUFFIXES))
            )
        self._next = 0

    def read(self) -> Image:
        if self._next == len(self._files):
            self._next = 0
            self.rounds += len(self._files) > 1
        path = self._files[self._next]
        self._next += 1
        image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
        if image is None:
            raise CameraError(f"{path} is not there any more or is no image")
        return _rgb(image)

    def close(self) -> None:
        self._files = []
        self._next = 0


class PatternSource:
    """Moving colour bars and a moving square, for a bench without cameras: `test` or `test:WxH`."""

    period_s = 1 / USUAL_FPS
    rounds = 0

    def __init__(self, target: str) -> None:
        size = re.fullmatch(r"test(?::(\d{2,4})x(\d{2,4}))?", target)
        if size is None:
            raise CameraError(sentence("a test pattern", expected="test or test:WIDTHxHEIGHT", got=target))
        self._width, self._height = (int(v) for v in (size[1] or "640", size[2] or "480"))
        self._frame = 0
        self._bars: Image = np.zeros((0, 0, 3), np.uint8)

    def open(self) -> None:
        colours = np.array([[235, 235, 235], [220, 200, 60], [60, 180, 190], [70, 170, 80], [190, 70, 160]], np.uint8)
        columns = np.arange(self._width) * len(colours) // self._width
        self._bars = np.ascontiguousarray(np.broadcast_to(colours[columns], (self._height, self._width, 3)))

    def read(self) -> Image:
        image = np.roll(self._bars, 2 * self._frame, axis=1)
        side = max(4, self._height // 5)
        x = (7 * self._frame) % (self._width - side)
        y = (3 * self._frame) % (self._height - side)
        image[y : y + side, x : x + side] = (200, 30, 30)
        self._frame += 1
        return image

    def close(self) -> None:
        return None


def _rgb(image: npt.NDArray[Any]) -> Image:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _is_image(text: str) -> bool:
    return Path(text).is_dir() or Path(text).suffix.lower() in IMAGE_SUFFIXES


# The first row whose test holds for the text decides.
SOURCES: tuple[tuple[Callable[[str], bool], Callable[[str], FrameSource]], ...] = (
    (lambda text: text == "test" or text.startswith("test:"), PatternSource),
    (lambda text: text.startswith(PREFIX), SimSource),
    (lambda text: text.isdigit() or text.startswith("/dev/") or "://" in text, StreamSource),
    (lambda text: Path(text).exists() and _is_image(text), FolderSource),
    (lambda text: Path(text).is_file(), ClipSource),
)


def make_source(text: str) -> FrameSource:
    """The source that `text` names, not opened yet. CameraError where it names none."""
    for holds, build in SOURCES:
        if holds(text):
            return build(text)
    raise CameraError(sentence(f"there is no camera or file '{text}'", expected=KINDS))
