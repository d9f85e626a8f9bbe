"""Words and state to token ids: task text, state bins, the prompt of both styles, image tokens, tokenizer.

Takes text, normalized state and the checkpoint's flags; gives the exact ids that the released processor
gives. Every token is looked up by its text in the checkpoint's own tokenizer. Knows nothing of pictures'
contents or masks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tokenizers import Tokenizer as _Backend

from policy_spec.errors import CheckpointError, PromptError, sentence

IMAGE = "<|image|>"  # the placeholder of one picture in a prompt
VIDEO = "<|video|>"
STYLES = ("robot_action", "robot_depth_action")

_END_MARKS = ".,!?;:,…"
_CLOSERS = "\"'”’)]}"  # noqa: RUF001
_QUOTES = "\"'`“”‘’[](){}"  # noqa: RUF001
_OPENINGS = tuple(
    re.compile(words, re.IGNORECASE)
    for words in (
        r"^(?:(?:language[ _])?instruction|task|goal)\s*[-:]\s*",
        r"^(?:the|your)\s+task\s+is\s+to\s+",
    )
)
# style: the question, and the tokens that open the answer
_QUESTION = {
    "robot_action": (
        "Given these, what action should the robot take to complete the task?",
        "<action_output>",
    ),
    "robot_depth_action": (
        "Given these, first predict the depth map of the main image and then predict the action "
        "the robot should take to complete the task?",
        "<depth_output><action_output>",
    ),
}


def normalize_task(text: str) -> str:
    """A task as the policy was trained to read it: one line, lower case, without quotes or a final mark."""
    task = " ".join(re.split(r"\s+", text)).strip()
    before = None
    while task and task != before:  # stripping one layer may lay another bare
        before = task
        task = task.strip().strip(_QUOTES).strip()
        for opening in _OPENINGS:
            task = opening.sub("", task, count=1).strip()
        for marks in (_END_MARKS, _CLOSERS, _END_MARKS):
            task = task.rstrip(marks).rstrip()
    sentences = [part.strip() for part in re.split(r"[.!?]+", task) if part.strip()]
    return ("; ".join(sentences) if len(sentences) > 1 else task).lower()


def state_bins(normalized: ArrayLike, num_bins: int) -> NDArray[np.int64]:
    """Normalized state [D] to bins 0..num_bins-1: float32, half to even; NaN to the middle, infinities to the
    ends.
    """
    state = np.nan_to_num(np.asarray(normalized, np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    state = np.clip(state, np.float32(-1), np.float32(1))
    scaled = (state + np.float32(1)) / np.float32(2) * np.float32(num_bins - 1)
    bins: NDArray[np.int64] = np.clip(np.rint(scaled).astype(np.int64), 0, num_bins - 1)
    return bins


@dataclass(frozen=True, slots=True)
class PromptFlags:
    """Switches of the checkpoint that shape the text."""

    add_setup_tokens: bool
    add_control_tokens: bool
    num_state_tokens: int
    image_text: str  # what stands for one picture: its start, patch, column and end tokens


@dataclass(frozen=True, slots=True)
class PromptParts:
    """What one prompt says."""

    task: str  # normalized already
    setup_type: str
    control_mode: str
    bins: tuple[int, ...]  # of the state; empty: the prompt is silent about it
    num_images: int
    style: str = "robot_action"


def prompt_text(parts: PromptParts, flags: PromptFlags) -> str:
    """The text, with one placeholder per picture."""
    if parts.style not in _QUESTION:
        raise PromptError(sentence("prompt style", expected=f"one of {list(STYLES)}", got=repr(parts.style)))
    question, answer = _QUESTION[parts.style]
    state = "".join(f"<state_{i}>" for i in parts.bins)
    clauses = [
        f"The task is to {parts.task}.",
        f"The setup is {wrapped(parts.setup_type, 'setup', flags.add_setup_tokens)}.",
        f"The current state of the robot is <state_start>{state}<state_end>." if parts.bins else "",
        f"The expected control mode is {wrapped(parts.control_mode, 'control', flags.add_control_tokens)}.",
        question,
    ]
    body = " ".join(clause for clause in clauses if clause)
    pictures = (
        IMAGE if parts.num_images == 1 else "".join(f"Image {i + 1}{IMAGE}" for i in range(parts.num_images))
    )
    return f"{pictures}<|im_start|>user\n{body}<|im_end|>\n<|im_start|>assistant\n{answer}"


def wrapped(text: str, name: str, wanted: bool) -> str:
    """A setup or control mode between its tokens, where the checkpoint was trained so and it is not already."""
    opening, closing = f"<{name}_start>", f"<{name}_end>"
    done = text.startswith(opening) and text.endswith(closing)
    return f"{opening}{text}{closing}" if wanted and text and not done else text


def image_text(grid: tuple[int, int], columns: bool) -> str:
    """The tokens of one picture: start, a patch token for each pooled patch (a column token per row), end."""
    row = "<im_patch>" * grid[1] + ("<im_col>" if columns else "")
    return f"<im_start>{row * grid[0]}<im_end>"


def expand_images(text: str, flags: PromptFlags, num_images: int) -> str:
    """Puts the image tokens in place of the first `num_images` placeholders."""
    return text.replace(IMAGE, flags.image_text, num_images)


class Tokenizer:
    """The checkpoint's tokenizer.json, and the rule that a prompt begins with the begin-of-sequence token."""

    def __init__(self, backend: _Backend, bos_id: int) -> None:
        self._backend, self.bos_id = backend, bos_id
        self._added_ids = frozenset(backend.get_added_tokens_decoder())

    @classmethod
    def from_file(
        cls, path: Path | str, bos_id: int | None = None, bos_token: str | None = None
    ) -> Tokenizer:
        """Reads tokenizer.json; the begin token is given by id or by text. Raises CheckpointError."""
        try:
            backend = _Backend.from_file(str(path))
        except Exception as error:  # the library raises a bare Exception
            raise CheckpointError(
                sentence(f"{Path(path).name} cannot be read", got=error, do="fetch the checkpoint again")
            ) from error
        if bos_id is None:
            bos_id = None if bos_token is None else backend.token_to_id(bos_token)
        if bos_id is None:
            raise CheckpointError(
                sentence("tokenizer: begin token", expected="a token of it", got=repr(bos_token))
            )
        return cls(backend, bos_id)

    def id_of(self, token: str) -> int | None:
        """The id of one token by its text, None where the tokenizer has no such token."""
        found: int | None = self._backend.token_to_id(token)
        return found

    def token_of(self, token_id: int) -> str | None:
        """The text of one token."""
        found: str | None = self._backend.id_to_token(token_id)
        return found

    @property
    def size(self) -> int:
        """One more than the highest id."""
        return max(self._backend.get_vocab(with_added_tokens=True).values()) + 1

    def encode(self, text: str) -> NDArray[np.int64]:
        """Token ids [S] of a whole prompt; the begin token is put in front unless it is there already."""
        ids: list[int] = self._backend.encode(text).ids
        if not ids or ids[0] != self.bos_id:
            ids = [self.bos_id, *ids]
        return np.asarray(ids, np.int64)

    def count(self, text: str) -> int:
        """Tokens of a piece of text by itself."""
        return len(self._backend.encode(text, add_special_tokens=False).ids)

    def refuse_control_tokens(self, task: str) -> None:
        """Raises PromptError where a task spells a token that steers the model: a picture, a turn's end.

        The released processor would turn such text into the token itself: an extra `<|im_end|>` then hides or
        ends part of the prompt, an extra picture has no features.
        """
        ids = self._backend.encode(task, add_special_tokens=False).ids
        spelled = {str(self._backend.id_to_token(i)) for i in ids if i in self._added_ids}
        spelled |= {word for word in (IMAGE, VIDEO) if word in task}
        if spelled:
            raise PromptError(
                sentence(
                    "the task contains control tokens of the model",
                    expected="plain words",
                    got=", ".join(sorted(spelled)),
                    do="leave them out of the task",
                )
            )
