"""A row as the model is shown it: prompt and answer in tokens, pictures at the policy's size, chunk, noise and times.

Takes a Row, gives an Example in numpy. Prompts, state bins, normalization and the resize are policy_spec's: exactly
those of inference. All that is drawn comes from the generator that is given. Knows nothing of torch or batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from policy_spec import masks
from policy_spec.errors import DatasetError, sentence
from policy_spec.image import as_rgb, resize_uint8
from policy_spec.norm import NormTag
from policy_spec.prompt import (
    IMAGE,
    PromptParts,
    Tokenizer,
    expand_images,
    normalize_task,
    prompt_text,
    state_bins,
)
from policy_spec.spec import PolicySpec
from train.data.answers import Answer, Answers
from train.data.rows import Array, Row
from train.learn.noise import FlowTimes, draw_noise

IGNORED = -100
NO_ANSWER = Answer(np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One row of a batch, not padded."""

    ids: Array  # [n] int64
    labels: Array  # [n] int64, IGNORED where nothing is learned
    token_type: Array  # [n] bool: image tokens, or nothing where the mask is causal
    visible: Array  # [n] bool: what the expert may see
    images: Array  # [cameras, h, w, 3] uint8, at the policy's size
    actions: Array  # [H, A] float32 normalized
    step_is_pad: Array  # [H] bool
    dim_is_pad: Array  # [A] bool
    noise: Array  # [K, H, A] float32
    times: Array  # [K] float32
    present: bool  # has a chunk
    seed: int  # of its augmentation


@dataclass(frozen=True, slots=True, eq=False)
class Making:
    """What examples are made with: a policy, its words, and what a stage wants of them."""

    spec: PolicySpec
    tokenizer: Tokenizer
    answers: Answers
    samples: int  # K; 0: no flow is learned
    image_attention: str = "bidirectional"
    times: FlowTimes = field(default_factory=FlowTimes)
    tags: Mapping[str, NormTag] = field(init=False)
    horizon: int = field(init=False)  # of the longest tag

    def __post_init__(self) -> None:
        masks.check_image_attention(self.image_attention)
        object.__setattr__(self, "tags", self.spec.tags)
        object.__setattr__(self, "horizon", max(tag.horizon for tag in self.spec.tags.values()))

    def example(self, row: Row, rng: np.random.Generator) -> Example:
        """Raises DatasetError, ObservationError, PromptError on a row that cannot be."""
        if row.answer:
            prompt, answer = self._text(row)
            chunk = self._no_chunk()
        else:
            tag = self._tag(row)
            prompt = self._prompt(row, tag)
            chunk = self._chunk(row, tag)
            actions = chunk[0][: tag.horizon, : tag.action_dim]
            answer = self.answers.answer(row.depth, actions, rng)
        ids = np.concatenate([prompt, answer.fed])
        labels = np.concatenate([np.full(len(prompt), IGNORED, np.int64), answer.said])
        types = masks.token_type(ids, self.spec.image_ids)
        if self.image_attention == "causal":
            types = np.zeros_like(types)
        eos, span = self.spec.token_ids.get("eos"), self.spec.discrete_span
        width, size = self.spec.max_action_dim, self.spec.image_size
        images = [resize_uint8(as_rgb(image), size) for image in row.images]
        return Example(
            ids=ids,
            labels=labels,
            token_type=types,
            visible=masks.expert_mask(ids, self.spec.action_mode, eos, span),
            images=np.stack(images) if images else np.zeros((0, *size, 3), np.uint8),
            actions=chunk[0],
            step_is_pad=chunk[1],
            dim_is_pad=chunk[2],
            noise=draw_noise(rng, self.samples, self.horizon, width),
            times=self.times.draw(rng, self.samples),
            present=not row.answer,
            seed=int(rng.integers(2**62)),
        )

    def _tag(self, row: Row) -> NormTag:
        if row.tag not in self.tags:
            raise DatasetError(sentence("norm tag of a row", expected=f"one of {sorted(self.tags)}", got=repr(row.tag)))
        return self.tags[row.tag]

    def _prompt(self, row: Row, tag: NormTag) -> Array:
        spec = self.spec
        state = np.asarray(row.state, np.float32)
        if state.shape != (tag.state_dim,):
            raise DatasetError(sentence(f"state of tag {tag.tag!r}", expected=[tag.state_dim], got=list(state.shape)))
        bins = tuple(state_bins(tag.state.normalize(state), spec.flags.num_state_tokens).tolist())
        words = normalize_task(row.task)
        self.tokenizer.refuse_control_tokens(words)
        style = "robot_depth_action" if "depth" in self.answers.kind else "robot_action"
        parts = PromptParts(words, tag.setup_type, tag.control_mode, bins, len(row.images), style)
        return self.tokenizer.encode(expand_images(prompt_text(parts, spec.flags), spec.flags, len(row.images)))

    def _text(self, row: Row) -> tuple[Array, Answer]:
        """A question and its answer, as a turn of the language model's own."""
        pictures = IMAGE if len(row.images) == 1 else "".join(f"Image {i + 1}{IMAGE}" for i in range(len(row.images)))
        text = f"{pictures}<|im_start|>user\n{row.task}<|im_end|>\n<|im_start|>assistant\n"
        prompt = self.tokenizer.encode(expand_images(text, self.spec.flags, len(row.images)))
        both = self.tokenizer.encode(expand_images(text, self.spec.flags, len(row.images)) + row.answer + "<|im_end|>")
        return prompt, Answer(both[len(prompt) :], both[len(prompt) :])

    def _chunk(self, row: Row, tag: NormTag) -> tuple[Array, Array, Array]:
        actions, pad, dims = self._no_chunk()
        given = np.asarray(row.actions, np.float32)
        if given.shape != (tag.horizon, tag.action_dim):
            expected = [tag.horizon, tag.action_dim]
            raise DatasetError(sentence(f"chunk of tag {tag.tag!r}", expected=expected, got=list(given.shape)))
        actions[: tag.horizon, : tag.action_dim] = tag.action.normalize(given)
        pad[: tag.horizon] = False if row.step_is_pad is None else row.step_is_pad
        dims[: tag.action_dim] = False
        return actions, pad, dims

    def _no_chunk(self) -> tuple[Array, Array, Array]:
        width = self.spec.max_action_dim
        zeros = np.zeros((self.horizon, width), np.float32)
        return zeros, np.ones(self.horizon, np.bool_), np.ones(width, np.bool_)
