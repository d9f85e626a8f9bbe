"""Writes videos: frames into an mp4 as they come, and one mp4 behind another without encoding again.

Takes [h, w, 3] uint8 RGB; gives files whose frame i lies at i / fps seconds. Needs PyAV. Knows nothing of datasets.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from episodes.lerobot.plan import VideoOptions
from policy_spec.errors import DatasetError, sentence

PRESETS = {"libx264": "superfast", "libsvtav1": "12"}


class VideoWriter:
    """One mp4. `add` each frame, `close` once; a file that was not closed is not readable."""

    def __init__(self, file: Path, fps: int, size: tuple[int, int], options: VideoOptions) -> None:
        """`size`: height, width. DatasetError where the codec is not there or the disk says no."""
        self.file = file
        self.frames = 0
        said = {"g": str(options.gop), "crf": str(options.crf)}
        if preset := options.preset or PRESETS.get(options.codec, ""):
            said["preset"] = preset
        if options.codec == "libx264":
            said["bf"] = "0"  # frames in the order in which they are shown: nothing waits, nothing is cut at a join
        if options.codec == "libsvtav1":
            said["svtav1-params"] = "lp=1"
        try:
            self._container = av.open(str(file), "w", format="mp4")
            stream: Any = self._container.add_stream(options.codec, rate=Fraction(fps), options=said)
        except (av.FFmpegError, OSError, ValueError) as error:
            what = f"a video {file.name} with {options.codec}"
            raise DatasetError(sentence(what, expected="a codec and a disk", got=error)) from None
        self._stream, self._fps = stream, fps
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1

    def add(self, picture: np.ndarray) -> None:
        """The next frame. Raises DatasetError."""
        try:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = self.frames, Fraction(1, self._fps)
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DatasetError(sentence(f"{self.file}: frame {self.frames}", got=error)) from None
        self.frames += 1

    def close(self) -> None:
        """The last frames, and the index of the file. Raises DatasetError."""
        try:
            for packet in self._stream.encode():
                self._container.mux(packet)
            self._container.close()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DatasetError(sentence(f"{self.file} cannot be finished", got=error)) from None


def join_videos(parts: Sequence[tuple[Path, int]], out: Path, fps: int) -> None:
    """Copies the packets of (file, its frames) one behind another. All are of one codec and size. DatasetError."""
    try:
        with av.open(str(out), "w", format="mp4", options={"movflags": "faststart"}) as target:
            stream: Any = None
            done = 0
            for file, frames in parts:
                with av.open(str(file)) as source:
                    inside = source.streams.video[0]
                    if stream is None:
                        stream = target.add_stream_from_template(
                            inside, opaque=True
                        )  # AV1 has other decoders than encoders
                        stream.time_base = inside.time_base
                    shift = round(Fraction(done, fps) / Fraction(inside.time_base or 1))
                    for packet in source.demux(inside):
                        if packet.dts is None or packet.pts is None:
                            continue  # the flush at the end
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = stream
                        target.mux(packet)
                done += frames
    except (av.FFmpegError, OSError, ValueError) as error:
        names = ", ".join(file.name for file, _ in parts)
        raise DatasetError(sentence(f"{names} cannot be joined into {out.name}", got=error)) from None
