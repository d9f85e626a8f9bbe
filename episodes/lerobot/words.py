"""What an episode is about, beside its tasks: annotated tasks of whole episodes, and subtasks that begin at a second.

Two conventions are read. MolmoAct2's: meta/tasks_annotated.parquet, an index `episode_index` and a column `task`;
"<ALL FROZEN FRAMES>" marks an episode that is not to be learned from. LeRobot's: a column `language_persistent` whose
entries of style `subtask` hold from their timestamp on. Knows nothing of states and pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from episodes.lerobot.files import Files
from episodes.lerobot.tables import read_table, require
from policy_spec.errors import DatasetError, sentence

ANNOTATED_FILE = "meta/tasks_annotated.parquet"
FROZEN = "<ALL FROZEN FRAMES>"
LANGUAGE = "language_persistent"
_INDEXES = ("episode_index", "__index_level_0__")


@dataclass(frozen=True, slots=True)
class Annotated:
    """Annotated tasks of a dataset. Empty where it has none."""

    tasks: Mapping[int, str] = field(default_factory=dict)  # episode_index -> in words
    frozen: frozenset[int] = frozenset()  # episodes in which nothing moves


def read_annotated(files: Files) -> Annotated:
    """Of meta/, where the dataset has some. Raises DatasetError on a file of another shape."""
    file = files.root / ANNOTATED_FILE
    if not file.is_file():
        return Annotated()
    table = read_table(file)
    index = next((name for name in _INDEXES if name in table.column_names), None)
    require(file, table.column_names, ["task"])
    if index is None:
        raise DatasetError(sentence(f"{file}: columns", expected="episode_index and task", got=table.column_names))
    pairs = list(zip(table[index].to_pylist(), table["task"].to_pylist(), strict=True))
    if len({number for number, _ in pairs}) != len(pairs):
        raise DatasetError(sentence(f"{file}: episode_index", expected="each once", got="some twice"))
    told = {int(number): str(task).strip() for number, task in pairs if task is not None}
    frozen = frozenset(number for number, task in told.items() if task == FROZEN)
    return Annotated({n: t for n, t in told.items() if t and n not in frozen}, frozen)


def subtask_at(entries: Sequence[Mapping[str, Any]] | None, at_s: float) -> str:
    """The subtask that holds at that second of the episode; "" where there is none."""
    told = ((float(e.get("timestamp") or 0.0), e.get("content")) for e in entries or () if e.get("style") == "subtask")
    begun = [(since, text) for since, text in told if since <= at_s + 1e-6]
    return str(max(begun, key=lambda one: one[0])[1] or "") if begun else ""
