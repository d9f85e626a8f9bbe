"""A LeRobot dataset to read from: `open_dataset(path or hub id).episode(i)` with states, actions, tasks and pictures.

Takes a folder or OWNER/NAME[@REVISION] of the hub; v3.0 or v2.1. Gives frozen facts and one EpisodeView per episode;
files are opened (from the hub: fetched) when something of them is asked for. Knows nothing of normalization, chunks and
policies: numbers stay in the units and the joint frame in which they were stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from episodes.lerobot.commit import require_settled
from episodes.lerobot.episode import EpisodeView, Sources
from episodes.lerobot.files import Files, HubFiles, LocalFiles
from episodes.lerobot.index import Index, read_index
from episodes.lerobot.info import INFO_FILE, OWN_FILE, DatasetInfo, parse_info, parse_json, short_names
from episodes.lerobot.rows import DataPool
from episodes.lerobot.video import TOLERANCE_S, VideoPool
from episodes.lerobot.words import Annotated, read_annotated
from policy_spec.errors import DatasetError, sentence


@dataclass(frozen=True, slots=True)
class Keys:
    """Which features are the state and the action."""

    action: str = "action"  # "" where none is wanted
    states: tuple[str, ...] = ("observation.state",)  # joined in this order


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """An opened dataset. Not for several threads at once: open it again in each."""

    info: DatasetInfo
    files: Files
    index: Index
    keys: Keys
    annotated: Annotated
    _sources: Sources = field(repr=False)

    @property
    def name(self) -> str:
        """Of the folder, or OWNER/NAME."""
        return self.files.name

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.info.fps

    @property
    def cameras(self) -> tuple[str, ...]:
        """Whole keys of the colour cameras."""
        return self.info.cameras

    @property
    def camera_slots(self) -> tuple[str, ...]:
        """Their short names, in the same order: observation.images.front is front."""
        return short_names(self.cameras)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Of a state's numbers, all state features one after another."""
        return tuple(name for key in self.keys.states for name in self.info.feature(key).dims)

    @property
    def action_names(self) -> tuple[str, ...]:
        """Of an action's numbers."""
        return self.info.feature(self.keys.action).dims

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames of each episode."""
        return tuple(row.length for row in self.index.episodes)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task of the dataset, each once."""
        return tuple(dict.fromkeys(self.index.tasks[number] for number in sorted(self.index.tasks)))

    def episode(self, position: int) -> EpisodeView:
        """The episode at that position, 0 to len(lengths) - 1. Raises DatasetError."""
        rows = self.index.episodes
        if not 0 <= position < len(rows):
            raise DatasetError(sentence(f"{self.name}: episode", expected=f"0 to {len(rows) - 1}", got=position))
        row = rows[position]
        told = self.annotated.tasks.get(row.number, "")
        return EpisodeView(position, row, told, self.info, self.index.tasks, self._sources)

    def close(self) -> None:
        """Closes the files. Reading on opens them again."""
        self._sources.data.close()
        self._sources.videos.close()

    def __enter__(self) -> Dataset:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_dataset(source: Path | str, *, keys: Keys | None = None, tolerance_s: float = TOLERANCE_S) -> Dataset:
    """Opens a folder, or OWNER/NAME[@REVISION] on the hub. Raises DatasetError, HubError.

    `keys`: which features are state and action; without them LeRobot's names, and no state where there is none.
    `tolerance_s`: how far a video's frame may be from the time that the table says.
    """
    from episodes.observations import looks_like_hub

    files: Files
    if (Path(source).expanduser() / INFO_FILE).is_file():
        files = LocalFiles(Path(source).expanduser())
    elif looks_like_hub(source):
        files = HubFiles.fetch(str(source))
    else:
        expected = f"a folder with {INFO_FILE}, or OWNER/NAME of a dataset on the hub"
        raise DatasetError(sentence(f"{source} is no LeRobot dataset", expected=expected))
    require_settled(files.root)
    own = files.root / OWN_FILE
    info = parse_info(
        parse_json(files.path(INFO_FILE).read_bytes(), f"{files.name}/{INFO_FILE}"),
        parse_json(own.read_bytes(), str(own)) if own.is_file() else None,
        files.name,
    )
    if keys is None:
        usual = Keys()
        keys = Keys(states=tuple(key for key in usual.states if key in info.features))
    for key in (*([keys.action] if keys.action else []), *keys.states):
        info.feature(key)
    sources = Sources(files, DataPool(), VideoPool(tolerance_s), keys.action, keys.states)
    return Dataset(info, files, read_index(files, info), keys, read_annotated(files), sources)
