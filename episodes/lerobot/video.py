"""Frames of video files by their time: seeks once, then decodes forward, so that reading in order never seeks again.

Takes a file and seconds in it; gives [h, w, 3] uint8 RGB. A frame further from the wanted time than the tolerance is
refused, naming both. Needs PyAV. Knows nothing of datasets.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from policy_spec.errors import DatasetError, sentence

TOLERANCE_S = 1e-3  # far below half a frame, far above what float32 timestamps lose in an hour
FORWARD_S = 0.5  # of video that is rather decoded than jumped over, where a file does not say its key frames
OPEN_FILES = 16


class VideoReader:
    """One open file. Not for several threads."""

    def __init__(self, file: Path, tolerance_s: float = TOLERANCE_S) -> None:
        """DatasetError where the file is no video."""
        self.file = file
        self.seeks = 0  # so far: a test and a bench look at it
        self._tolerance_s = tolerance_s
        try:
            self._container = av.open(str(file))
            self._stream = self._container.streams.video[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise DatasetError(
                sentence(f"{file} cannot be read", expected="a video", got=error, do="fetch it again")
            ) from None
        self._stream.codec_context.thread_count = 1  # loaders read several files at once
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._last: av.VideoFrame | None = None
        entries = getattr(self._stream, "index_entries", ())
        base = float(self._stream.time_base or 1.0)
        self._keys = np.sort([entry.timestamp * base for entry in entries if entry.is_keyframe])

    def frame(self, at_s: float, pixels: str = "rgb24") -> np.ndarray:
        """The frame shown at that second: [h, w, 3] uint8 RGB, or in another of ffmpeg's pixel formats.

        Raises DatasetError where none is near enough, or the file is damaged.
        """
        try:
            found = self._find(at_s)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DatasetError(
                sentence(f"{self.file} at {at_s:.4f} s", expected="a frame", got=error, do="fetch it again")
            ) from None
        return np.asarray(found.to_ndarray(format=pixels))

    def close(self) -> None:
        self._frames = iter(())
        self._last = None
        self._container.close()

    def _find(self, at_s: float) -> av.VideoFrame:
        last = self._last
        if last is not None and abs(_time(last) - at_s) <= self._tolerance_s:
            return last
        if last is None or not self._ahead(_time(last), at_s):
            self._seek(at_s)
        near = self._forward(at_s)
        if near is None and self.seeks and at_s > 0:  # a file whose index is wrong: from its beginning
            self._seek(0.0)
            near = self._forward(at_s)
        if near is None:
            got = "none" if self._last is None else f"{_time(self._last):.4f} s the nearest after it"
            what = f"{self.file}: a frame at {at_s:.4f} s, within {1000 * self._tolerance_s:g} ms"
            raise DatasetError(sentence(what, got=got, do="the video and the table do not belong together; fetch both"))
        return near

    def _ahead(self, now_s: float, at_s: float) -> bool:
        """Whether decoding on reaches that second as soon as a jump would."""
        if len(self._keys):
            between = np.searchsorted(self._keys, [now_s + self._tolerance_s, at_s + self._tolerance_s])
            return at_s > now_s and between[0] + 1 >= between[1]
        return 0 < at_s - now_s <= FORWARD_S

    def _seek(self, at_s: float) -> None:
        """To the last key frame at or before that second."""
        self.seeks += 1
        self._last = None
        base = float(self._stream.time_base or 1.0)
        begin = self._stream.start_time or 0
        wanted = int(
            (at_s + self._tolerance_s) / base
        )  # rounded down; the tolerance keeps a key frame at that very time
        self._container.seek(max(begin, wanted), stream=self._stream, backward=True)
        self._frames = self._container.decode(self._stream)

    def _forward(self, at_s: float) -> av.VideoFrame | None:
        """Decodes until that second; None where the frames jump over it, or end before."""
        for frame in self._frames:
            if frame.pts is None:
                continue
            self._last = frame
            ahead = _time(frame) - at_s
            if abs(ahead) <= self._tolerance_s:
                return frame
            if ahead > 0:
                return None
        return None


def _time(frame: av.VideoFrame) -> float:
    return float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base is not None else 0.0


class VideoPool:
    """The files that were read last, open. Not for several threads."""

    def __init__(self, tolerance_s: float = TOLERANCE_S, most: int = OPEN_FILES) -> None:
        self._readers: OrderedDict[Path, VideoReader] = OrderedDict()
        self._tolerance_s, self._most = tolerance_s, most

    def reader(self, file: Path) -> VideoReader:
        """The reader of a file, opened where it is not yet."""
        if file not in self._readers:
            self._readers[file] = VideoReader(file, self._tolerance_s)
            while len(self._readers) > self._most:
                self._readers.popitem(last=False)[1].close()
        self._readers.move_to_end(file)
        return self._readers[file]

    def close(self) -> None:
        """Closes every file."""
        while self._readers:
            self._readers.popitem()[1].close()
