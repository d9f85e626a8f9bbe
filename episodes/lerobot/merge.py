"""Puts a drafted episode into the files of the dataset: data, videos, tasks, episodes, statistics, info.

Takes the draft; writes every file that changes aside, whole, and commits them together. A file that would grow over its
limit is left, and the next one begun. Knows nothing of frames.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from episodes.lerobot import commit
from episodes.lerobot.draft import Draft
from episodes.lerobot.files import LocalFiles
from episodes.lerobot.info import DATA_PATH, INFO_FILE, OWN_FILE, OWN_FORMAT, OWN_VERSION, VIDEO_PATH
from episodes.lerobot.plan import DatasetPlan
from episodes.lerobot.stats import Stats, arrays, plain, together
from episodes.lerobot.tables import read_table
from episodes.lerobot.tables_out import append_episode, append_frames, frame_schema, frame_table, write_tasks
from episodes.lerobot.v3 import TASKS_FILE, read_tasks
from episodes.lerobot.video_out import join_videos
from policy_spec.errors import DatasetError, sentence

EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
STATS_FILE = "meta/stats.json"
CHUNKS_SIZE = 1000
EPISODES_MB = 4  # of meta/episodes; rewritten for every episode, so that small is quick
_MB = 1024 * 1024
Place = tuple[int, int]  # chunk_index, file_index


@dataclass(frozen=True, slots=True)
class State:
    """What the dataset holds so far."""

    episodes: int = 0
    frames: int = 0
    tasks: tuple[str, ...] = ()
    data: Place | None = None  # the file that was written last
    listed: Place | None = None  # of meta/episodes
    videos: dict[str, tuple[Place, int]] = field(default_factory=dict)  # key -> file, frames in it
    stats: dict[str, Stats] | None = None

    @classmethod
    def read(cls, root: Path) -> State:
        """From the files. Raises DatasetError where they do not belong together."""
        table = sorted((root / "meta/episodes").glob("*/*.parquet"))
        rows = [row for file in table for row in read_table(file).to_pylist()]
        info = json.loads((root / INFO_FILE).read_bytes())
        if not rows or len(rows) != info["total_episodes"]:
            what = f"{root}/meta/episodes"
            raise DatasetError(sentence(what, expected=f"{info['total_episodes']} episodes", got=len(rows)))
        last, fps = rows[-1], info["fps"]
        keys = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
        videos = {}
        for key in keys:
            place = last[f"videos/{key}/chunk_index"], last[f"videos/{key}/file_index"]
            videos[key] = place, round(last[f"videos/{key}/to_timestamp"] * fps)
        tasks = read_tasks(LocalFiles(root))
        return cls(
            episodes=len(rows),
            frames=int(last["dataset_to_index"]),
            tasks=tuple(tasks[number] for number in sorted(tasks)),
            data=(last["data/chunk_index"], last["data/file_index"]),
            listed=(last["meta/episodes/chunk_index"], last["meta/episodes/file_index"]),
            videos=videos,
            stats=arrays(json.loads((root / STATS_FILE).read_bytes())),
        )


class Merger:
    """Adds drafts, one after another."""

    def __init__(self, root: Path, plan: DatasetPlan, state: State, durable: bool = True) -> None:
        self.state = state
        self._root, self._plan, self._durable = root, plan, durable
        self._schema = frame_schema(plan)

    def add(self, draft: Draft) -> int:
        """The number of the new episode. OSError where the disk says no; the dataset is then as it was."""
        state, number = self.state, self.state.episodes
        tasks = tuple(dict.fromkeys((*state.tasks, *draft.tasks)))
        columns = draft.columns({task: i for i, task in enumerate(tasks)}, number, state.frames)
        stats = draft.stats(columns)
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": list(dict.fromkeys(draft.tasks)),
            "length": draft.length,
            "dataset_from_index": state.frames,
            "dataset_to_index": state.frames + draft.length,
        }
        files, videos = self._videos(draft, row)
        data = self._data(columns, row)
        listed = self._list(row, stats)
        state = replace(
            state,
            episodes=number + 1,
            frames=state.frames + draft.length,
            tasks=tasks,
            data=data,
            listed=listed,
            videos=videos,
            stats=together(state.stats, stats) if state.stats is not None else stats,
        )
        files += [_named(DATA_PATH, data), TASKS_FILE, _named(EPISODES_PATH, listed), STATS_FILE, OWN_FILE, INFO_FILE]
        self._facts(state)
        commit.commit(self._root, files, self._durable)
        self.state = state
        return number

    def _videos(self, draft: Draft, row: dict[str, Any]) -> tuple[list[str], dict[str, tuple[Place, int]]]:
        """Each camera's episode behind its last file, or in a new one."""
        fps, files, places = self._plan.fps, [], {}
        for key, file in draft.videos.items():
            before, frames = self.state.videos.get(key, (None, 0))
            size = file.stat().st_size
            place, old = self._place(VIDEO_PATH, before, size, self._plan.video_mb, video_key=key)
            begin = frames if old is not None else 0
            name = _named(VIDEO_PATH, place, video_key=key)
            parts = [(file, draft.length)] if old is None else [(old, begin), (file, draft.length)]
            join_videos(parts, self._aside(name), fps)
            row |= {
                f"videos/{key}/chunk_index": place[0],
                f"videos/{key}/file_index": place[1],
                f"videos/{key}/from_timestamp": begin / fps,
                f"videos/{key}/to_timestamp": (begin + draft.length) / fps,
            }
            files.append(name)
            places[key] = place, begin + draft.length
        return files, places

    def _data(self, columns: dict[str, Any], row: dict[str, Any]) -> Place:
        table = frame_table(self._schema, columns)
        place, old = self._place(DATA_PATH, self.state.data, table.nbytes, self._plan.data_mb)
        append_frames(old, table, self._aside(_named(DATA_PATH, place)))
        row |= {"data/chunk_index": place[0], "data/file_index": place[1]}
        return place

    def _list(self, row: dict[str, Any], stats: dict[str, Stats]) -> Place:
        place, old = self._place(EPISODES_PATH, self.state.listed, 0, EPISODES_MB)
        flat = {f"stats/{key}/{name}": value for key, one in plain(stats).items() for name, value in one.items()}
        whole = {**row, **flat, "meta/episodes/chunk_index": place[0], "meta/episodes/file_index": place[1]}
        append_episode(old, whole, self._aside(_named(EPISODES_PATH, place)))
        return place

    def _facts(self, state: State) -> None:
        """tasks, stats.json, info.json and our own note."""
        plan = self._plan
        write_tasks(state.tasks, self._aside(TASKS_FILE))
        info = {
            "codebase_version": "v3.0",
            "robot_type": plan.robot_type,
            "total_episodes": state.episodes,
            "total_frames": state.frames,
            "total_tasks": len(state.tasks),
            "chunks_size": CHUNKS_SIZE,
            "data_files_size_in_mb": plan.data_mb,
            "video_files_size_in_mb": plan.video_mb,
            "fps": plan.fps,
            "splits": {"train": f"0:{state.episodes}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if state.videos else None,
            "features": plan.features(),
        }
        own = {"format": OWN_FORMAT, "version": OWN_VERSION, "joint_frame": plan.joint_frame, "plan": asdict(plan)}
        for name, facts in ((STATS_FILE, plain(state.stats or {})), (OWN_FILE, own), (INFO_FILE, info)):
            self._aside(name).write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n")

    def _place(
        self, template: str, before: Place | None, more: int, limit_mb: float, **values: str
    ) -> tuple[Place, Path | None]:
        """The file that takes `more` bytes, and what it holds already."""
        if before is None:
            return (0, 0), None
        file = self._root / _named(template, before, **values)
        if file.stat().st_size + more < limit_mb * _MB:
            return before, file
        chunk, number = before
        return ((chunk, number + 1) if number + 1 < CHUNKS_SIZE else (chunk + 1, 0)), None

    def _aside(self, name: str) -> Path:
        file = self._root / commit.ASIDE / name
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


def _named(template: str, place: Place, **values: str) -> str:
    return template.format(chunk_index=place[0], file_index=place[1], **values)
