"""Questions and answers to learn next tokens from, with or without pictures, between the robots' rows.

Takes a .jsonl whose lines have "question", "answer" and perhaps "images" (paths beside the file); gives rows, and a
plan that gives a share of the draws to them. Knows nothing of tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from episodes.stream import Place, shuffled
from policy_spec.errors import DatasetError, sentence
from train.data.rows import Plan, Row, Rows

TEXT = -1  # "dataset" of a place in the text


@dataclass(frozen=True, slots=True)
class TextFile:
    """The lines of a file. Raises DatasetError naming the line that is wrong."""

    path: Path
    lines: tuple[dict[str, Any], ...]

    @classmethod
    def open(cls, path: Path | str) -> TextFile:
        """Reads all lines; pictures are opened when they are asked for."""
        file = Path(path)
        try:
            texts = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(sentence(f"{file} cannot be read", got=error)) from error
        lines = [cls._line(file, number, text) for number, text in enumerate(texts, 1) if text.strip()]
        if not lines:
            raise DatasetError(sentence(f"{file} is empty", expected="lines with a question and an answer"))
        return cls(file, tuple(lines))

    @staticmethod
    def _line(file: Path, number: int, text: str) -> dict[str, Any]:
        try:
            line = json.loads(text)
        except ValueError as error:
            raise DatasetError(sentence(f"{file}, line {number}", expected="JSON", got=error)) from error
        good = isinstance(line, dict) and all(isinstance(line.get(k), str) and line[k] for k in ("question", "answer"))
        if not good or not isinstance(line.get("images", []), list):
            expected = '{"question": "...", "answer": "...", "images": ["..."]}'
            raise DatasetError(sentence(f"{file}, line {number}", expected=expected, got=text[:80]))
        return line

    def row(self, index: int) -> Row:
        """The row of a line."""
        line = self.lines[index]
        images = []
        for name in line.get("images", []):
            try:
                with Image.open(self.path.parent / name) as image:
                    images.append(np.asarray(image.convert("RGB")))
            except OSError as error:
                raise DatasetError(sentence(f"{self.path}: picture {name}", got=error)) from error
        return Row(tuple(images), line["question"], answer=line["answer"])


@dataclass(frozen=True, slots=True, eq=False)
class WithText:
    """Rows of robots, and of text at places of the dataset TEXT."""

    rows: Rows | None  # None: there is nothing but text
    text: TextFile

    def row(self, place: Place) -> Row:
        if place[0] == TEXT:
            return self.text.row(place[1])
        assert self.rows is not None
        return self.rows.row(place)


@dataclass(slots=True, eq=False)
class TextPlan:
    """A share of the draws goes to text, each line once before any comes twice; the rest to another plan."""

    plan: Plan | None
    lines: int
    share: float
    seed: int
    position: int = 0
    texts: int = 0  # draws that went to text

    def take(self, count: int) -> list[Place]:
        out: list[Place] = []
        for position in range(self.position, self.position + count):
            drawn = np.random.Generator(np.random.Philox(key=[self.seed, position])).random()
            if self.plan is None or drawn < self.share:
                epoch, offset = divmod(self.texts, self.lines)
                out.append((TEXT, shuffled(offset, self.lines, hash_of(self.seed, epoch)), 0))
                self.texts += 1
            else:
                out += self.plan.take(1)
        self.position += count
        return out

    def state(self) -> dict[str, Any]:
        inner = None if self.plan is None else self.plan.state()
        return {"position": self.position, "texts": self.texts, "robots": inner}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.position, self.texts = int(state["position"]), int(state["texts"])
        if self.plan is not None:
            self.plan.restore(state["robots"])


def hash_of(seed: int, epoch: int) -> int:
    """A key of the epoch's own."""
    return int(np.random.default_rng([seed, epoch]).integers(2**62))
