"""What a dataset that is being written will hold: robot, rate, names, cameras, how pictures are kept.

Frozen; gives the features of info.json, in LeRobot's words. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policy_spec.errors import DatasetError, sentence

CAMERA = "observation.images."
STATE, ACTION = "observation.state", "action"
COUNTERS = ("frame_index", "episode_index", "index", "task_index")
KEPT = ("video", "image")


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """How pictures become a video. The default is read everywhere and cheap to seek in: docs/decisions.md."""

    codec: str = "libx264"  # or libsvtav1, LeRobot's own default
    gop: int = 2  # frames from one key frame to the next: how many a random read decodes at most
    crf: int = 23  # quality; lower is better
    preset: str = ""  # of the codec; "" is superfast, or 12 for libsvtav1


@dataclass(frozen=True, slots=True)
class Extra:
    """One more column of numbers: a reward, success, depth codes."""

    dtype: str  # of numpy
    width: int = 1
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """Raises DatasetError on what LeRobot could not read."""

    fps: int
    robot_type: str
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    cameras: Mapping[str, tuple[int, int]]  # short name -> height, width
    depths: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # kept as 16-bit PNG, mm
    extras: Mapping[str, Extra] = field(default_factory=dict)
    joint_frame: str = ""  # of states and actions, a name of policy_spec.frames
    pictures: str = "video"  # or "image": PNG in the parquet files, every pixel kept
    video: VideoOptions = field(default_factory=VideoOptions)
    data_mb: float = 50  # a new data file begins before this
    video_mb: float = 50  # and a new video file

    def __post_init__(self) -> None:
        if int(self.fps) != self.fps or self.fps < 1:
            raise DatasetError(sentence("fps of a LeRobot dataset", expected="a whole number above 0", got=self.fps))
        if min(self.data_mb, self.video_mb) <= 0:
            raise DatasetError(sentence("sizes of files", expected="above 0 MB", got=(self.data_mb, self.video_mb)))
        if self.pictures not in KEPT:
            raise DatasetError(sentence("how pictures are kept", expected=" or ".join(KEPT), got=self.pictures))
        for names in (self.state_names, self.action_names):
            if not names or len(set(names)) != len(names):
                raise DatasetError(sentence("names of state and action", expected="each once", got=names))
        for name, (height, width) in {**self.cameras, **self.depths}.items():
            even = height % 2 == 0 and width % 2 == 0
            if not name or "/" in name or height < 2 or width < 2 or (self.pictures == "video" and not even):
                got = f"{width}x{height}"
                raise DatasetError(sentence(f"camera {name!r}", expected="an even width and height", got=got))
        clash = [
            key for key in self.extras if key in (STATE, ACTION, "timestamp", *COUNTERS) or key in self.camera_keys
        ]
        if clash:
            raise DatasetError(sentence("extra columns", expected="names of their own", got=", ".join(clash)))

    @property
    def camera_keys(self) -> dict[str, str]:
        """Short name -> key, depth cameras last."""
        return {
            name: name if name.startswith("observation.") else CAMERA + name for name in (*self.cameras, *self.depths)
        }

    def features(self) -> dict[str, Any]:
        """The features of info.json."""
        out: dict[str, Any] = {
            ACTION: {"dtype": "float32", "shape": [len(self.action_names)], "names": list(self.action_names)},
            STATE: {"dtype": "float32", "shape": [len(self.state_names)], "names": list(self.state_names)},
        }
        keys = self.camera_keys
        words = ["height", "width", "channels"]
        for name, (height, width) in self.cameras.items():
            out[keys[name]] = {"dtype": self.pictures, "shape": [height, width, 3], "names": words}
            if self.pictures == "video":
                out[keys[name]]["info"] = self._video_facts(height, width)
        for name, (height, width) in self.depths.items():
            facts = {"is_depth_map": True, "depth_unit": "mm"}
            out[keys[name]] = {"dtype": "image", "shape": [height, width, 1], "names": words, "info": facts}
        for key, extra in self.extras.items():
            names = list(extra.names) or None
            out[key] = {"dtype": np.dtype(extra.dtype).name, "shape": [extra.width], "names": names}
        out["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
        return out | {key: {"dtype": "int64", "shape": [1], "names": None} for key in COUNTERS}

    def _video_facts(self, height: int, width: int) -> dict[str, Any]:
        codec = {"libx264": "h264", "libsvtav1": "av1"}.get(self.video.codec, self.video.codec)
        return {
            "video.height": height,
            "video.width": width,
            "video.codec": codec,
            "video.pix_fmt": "yuv420p",
            "video.fps": self.fps,
            "video.channels": 3,
            "video.g": self.video.gop,
            "video.crf": self.video.crf,
            "has_audio": False,
            "is_depth_map": False,
        }
