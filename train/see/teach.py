"""Teaches a new checkpoint to see, image encoder and connector first, then the language model; writes it as released.

Takes a preset or checkpoint and a points.jsonl. The rest of the checkpoint keeps its first values. The released model
had seen the web's pictures before it met a robot; one that begins with nothing learns from motions alone too slowly.
Minutes on one core; stopped early, what has been learned is what is written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from policy_spec.errors import UsageError, sentence
from policy_spec.image import as_rgb, resize_uint8
from train.checkpoint import Checkpoint
from train.data.collate import cut
from train.learn.fresh import first_tensor
from train.learn.learner import Learner
from train.recipe.config import Run, Stage, Start
from train.see.find import Finder, Found, Search
from train.see.find import Told as ToldFound
from train.see.head import Marks, Reading
from train.see.labels import Seen, read_points
from train.see.questions import read_questions
from train.see.steps import Pace, learn
from train.trainer.build import build, fill
from train.trainer.files import Template, spec_of, template_of, write_weights
from train.trainer.save import released
from train.trainer.world import World

HELD_OUT = 0.03  # of the pictures and questions: never learned from, only looked at
WARMUP = 100  # steps

ALONE = World(0, 1, torch.device("cpu"), None)

Told = Callable[[int, int, Marks], None]  # step, steps, marks of its batch


@dataclass(frozen=True, slots=True)
class Lesson:
    """How it is taught."""

    points: Path
    start: Start
    steps: int = 3000
    batch: int = 64  # pictures
    rate: float = 2e-3
    seed: int = 0
    bf16: bool = True


@dataclass(slots=True, eq=False)
class School:
    """A learner, what it looks at, and the pictures in memory. Raises CheckpointError, DatasetError, UsageError."""

    lesson: Lesson
    template: Template
    seen: Seen
    pictures: np.ndarray  # uint8 [N, h, w, 3]

    @classmethod
    def open(cls, lesson: Lesson) -> School:
        """Reads all pictures."""
        template = template_of(lesson.start, Run(), lesson.seed)
        side = template.model.vit.grid[0]
        size = (side * template.model.vit.patch_size, template.model.vit.grid[1] * template.model.vit.patch_size)
        seen = read_points(lesson.points, side // 2)
        if len(seen.files) < 2 * lesson.batch:
            raise UsageError(sentence("pictures", expected=f"at least {2 * lesson.batch}", got=len(seen.files)))
        pictures = np.empty((len(seen.files), *size, 3), np.uint8)
        for row, file in enumerate(seen.files):
            with Image.open(file) as image:
                pictures[row] = resize_uint8(as_rgb(np.asarray(image.convert("RGB"))), size)
        return cls(lesson, template, seen, pictures)

    def begin(self) -> Learner:
        """The learner with its first values."""
        learner = build(self.template.model, Stage(), (2, 2), ALONE, recompute=False)
        fill(learner, self._source())
        return learner

    def find(
        self, learner: Learner, search: Search, told: ToldFound, stop: Callable[[], bool] = lambda: False
    ) -> Found:
        """Teaches the language model to find what tasks name; how well it does on held-out questions."""
        numbers = {file: number for number, file in enumerate(self.seen.files)}
        questions = read_questions(self.lesson.points, self.template.model.vit.grid[0] // 2, numbers)
        held = max(1, round(HELD_OUT * len(questions.tasks)))
        with tempfile.TemporaryDirectory() as folder:
            spec, tokenizer = spec_of(self.template, Path(folder), ALONE)
            finder = Finder.open(learner, self.pictures, questions, spec, tokenizer)
        return finder.teach(search, held, told, stop)

    def see(self, learner: Learner, told: Told, stop: Callable[[], bool] = lambda: False) -> Marks:
        """Teaches the image encoder; how well it sees held-out pictures. `stop` ends it early."""
        lesson, config, model = self.lesson, self.template.model, learner.model
        torch.manual_seed(lesson.seed)
        reading = Reading(config.text.hidden_size, len(self.seen.words), config.vit.grid[0] // 2)
        parameters = [*model.model.vision_backbone.parameters(), *reading.parameters()]
        held = max(lesson.batch, round(HELD_OUT * len(self.pictures)))
        rng = np.random.default_rng(lesson.seed)

        def look(rows: np.ndarray) -> tuple[Tensor, Marks]:
            patches = cut(torch.from_numpy(self.pictures[rows]), config.vit.patch_size)
            with torch.autocast("cpu", torch.bfloat16, enabled=lesson.bf16):
                features = model.vision(patches, learner.pooling)  # type: ignore[arg-type]  # a buffer
            labels = (torch.from_numpy(part[rows]) for part in (self.seen.there, self.seen.place, self.seen.known))
            marks: tuple[Tensor, Marks] = reading(features.unflatten(0, (len(rows), -1)), *labels)
            return marks

        pace = Pace(lesson.steps, lesson.rate, WARMUP)
        learn(parameters, pace, lambda: look(rng.integers(0, len(self.pictures) - held, lesson.batch)), told, stop)
        with torch.no_grad():
            return look(np.arange(len(self.pictures) - held, len(self.pictures)))[1]

    def write(self, model: torch.nn.Module, folder: Path) -> None:
        """The checkpoint, whole or not at all. Raises UsageError where the folder is taken."""
        if folder.exists():
            raise UsageError(sentence(f"{folder} exists", expected="a new folder"))
        half = folder.with_name(f".{folder.name}.half")
        half.mkdir(parents=True, exist_ok=True)
        self.template.write(half)
        write_weights(half, self.template, lambda name: released(model, name))
        half.rename(folder)

    def _source(self) -> Callable[[str, tuple[int, ...]], Tensor]:
        if self.lesson.start.checkpoint:
            checkpoint = Checkpoint(Path(self.lesson.start.checkpoint))
            checkpoint.check()
            return lambda name, shape: checkpoint.tensor(name).float()
        template, seed = self.template, self.lesson.seed
        return lambda name, shape: first_tensor(name, shape, template.model, template.config, seed)
