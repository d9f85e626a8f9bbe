"""What a LeRobot dataset says of itself: meta/info.json as frozen facts, and meta/armside.json where we wrote one.

Takes the parsed JSON; gives DatasetInfo: version, rate, robot, features with names, path templates. Knows nothing of
files, parquet and pictures.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policy_spec.errors import DatasetError, sentence

INFO_FILE = "meta/info.json"
OWN_FILE = "meta/armside.json"  # ours, ignored by LeRobot: the joint frame of states and actions
OWN_FORMAT, OWN_VERSION = "armside-dataset", 1
VERSIONS = ("v3.0", "v2.1", "v2.0")
PICTURES = ("video", "image")  # dtypes that are cameras
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
V2_DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
V2_VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the frames, or one camera."""

    key: str
    dtype: str  # of numpy; or video, image, string, language
    shape: tuple[int, ...]
    names: tuple[str, ...] = ()  # of a vector's numbers; empty where the dataset has none
    facts: Mapping[str, Any] = field(default_factory=dict)  # its "info": codec, depth map ...

    @property
    def width(self) -> int:
        """Numbers in one frame."""
        return math.prod(self.shape)

    @property
    def is_picture(self) -> bool:
        """A camera's pictures, depth maps left out."""
        return self.dtype in PICTURES and not self.is_depth

    @property
    def is_depth(self) -> bool:
        """Depth maps: one channel, in a unit of length."""
        return self.dtype in PICTURES and bool(self.facts.get("is_depth_map") or self.facts.get("video.is_depth_map"))

    @property
    def dims(self) -> tuple[str, ...]:
        """A name for each number, also where the dataset has none."""
        return self.names if len(self.names) == self.width else tuple(f"dim {i}" for i in range(self.width))


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """meta/info.json. Raises DatasetError where it cannot be."""

    version: str
    fps: float
    features: Mapping[str, Feature]
    total_episodes: int
    total_frames: int
    robot_type: str = ""
    chunks_size: int = 1000
    data_path: str = DATA_PATH
    video_path: str = VIDEO_PATH
    joint_frame: str = ""  # a name of policy_spec.frames; "" where nobody has said

    @property
    def cameras(self) -> tuple[str, ...]:
        """Keys of the colour cameras, in the dataset's order."""
        return tuple(key for key, feature in self.features.items() if feature.is_picture)

    @property
    def depths(self) -> tuple[str, ...]:
        """Keys of the depth cameras."""
        return tuple(key for key, feature in self.features.items() if feature.is_depth)

    def feature(self, key: str) -> Feature:
        """Raises DatasetError listing what there is."""
        if key not in self.features:
            raise DatasetError(sentence(f"feature {key!r}", expected=f"one of {', '.join(self.features)}"))
        return self.features[key]


def parse_info(data: Any, own: Any, where: str) -> DatasetInfo:
    """The facts of both files (`own` may be None); `where` names the dataset in a DatasetError."""
    try:
        version, fps = str(data["codebase_version"]), float(data["fps"])
        features = {str(key): _feature(str(key), value) for key, value in data["features"].items()}
        paths = (DATA_PATH, VIDEO_PATH) if version.startswith("v3") else (V2_DATA_PATH, V2_VIDEO_PATH)
        info = DatasetInfo(
            version=version,
            fps=fps,
            features=features,
            total_episodes=int(data["total_episodes"]),
            total_frames=int(data["total_frames"]),
            robot_type=str(data.get("robot_type") or ""),
            chunks_size=int(data.get("chunks_size") or 1000),
            data_path=str(data.get("data_path") or paths[0]),
            video_path=str(data.get("video_path") or paths[1]),
            joint_frame="" if own is None else str(own.get("joint_frame") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            sentence(f"{where}/{INFO_FILE} is not a LeRobot dataset's", expected="the keys of LeRobot", got=repr(error))
        ) from None
    if version not in VERSIONS:
        raise DatasetError(
            sentence(
                f"{where}: version of the dataset",
                expected=f"one of {', '.join(VERSIONS)}",
                got=version,
                do="convert it with LeRobot's own scripts; or update armside for a newer one",
            )
        )
    if not 0 < fps < 1e6 or info.chunks_size < 1:
        expected, got = "fps and chunks_size above 0", (fps, info.chunks_size)
        raise DatasetError(sentence(f"{where}/{INFO_FILE}", expected=expected, got=got))
    return info


def parse_json(data: bytes, where: str) -> Any:
    """JSON of a file. DatasetError naming it."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise DatasetError(sentence(f"{where} is damaged", expected="JSON", got=error)) from None


def short_names(keys: tuple[str, ...]) -> tuple[str, ...]:
    """The last part of each camera's key; whole keys where two would clash."""
    short = tuple(key.rsplit(".", 1)[-1] for key in keys)
    return short if len(set(short)) == len(short) else keys


def _feature(key: str, value: Mapping[str, Any]) -> Feature:
    shape = tuple(int(n) for n in value.get("shape") or ())
    facts = {**(value.get("video_info") or {}), **(value.get("info") or {})}
    return Feature(key, str(value["dtype"]), shape, _names(value.get("names")), facts)


def _names(names: Any) -> tuple[str, ...]:
    """A list; or a dict of lists, such as {"motors": [...]}; or nothing."""
    if isinstance(names, Mapping):
        parts = [part if isinstance(part, list) else [part] for part in names.values()]
        names = [name for part in parts for name in part]
    return tuple(map(str, names)) if isinstance(names, list) else ()
