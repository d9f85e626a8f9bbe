"""A language model learns which of the things in a picture a task names, and where that is: chance is a third."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from train.learn.fresh import first_tensor
from train.learn.learner import Learner
from train.recipe.config import Run, Stage, Start
from train.see.find import Finder, Search
from train.see.questions import Questions
from train.see.teach import ALONE
from train.trainer.build import build, fill
from train.trainer.files import Template, spec_of, template_of

THINGS = ("red cube", "green cube", "blue cube")
TASKS = ("reach the {}", "push the {} to the left", "grab the {} and lift it")
PICTURES, CELLS, WIDTH = 1500, 5, 64


def small() -> Template:
    """The sim preset, narrower: what is learned here is not how well, but whether words find things."""
    template = template_of(Start(preset="sim"), Run(), 0)
    config = json.loads(json.dumps(template.config))
    config["text_config"] |= {"hidden_size": WIDTH, "head_dim": 16, "intermediate_size": 2 * WIDTH}
    config["adapter_config"]["text_hidden_size"] = WIDTH
    return Template(config, template.files)


def made(template: Template, folder: Path) -> Finder:
    """Features say the colour that stands in a cell, and each cell's own place; one picture a question."""
    rng = np.random.default_rng(0)
    cells, colours = (rng.normal(0.0, 1.0, (count, WIDTH)) for count in (CELLS * CELLS, len(THINGS)))
    features = np.repeat(cells[None], PICTURES, 0)
    cell = np.stack([rng.permutation(CELLS * CELLS)[: len(THINGS)] for _ in range(PICTURES)])
    for picture, where in enumerate(cell):
        features[picture, where] += 4.0 * colours
    of_question = np.repeat(np.arange(PICTURES), len(THINGS))
    things = tuple(THINGS) * PICTURES
    tasks = tuple(TASKS[int(rng.integers(len(TASKS)))].format(thing) for thing in things)
    flat = cell.reshape(-1, 1)
    place = np.stack([(flat % CELLS + 0.5) / CELLS, (flat // CELLS + 0.5) / CELLS], -1).astype(np.float32)
    questions = Questions(tasks, things, of_question[:, None], flat, place)
    learner: Learner = build(template.model, Stage(), (2, 2), ALONE, recompute=False)
    fill(learner, lambda name, shape: first_tensor(name, shape, template.model, template.config, 0))
    spec, tokenizer = spec_of(template, folder, ALONE)
    finder = Finder.open(learner, np.zeros((1, 140, 140, 3), np.uint8), questions, spec, tokenizer)
    finder.features = torch.from_numpy(features).to(torch.bfloat16)
    return finder


def test_words_find_their_things(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    finder = made(small(), tmp_path)
    held = 40 * len(THINGS)
    begun = finder.teach(Search(1, 32, 5e-3, bf16=False), held, lambda *_: None)
    found = finder.teach(Search(240, 32, 5e-3, bf16=False), held, lambda *_: None)
    assert begun.cells[0] < 0.2 and found.cells[0] > 0.5  # who sees the things and not the words is right in a third
    assert found.place < 0.7 * begun.place
