"""Fits a FAST tokenizer to chunks of actions, and writes it in the released format, whole or not at all.

Takes normalized chunks [N, H, D]; gives a FastTokenizer. The same chunks in the same order give the same file, byte for
byte (the trainer of the `tokenizers` library depends on nothing else), and the released code's file wherever every
coefficient of the range occurs. Knows nothing of datasets, statistics or robots; what else is to lie beside the
tokenizer is given as JSON files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import ByteLevelBPETokenizer
from tokenizers.trainers import BpeTrainer

from policy_spec.errors import SpecError, sentence
from policy_spec.fast import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    WORDS_FILE,
    Coefficients,
    FastTokenizer,
    byte_letters,
    coefficients,
    text_of,
)

CODES, SCALE, DIMS = 2048, 10.0, 32  # of the released tokenizer
MAX_TOKEN_LETTERS = 10000
_PIECE = 1024  # chunks transformed at once
_WORDS = {
    "backend": "tokenizers",
    "clean_up_tokenization_spaces": False,
    "model_max_length": 1000000000000000019884624838656,  # the released format's word for "no limit"
    "tokenizer_class": "PreTrainedTokenizerFast",
}

Progress = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to fit. Raises SpecError on what makes no tokenizer."""

    codes: int = CODES
    scale: float = SCALE
    dims: int = DIMS  # chunks are padded with zeros to so many dimensions; 0: not padded

    def __post_init__(self) -> None:
        for what, value, least in (("codes", self.codes, 2), ("dims", self.dims, 0)):
            if value < least:
                raise SpecError(sentence(f"FAST {what}", expected=f"at least {least}", got=value))
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise SpecError(sentence("FAST scale", expected="above 0", got=self.scale))


def padded(chunks: NDArray[Any], dims: int) -> NDArray[Any]:
    """Chunks [N, H, D] with zeros up to `dims` dimensions; 0: as they are. Raises SpecError on more than that."""
    missing = dims - chunks.shape[2]
    if dims and missing < 0:
        raise SpecError(
            sentence("dimensions of the actions", expected=f"at most {dims}", got=chunks.shape[2], do="use more dims")
        )
    return np.pad(chunks, ((0, 0), (0, 0), (0, missing))) if dims and missing else chunks


def fit(chunks: NDArray[Any], options: FitOptions, progress: Progress = lambda *_: None) -> FastTokenizer:
    """Fits to normalized chunks [N, H, D]. Raises SpecError: none, not finite, a wider range than there are codes."""
    if chunks.ndim != 3 or 0 in chunks.shape:
        raise SpecError(sentence("chunks to fit", expected="at least one, [N, H, D]", got=list(chunks.shape)))
    wide = padded(chunks, options.dims)
    whole = np.concatenate(list(_transformed(wide, options.scale, progress)))
    least, most = int(whole.min()), int(whole.max())
    if most - least > options.codes:
        raise SpecError(
            sentence(
                "range of the coefficients",
                expected=f"at most {options.codes}, the number of codes",
                got=f"{most - least} ({least} to {most})",
                do="normalize the actions (no --normalized), use a smaller scale or more codes",
            )
        )
    bpe = ByteLevelBPETokenizer()
    trainer = BpeTrainer(
        vocab_size=options.codes,
        min_frequency=2,
        show_progress=False,
        special_tokens=[],
        initial_alphabet=_alphabet(most - least + 1),
        max_token_length=MAX_TOKEN_LETTERS,
    )
    progress("merging", 0, 0)
    bpe._tokenizer.train_from_iterator(_texts(whole, least), trainer=trainer, length=len(whole))
    return FastTokenizer(bpe._tokenizer, options.scale, options.codes, least, wide.shape[2], wide.shape[1])


def save(tokenizer: FastTokenizer, folder: Path, others: Mapping[str, Any], overwrite: bool = False) -> None:
    """Writes the folder in the released format, `others` (name -> JSON) beside it. Raises SpecError where it is taken
    (refuse_taken); OSError.
    """
    refuse_taken(folder, overwrite)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        (partial / TOKENIZER_FILE).write_text(tokenizer.backend.to_str(pretty=True), encoding="utf-8")
        for name, value in {CONFIG_FILE: tokenizer.config(), WORDS_FILE: _WORDS, **others}.items():
            text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            (partial / name).write_text(text, encoding="utf-8")
        _put(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # gone already when it was renamed


def refuse_taken(folder: Path, overwrite: bool) -> None:
    """Raises SpecError where something is in the way: anything, or, with overwrite, what is no tokenizer."""
    if not folder.exists():
        return
    if not overwrite:
        raise SpecError(sentence(f"{folder} exists", expected="a new folder", do="choose another, or say --overwrite"))
    if not folder.is_dir() or (any(folder.iterdir()) and not is_tokenizer(folder)):
        expected = f"min_token in its {CONFIG_FILE}"  # a checkpoint has a file of that name, too
        raise SpecError(sentence(f"{folder} is no FAST tokenizer", expected=expected, do="remove it yourself"))


def is_tokenizer(folder: Path) -> bool:
    """Whether a folder is a FAST tokenizer's."""
    try:
        return "min_token" in json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def _put(partial: Path, folder: Path) -> None:
    """The new folder in place of the old one, which comes back where that fails."""
    old = folder.with_name(f"{folder.name}.old-{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _transformed(chunks: NDArray[Any], scale: float, progress: Progress) -> Iterator[NDArray[np.int16]]:
    """Coefficients [n, H, D] a piece at a time, so that a million chunks fit."""
    for start in range(0, len(chunks), _PIECE):
        progress("cosine transform", start, len(chunks))
        piece = coefficients(chunks[start : start + _PIECE], scale)
        yield np.clip(piece, -32768, 32767).astype(np.int16)  # wider is refused right after


def _alphabet(count: int) -> list[str]:
    """The characters of the released fit, and those that stand for their bytes: it leaves the latter to the data, and
    then has no token for a coefficient that is within the range and did not occur.
    """
    plain = [chr(i) for i in range(count)]
    return plain + [byte_letters()[byte] for byte in sorted({*"".join(plain).encode()})]


def _texts(whole: NDArray[np.int16], least: int) -> Iterator[str]:
    for chunk in whole:
        one: Coefficients = chunk.astype(np.int64)
        yield text_of(one, least)
