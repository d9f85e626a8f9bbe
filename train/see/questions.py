"""Where the thing is that the words of a task name, from the questions of `armside sim points`.

Takes a points.jsonl and the names of pictures; gives for each question its task, the thing, its pictures, and in which
cell of each picture the thing is and where. Knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_spec.errors import DatasetError, sentence
from train.data.text import TextFile
from train.see.labels import ASKING, things_of


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """N questions about C pictures each, cut into `cells` by `cells` parts."""

    tasks: tuple[str, ...]  # "push the red cube to the left"
    things: tuple[str, ...]  # "red cube"
    pictures: NDArray[np.int64]  # [N, C] numbers of pictures
    cell: NDArray[np.int64]  # [N, C] the part in which its middle lies; cells^2: it is not seen
    place: NDArray[np.float32]  # [N, C, 2] across and down, 0..1; 0.5 where it is not seen


def read_questions(path: Path | str, cells: int, numbers: Mapping[Path, int]) -> Questions:
    """`numbers`: of the pictures, by file. Raises DatasetError where a line has no task that names its thing, or not as
    many pictures as the first.
    """
    text = TextFile.open(path)
    count = len(text.lines[0].get("images", []))
    tasks, things = [], []
    pictures = np.zeros((len(text.lines), count), np.int64)
    cell = np.full(pictures.shape, cells * cells, np.int64)
    place = np.full((*pictures.shape, 2), 0.5, np.float32)
    for row, line in enumerate(text.lines):
        seen = things_of(text.path, row + 1, line)
        thing, task = line["question"].removeprefix(ASKING).removeprefix("the "), line.get("task")
        if not isinstance(task, str) or thing not in task or len(seen) != count:
            raise DatasetError(_wrong(text.path, row + 1, count, line))
        tasks.append(task)
        things.append(thing)
        pictures[row] = [numbers[text.path.parent / name] for name in line["images"]]
        for camera, found in enumerate(seen):
            for _, (across, down) in found:
                cell[row, camera] = int(down * cells) * cells + int(across * cells)
                place[row, camera] = across, down
    return Questions(tuple(tasks), tuple(things), pictures, cell, place)


def _wrong(path: Path, number: int, count: int, line: Mapping[str, Any]) -> str:
    expected = f"a task that names the thing, and {count} pictures"
    do = "draw points.jsonl with armside sim points into a new folder"
    return sentence(f"{path}, line {number}", expected=expected, got=str(dict(line))[:120], do=do)
