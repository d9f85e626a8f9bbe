"""What stands in which cell of a picture, from the questions of `armside sim points`.

Takes a points.jsonl; gives the names of its pictures, and for each cell of a coarse grid the words of the thing whose
middle lies there and where in the picture that is. Knows nothing of networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_spec.errors import DatasetError, sentence
from train.data.text import TextFile

ASKING, UNSEEN = "point to ", "-"
Place = tuple[float, float]  # across and down, 0..1 of the picture


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Labels of N pictures cut into `cells` by `cells` parts."""

    files: tuple[Path, ...]
    words: tuple[str, ...]  # that names are made of
    there: NDArray[np.float32]  # [N, cells^2, words] 1 where a thing of that word has its middle
    place: NDArray[np.float32]  # [N, cells^2, 2] across and down of the middle; 0.5 where there is none
    known: NDArray[np.bool_]  # [N, cells^2] exactly one thing is there, so that `place` says which


def read_points(path: Path | str, cells: int) -> Seen:
    """Raises DatasetError where a line is no question of where things are."""
    text = TextFile.open(path)
    seen: dict[Path, list[tuple[list[str], Place]]] = {}  # of a picture, over all lines that show it
    for number, line in enumerate(text.lines, 1):
        for name, things in zip(line["images"], things_of(text.path, number, line), strict=True):
            seen.setdefault(text.path.parent / name, []).extend(things)
    files, found = tuple(seen), tuple(seen.values())
    words = sorted({word for things in found for name, _ in things for word in name})
    there = np.zeros((len(files), cells * cells, len(words)), np.float32)
    place = np.full((len(files), cells * cells, 2), 0.5, np.float32)
    count = np.zeros((len(files), cells * cells), np.int64)
    for picture, things in enumerate(found):
        for name, (across, down) in things:
            cell = int(down * cells) * cells + int(across * cells)
            there[picture, cell, [words.index(word) for word in name]] = 1.0
            place[picture, cell] = across, down
            count[picture, cell] += 1
    return Seen(files, tuple(words), there, place, count == 1)


def things_of(path: Path, number: int, line: dict[str, Any]) -> list[list[tuple[list[str], Place]]]:
    """For each picture of a line: the words of the thing, and where it is; nothing where it is not seen."""
    pictures, answers = line.get("images", []), line["answer"].split()
    name = line["question"].removeprefix(ASKING).removeprefix("the ").split()
    out: list[list[tuple[list[str], Place]]] = []
    try:
        for _ in pictures:
            across = answers.pop(0)
            seen = () if across == UNSEEN else (((int(across) + 0.5) / 100, (int(answers.pop(0)) + 0.5) / 100),)
            out.append([(name, place) for place in seen])
    except (IndexError, ValueError):
        answers = ["?"]
    if answers or not pictures or not line["question"].startswith(ASKING):
        got = f"{line['question']!r}: {line['answer']!r}"
        do = "give a points.jsonl of armside sim points"
        raise DatasetError(sentence(f"{path}, line {number}", expected="where a thing is", got=got, do=do))
    return out
