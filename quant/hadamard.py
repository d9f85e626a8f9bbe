"""Hadamard rotations of any size that has one: a power of two times 1, 12 or 20.

Orthogonal matrices of equal magnitudes: what one channel holds is spread over all. Known to no graph.
"""

from __future__ import annotations

from functools import lru_cache, reduce

import numpy as np

from policy_spec.errors import QuantError, sentence

_PALEY = {12: 11, 20: 19}  # size: the prime below it, for Paley's construction


@lru_cache(maxsize=8)
def factors(size: int) -> tuple[np.ndarray, ...]:
    """Small orthogonal matrices whose Kronecker product, in this order, is the rotation. Raises QuantError where none
    is known.
    """
    for odd in (1, *_PALEY):
        power = size // odd
        if size % odd == 0 and power & (power - 1) == 0:
            half = 1 << (power.bit_length() // 2)
            parts = [_paley(_PALEY[odd])] if odd > 1 else []
            parts += [_sylvester(side) for side in (half, power // half) if side > 1]
            return tuple((part / np.sqrt(len(part))).astype(np.float32) for part in parts)
    raise QuantError(
        sentence(f"no Hadamard matrix of size {size}", expected="a power of two, or 12 or 20 times one", got=size)
    )


def rotation(size: int) -> np.ndarray:
    """The whole matrix, float32 [size, size], of entries +-1 / sqrt(size): the slow truth of `turned_columns`."""
    return reduce(np.kron, factors(size), np.ones((1, 1), dtype=np.float32))


def turned_columns(weight: np.ndarray, block: int = 0) -> np.ndarray:
    """What writes the rotated activation: W R (or a bias b R), in blocks of columns where asked; factor by factor."""
    parts = factors(block or weight.shape[-1])
    x = np.asarray(weight, dtype=np.float32).reshape(-1, *(len(part) for part in parts))
    for axis, part in enumerate(parts, start=1):
        x = np.moveaxis(np.tensordot(x, part, axes=(axis, 0)), -1, axis)
    return np.ascontiguousarray(x).reshape(weight.shape)


def turned_rows(weight: np.ndarray, block: int = 0) -> np.ndarray:
    """What reads the rotated activation: R^T W, in blocks of rows where asked."""
    return np.ascontiguousarray(turned_columns(np.ascontiguousarray(weight.T), block).T)


def _sylvester(size: int) -> np.ndarray:
    made = np.ones((1, 1))
    while len(made) < size:
        made = np.block([[made, made], [made, -made]])
    return made


def _paley(prime: int) -> np.ndarray:
    """Paley's first construction: size prime + 1, for a prime that is 3 mod 4."""
    squares = {value * value % prime for value in range(1, prime)}
    character = np.array([0] + [1 if value in squares else -1 for value in range(1, prime)])
    jacobsthal = np.array([[character[(column - row) % prime] for column in range(prime)] for row in range(prime)])
    skew = np.zeros((prime + 1, prime + 1))
    skew[0, 1:], skew[1:, 0], skew[1:, 1:] = 1, -1, jacobsthal
    return skew + np.eye(prime + 1)
