"""Teaches a language model to find what a task names: at the name's last word, where the thing is in each picture.

An image encoder that sees stays as it is; the language model reads the prompt of an errand up to the name, and what the
action expert will attend to there (the values of the later layers, and the last hidden state) has to say by a linear
reading, which is thrown away, in which cell of each picture the thing is, and where exactly. From motions alone a model
that begins with nothing does not learn this link on a CPU. Takes a learner and questions; knows nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policy_spec import masks
from policy_spec.prompt import PromptParts, Tokenizer, expand_images, normalize_task, prompt_text
from policy_spec.spec import PolicySpec
from train.data.collate import cut
from train.learn.learner import Learner
from train.see.questions import Questions
from train.see.steps import Pace, learn

FIRST_LAYER = 2  # whose values are read: before it no layer can have seen name and picture
PLACE = 4.0  # weight of the distance, in parts of a picture, beside the cell's entropy in nats
WARMUP = 50  # steps
LOOKED = 64  # pictures at once


@dataclass(frozen=True, slots=True)
class Found:
    """How well a batch is found."""

    cells: tuple[float, ...]  # of each camera: share of the things whose cell is said, or that they are not seen
    place: float  # parts of the picture, mean distance along an axis of what is seen


Told = Callable[[int, int, Found], None]


@dataclass(frozen=True, slots=True)
class Search:
    """How it is taught."""

    steps: int = 1500
    batch: int = 64  # questions
    rate: float = 1e-3
    seed: int = 0
    bf16: bool = True


class Places(nn.Module):
    """Linear readings of several vectors at once: a cell and a place for each camera."""

    def __init__(self, widths: list[int], cameras: int, cells: int) -> None:
        super().__init__()
        self.shape = (cameras, cells * cells + 3)
        self.linear = nn.ModuleList(nn.Linear(width, math.prod(self.shape)) for width in widths)

    def forward(self, vectors: list[Tensor], cell: Tensor, place: Tensor) -> tuple[Tensor, Found]:
        """vectors [B, width] each, cell [B, C], place [B, C, 2]. The loss [], and how well the last vector finds."""
        known = (cell < self.shape[1] - 3)[..., None]
        loss = torch.zeros(())
        for linear, vector in zip(self.linear, vectors, strict=True):
            read = linear(F.rms_norm(vector.float(), vector.shape[-1:])).unflatten(-1, self.shape)
            logits, at = read.split([self.shape[1] - 2, 2], dim=-1)
            far = ((at + 0.5 - place).abs() * known).sum() / (2 * known.sum()).clamp(min=1)
            loss = loss + F.cross_entropy(logits.flatten(0, 1), cell.flatten()) + PLACE * far
        right = (logits.argmax(-1) == cell).float().mean(0)
        return loss / len(vectors), Found(tuple(right.tolist()), float(far.detach()))


@dataclass(slots=True, eq=False)
class Finder:
    """A learner whose image encoder sees, the features of all pictures, and the prompts."""

    learner: Learner
    features: Tensor  # bf16 [pictures, tokens, hidden]
    questions: Questions
    ids: tuple[np.ndarray, ...]  # of each question, up to the name's last token
    image_ids: frozenset[int]

    @classmethod
    def open(
        cls, learner: Learner, pictures: np.ndarray, questions: Questions, spec: PolicySpec, tokenizer: Tokenizer
    ) -> Finder:
        """Looks at all pictures, uint8 [N, h, w, 3]."""
        patch, parts = learner.model.config.vit.patch_size, []
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            for start in range(0, len(pictures), LOOKED):
                shown = cut(torch.from_numpy(pictures[start : start + LOOKED]), patch)
                features = learner.model.vision(shown, learner.pooling)  # type: ignore[arg-type]  # a buffer
                parts.append(features.unflatten(0, (len(shown), -1)).to(torch.bfloat16))
        cameras = questions.pictures.shape[1]
        pairs = zip(questions.tasks, questions.things, strict=True)
        ids = tuple(named(task, thing, cameras, spec, tokenizer) for task, thing in pairs)
        return cls(learner, torch.cat(parts), questions, ids, frozenset(spec.image_ids))

    def teach(self, search: Search, held: int, told: Told, stop: Callable[[], bool] = lambda: False) -> Found:
        """Learns from all but the last `held` questions; how well it finds the things of those."""
        body, questions = self.learner.model.model.transformer, self.questions
        torch.manual_seed(search.seed)
        cells = math.isqrt(self.features.shape[1])
        with torch.no_grad():
            widths = [vector.shape[-1] for vector in self.vectors(np.arange(1))]
        places = Places(widths, questions.cell.shape[1], cells)
        parameters = [*body.parameters(), *places.parameters()]
        rng = np.random.default_rng(search.seed)

        def look(rows: np.ndarray) -> tuple[Tensor, Found]:
            with torch.autocast("cpu", torch.bfloat16, enabled=search.bf16):
                vectors = self.vectors(rows)
            cell, place = (torch.from_numpy(part[rows]) for part in (questions.cell, questions.place))
            answer: tuple[Tensor, Found] = places(vectors, cell, place)
            return answer

        pace = Pace(search.steps, search.rate, WARMUP)
        learn(parameters, pace, lambda: look(rng.integers(0, len(self.ids) - held, search.batch)), told, stop)
        with torch.no_grad():
            return look(np.arange(len(self.ids) - held, len(self.ids)))[1]

    def vectors(self, rows: np.ndarray) -> list[Tensor]:
        """What is read, [B, width] each, at the last token of each question's name."""
        chosen = [self.ids[row] for row in rows]
        length = max(map(len, chosen))
        ids = np.stack([np.pad(one, (0, length - len(one)), mode="edge") for one in chosen])  # later words are not seen
        features = self.features[torch.from_numpy(self.questions.pictures[rows])].flatten(0, 2)
        types = torch.from_numpy(masks.token_type(ids, self.image_ids))
        hidden, kv = self.learner.model.llm(torch.from_numpy(ids), features, types)
        last = torch.tensor([len(one) - 1 for one in chosen])
        at = torch.arange(len(rows))
        return [value[at, :, last].flatten(1) for _, value in kv[FIRST_LAYER:]] + [hidden[at, last]]


def named(task: str, thing: str, cameras: int, spec: PolicySpec, tokenizer: Tokenizer) -> np.ndarray:
    """Tokens of an errand's prompt, of the spec's first tag, up to the last one of `thing`."""
    tag = next(iter(spec.tags.values()))
    words = normalize_task(task)
    text = prompt_text(PromptParts(words, tag.setup_type, tag.control_mode, (), cameras), spec.flags)
    end = text.index(words) + words.rindex(thing) + len(thing)
    return tokenizer.encode(expand_images(text[:end], spec.flags, cameras))
