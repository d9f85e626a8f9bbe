"""The FAST tokenizer of a discrete bundle: asked for, opened, fitted to the checkpoint, copied into the bundle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from policy_spec.bundle import FAST_TOKENIZER
from policy_spec.errors import CheckpointError, UsageError, sentence
from policy_spec.fast import CONFIG_FILE, TOKENIZER_FILE, WORDS_FILE, FastTokenizer
from policy_spec.spec import PolicySpec

if TYPE_CHECKING:
    from armside.make_bundle import ExportOptions


def fast_files(options: ExportOptions) -> Path | None:
    """The folder that was given, opened once. Raises UsageError where the mode needs one or takes none,
    CheckpointError where it is none.
    """
    given, discrete = options.fast_tokenizer, options.graphs.mode == "discrete"
    if discrete and given is None:
        raise UsageError(
            sentence(
                "--mode discrete needs a FAST tokenizer",
                expected="--fast-tokenizer DIR, the one that the checkpoint was trained with",
                do="fetch it, such as allenai/MolmoAct2-FAST-Tokenizer, or see armside fast fit",
            )
        )
    if given is not None and not discrete:
        raise UsageError(
            sentence("--fast-tokenizer", expected="only with --mode discrete", got=f"mode {options.graphs.mode}")
        )
    if given is not None:
        FastTokenizer.open(given)
    return given


def copy_fast(folder: Path | None, checkpoint: Path, bundle: Path) -> None:
    """Copies it. Raises CheckpointError where it has more tokens than the checkpoint knows."""
    if folder is None:
        return
    spec, size = PolicySpec.from_checkpoint(checkpoint), FastTokenizer.open(folder).size
    if size > spec.action_tokens:
        raise CheckpointError(
            sentence(
                f"{folder}: the FAST tokenizer is not this checkpoint's",
                expected=f"at most {spec.action_tokens} tokens, as many as the checkpoint has for actions",
                got=size,
                do="give the one that it was trained with",
            )
        )
    (bundle / FAST_TOKENIZER).mkdir(exist_ok=True)  # an interrupted export may have left it
    for name in (CONFIG_FILE, TOKENIZER_FILE, WORDS_FILE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, bundle / FAST_TOKENIZER / name)
