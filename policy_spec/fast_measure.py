"""What a FAST tokenizer loses and saves on chunks of actions.

Takes a tokenizer and normalized chunks, gives errors, tokens and bytes. Knows nothing of datasets or units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_spec.errors import SpecError
from policy_spec.fast import FastTokenizer, coefficients
from policy_spec.graphs import FAST_TOKENS


@dataclass(frozen=True, slots=True, eq=False)
class RoundTrip:
    """Chunks encoded and decoded again."""

    errors: NDArray[np.float64]  # [n, H, D] absolute, normalized, of the chunks that could be told
    tokens: NDArray[np.int64]  # [n] of each of them
    lost: int  # chunks that could not: coefficients above the fitted range
    cut: int  # coefficients below the fitted range: they are cut to it, and their chunks come back wrong
    code_bits: float  # of one token
    most: int  # tokens of an answer that a policy may give, its rims included

    @property
    def raw_bytes(self) -> int:
        """Of one chunk in float32."""
        return 4 * int(np.prod(self.errors.shape[1:]))

    @property
    def coded_bytes(self) -> float:
        """Of one chunk's tokens, on average."""
        return float(self.tokens.mean()) * self.code_bits / 8

    @property
    def too_long(self) -> int:
        """Chunks whose tokens, with start, end and eos, are more than a policy may answer with."""
        return int((self.tokens + 3 > self.most).sum())


def round_trip(
    tokenizer: FastTokenizer, chunks: NDArray[Any], progress: Callable[[str, int, int], None] = lambda *_: None
) -> RoundTrip:
    """Every chunk of [N, H, D] there and back. Raises SpecError where not one can be told."""
    errors, tokens = list[NDArray[np.float64]](), list[int]()
    cut, (horizon, dims) = 0, chunks.shape[1:]
    for index, chunk in enumerate(chunks):
        progress("round trip", index, len(chunks))
        cut += int((coefficients(chunk, tokenizer.scale) < tokenizer.min_token).sum())
        try:
            codes = tokenizer.encode(chunk)
        except SpecError:
            if index == len(chunks) - 1 and not errors:
                raise
            continue
        tokens.append(len(codes))
        errors.append(np.abs(tokenizer.decode(codes, horizon, dims) - chunk))
    return RoundTrip(
        errors=np.stack(errors),
        tokens=np.array(tokens, np.int64),
        lost=len(chunks) - len(errors),
        cut=cut,
        code_bits=math.log2(tokenizer.vocab_size),
        most=FAST_TOKENS * horizon,
    )
