"""OpenFAST: a chunk of actions as a few tokens and back, as the released tokenizer does it.

Takes normalized actions [H, D], gives token ids 0..; a cosine transform along time, coefficients times `scale`
rounded to whole numbers, one character for each (time first, as they lie in the array), byte-level pair encoding.
Where the released code gives a chunk of zeros for tokens that do not decode, this raises: on an arm that takes joint
positions, zeros are a command to move. Knows nothing of a model's ids, statistics or robots.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tokenizers import Tokenizer

from policy_spec.errors import AnswerError, CheckpointError, SpecError, sentence

Float64 = NDArray[np.float64]
Coefficients = NDArray[np.int64]

CONFIG_FILE, TOKENIZER_FILE, WORDS_FILE = "processor_config.json", "tokenizer.json", "tokenizer_config.json"
_DEFAULTS = {"scale": 10, "vocab_size": 1024, "min_token": 0}  # the released class's own, where the file is silent
_DO = "fetch or fit the tokenizer again (armside fast fit)"


@functools.cache
def cosines(steps: int) -> Float64:
    """[steps, steps] the orthonormal DCT-II: row k times a signal is its k-th coefficient. Its transpose undoes it."""
    k, t = np.arange(steps)[:, None], np.arange(steps)[None, :]
    rows: Float64 = np.sqrt(2.0 / steps) * np.cos(np.pi * k * (2 * t + 1) / (2 * steps))
    rows[0] /= np.sqrt(2.0)
    rows.setflags(write=False)
    return rows


def coefficients(chunk: ArrayLike, scale: float) -> Coefficients:
    """Normalized actions [..., H, D] to whole DCT coefficients of the same shape. Raises SpecError on what is not
    finite.
    """
    values = np.asarray(chunk, np.float64)
    if values.ndim < 2 or not np.isfinite(values).all():
        got = f"shape {list(values.shape)}" if values.ndim < 2 else "numbers that are not finite"
        raise SpecError(sentence("chunk to tokenize", expected="finite actions [H, D]", got=got))
    return np.rint(cosines(values.shape[-2]) @ values * scale).astype(np.int64)


def text_of(whole: Coefficients, min_token: int) -> str:
    """Coefficients [H, D] as the characters that are tokenized; what lies below the smallest becomes the smallest."""
    return "".join(map(chr, np.maximum(whole.reshape(-1) - min_token, 0).tolist()))


@dataclass(frozen=True, slots=True, eq=False)
class FastTokenizer:
    """One fitted tokenizer. `action_dim` and `horizon` are what it was fitted on: a policy's own sizes decide."""

    backend: Tokenizer
    scale: float
    vocab_size: int  # codes that were asked for; the tokenizer may have learned fewer
    min_token: int  # the smallest coefficient, character 0
    action_dim: int | None = None
    horizon: int | None = None
    size: int = field(init=False)  # ids 0..size-1 are tokens

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", max(self.backend.get_vocab().values()) + 1)

    @classmethod
    def open(cls, folder: Path | str) -> FastTokenizer:
        """Reads a folder in the released format. Raises CheckpointError naming the file."""
        root = Path(folder)
        facts = {**_DEFAULTS, **_facts(root / CONFIG_FILE)}
        file = root / TOKENIZER_FILE
        if not file.is_file():
            raise CheckpointError(sentence(f"{file} is missing", expected="a FAST tokenizer's folder", do=_DO))
        try:
            backend = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises a bare Exception
            raise CheckpointError(sentence(f"{file} cannot be read", got=error, do=_DO)) from error
        scale = _number(facts, "scale", root)
        if not scale > 0:
            raise CheckpointError(sentence(f"{root / CONFIG_FILE}: scale", expected="above 0", got=scale, do=_DO))
        sizes = [None if facts.get(key) is None else int(_number(facts, key, root)) for key in _SIZES]
        counts = (int(_number(facts, key, root)) for key in ("vocab_size", "min_token"))
        return cls(backend, scale, *counts, *sizes)

    def encode(self, chunk: ArrayLike) -> list[int]:
        """Normalized actions [H, D] to token ids. Coefficients below the fitted range are cut to it, as released; for
        those above there are no tokens, and where the released code leaves them out, this raises SpecError.
        """
        text = text_of(coefficients(chunk, self.scale), self.min_token)
        ids: list[int] = self.backend.encode(text).ids
        if self.backend.decode(ids) != text:
            raise SpecError(
                sentence(
                    "a chunk cannot be told in this FAST tokenizer's codes",
                    expected="coefficients within the range that it was fitted on",
                    got=f"one of {ord(max(text)) + self.min_token}",
                    do="normalize the actions as for the fit, or fit a tokenizer to this data (armside fast fit)",
                )
            )
        return ids

    def decode(self, tokens: Sequence[int], horizon: int, dims: int) -> Float64:
        """Token ids to normalized actions [horizon, dims]. Raises AnswerError where they do not make such a chunk."""
        whole = self.read(tokens)
        if len(whole) != horizon * dims:
            raise AnswerError(
                sentence(
                    f"the answer's {len(tokens)} action tokens do not make a chunk",
                    expected=f"{horizon * dims} coefficients ({horizon} steps of {dims} dimensions)",
                    got=f"{len(whole)} coefficients",
                    do="the arm must hold; a policy and a FAST tokenizer that belong together do this rarely",
                )
            )
        chunk: Float64 = cosines(horizon).T @ (whole.reshape(horizon, dims) / self.scale)
        return chunk

    def read(self, tokens: Sequence[int]) -> Coefficients:
        """Token ids to coefficients [n], how many there may be. Raises AnswerError on what no chunk can give."""
        unknown = [token for token in tokens if not 0 <= token < self.size]
        if unknown:
            raise AnswerError(
                sentence(
                    f"{len(unknown)} of the answer's {len(tokens)} action tokens are none of the FAST tokenizer's",
                    expected=f"0 to {self.size - 1}",
                    got=unknown[0],
                    do="use the FAST tokenizer that the policy was trained with",
                )
            )
        letters = np.array([ord(letter) for letter in self.backend.decode(list(tokens))], np.int64)
        # Half a character (tokens are made of bytes) reads as U+FFFD, and no fit has a range wider than its codes.
        if letters.size and letters.max() > self.vocab_size:
            worst = int(letters.argmax())
            raise AnswerError(
                sentence(
                    f"the answer's {len(tokens)} action tokens hold a coefficient that no chunk has",
                    expected=f"{self.min_token} to {self.vocab_size + self.min_token}",
                    got=f"{letters[worst] + self.min_token} as number {worst} of {len(letters)}",
                    do="the arm must hold; the answer is damaged",
                )
            )
        return letters + self.min_token

    def letters(self) -> NDArray[np.int64]:
        """[size] characters that begin in each token: a chunk's tokens sum to its number of coefficients."""
        counts = np.zeros(self.size, np.int64)
        inner = frozenset(byte_letters()[0x80:0xC0])  # bytes that go on with a character
        for token, number in self.backend.get_vocab().items():
            counts[number] = sum(letter not in inner for letter in token)
        return counts

    def config(self) -> dict[str, Any]:
        """What the released format's processor_config.json says."""
        scale = int(self.scale) if float(self.scale).is_integer() else self.scale
        sizes = {"action_dim": self.action_dim, "time_horizon": self.horizon}
        return {"scale": scale, "vocab_size": self.vocab_size, "min_token": self.min_token, **sizes}


_SIZES = ("action_dim", "time_horizon")


@functools.cache
def byte_letters() -> tuple[str, ...]:
    """[256] byte-level encoding's character for each byte: printable Latin-1 is itself, the rest counts from 256."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    rest = iter(range(256, 512))
    return tuple(chr(byte) if byte in plain else chr(next(rest)) for byte in range(256))


def _facts(file: Path) -> dict[str, Any]:
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointError(sentence(f"{file} cannot be read", expected="JSON", got=error, do=_DO)) from error
    if not isinstance(facts, dict):
        raise CheckpointError(sentence(f"{file}", expected="a JSON object", got=type(facts).__name__, do=_DO))
    return facts


def _number(facts: dict[str, Any], key: str, root: Path) -> float:
    value = facts[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise CheckpointError(sentence(f"{root / CONFIG_FILE}: {key}", expected="a number", got=repr(value), do=_DO))
    return float(value)
