"""Where each episode lies: its rows, its videos, its tasks. One list for both layouts, read by v3.py and v2.py.

Takes the dataset's files and info; gives EpisodeRow by position and the texts of the tasks by number. Knows nothing of
states and pictures.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from episodes.lerobot.files import Files
from episodes.lerobot.info import DatasetInfo
from policy_spec.errors import DatasetError, sentence


@dataclass(frozen=True, slots=True)
class VideoPart:
    """The part of a video file that shows one episode."""

    file: str  # relative to the dataset
    start_s: float  # of the episode's first frame in the file


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One episode as meta/ has it."""

    number: int  # episode_index
    length: int  # frames
    tasks: tuple[str, ...]  # every task that occurs in it
    data_file: str  # relative to the dataset
    videos: Mapping[str, VideoPart]  # camera's key -> where


@dataclass(frozen=True, slots=True)
class Index:
    """All of meta/ but for statistics."""

    episodes: tuple[EpisodeRow, ...]
    tasks: Mapping[int, str]


def read_index(files: Files, info: DatasetInfo) -> Index:
    """The index of either layout, held against info.json. Raises DatasetError."""
    from episodes.lerobot import v2, v3

    index = (v3 if info.version.startswith("v3") else v2).read_index(files, info)
    numbers = [row.number for row in index.episodes]
    if sorted(set(numbers)) != numbers:
        odd = next(b for a, b in itertools.pairwise(numbers) if b <= a)
        raise DatasetError(sentence(f"{files.name}: episodes in meta/", expected="each once, in order", got=odd))
    short = [row for row in index.episodes if row.length < 1]
    if short:
        raise DatasetError(sentence(f"{files.name}: length of episode {short[0].number}", expected=">= 1", got="0"))
    found = len(numbers), sum(row.length for row in index.episodes)
    if found != (info.total_episodes, info.total_frames):
        what = f"{files.name}: episodes and frames in meta/episodes"
        said = f"{info.total_episodes} and {info.total_frames}, as meta/info.json says"
        raise DatasetError(sentence(what, expected=said, got=f"{found[0]} and {found[1]}", do="fetch meta/ again"))
    return index


def fill(template: str, where: str, **values: object) -> str:
    """A path template with its numbers. DatasetError on a template that wants others."""
    try:
        return template.format(**values)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise DatasetError(sentence(f"{where}: path template {template!r}", got=repr(error))) from None
