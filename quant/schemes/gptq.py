"""GPTQ: rows are rounded one after the other, and what each loses is made up for by those that follow.

By the inverse of the activations' Gram matrix, through its Cholesky factor (Frantar et al. 2022). Scales are set
beforehand from the weight as trained, so rows may be taken in the order of their importance (activation order) without
being stored in another. float64 for the factor: the Gram matrix of a few hundred tokens is near singular.
"""

from __future__ import annotations

import numpy as np

from policy_spec.errors import QuantError, sentence
from quant.schemes.base import Quantize, Quantized
from quant.schemes.blocks import clipped_scale, in_blocks
from quant.statistics import ProductStats

DAMPING = 0.01  # of the mean of the Gram matrix's diagonal
_BLOCK = 128  # rows that are corrected at once


def quantize_gptq(group: int) -> Quantize:
    """INT4 in groups of `group` rows. Raises QuantError without a Gram matrix."""

    def quantize(weight: np.ndarray, stats: ProductStats | None = None, /) -> Quantized:
        if stats is None or stats.gram is None:
            raise QuantError(
                sentence(
                    "GPTQ needs the Gram matrix of the activations",
                    got="no statistics" if stats is None else "statistics without it",
                    do="collect statistics with gram=True",
                )
            )
        scale = clipped_scale(in_blocks(weight, group), stats.mean_square)
        order = np.argsort(-np.diag(stats.gram), kind="stable")
        upper = inverse_factor(stats.gram[np.ix_(order, order)])
        values = np.empty(weight.shape, dtype=np.int8)
        values[order] = compensated(weight[order], scale[order // group], upper)
        return Quantized(values, scale, group)

    return quantize


def inverse_factor(gram: np.ndarray) -> np.ndarray:
    """Upper triangular U, float32, with U^T U = inverse of the damped Gram matrix."""
    damped = gram + np.eye(len(gram)) * max(DAMPING * float(np.diag(gram).mean()), 1e-12)
    return np.linalg.cholesky(np.linalg.inv(damped)).T.astype(np.float32)


def compensated(weight: np.ndarray, scale: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Integers [K, N], -8 to 7. scale: of each element's group, [K, N]; upper: of `inverse_factor`."""
    left = weight.astype(np.float32).copy()
    values = np.empty(weight.shape, dtype=np.int8)
    for start in range(0, len(left), _BLOCK):
        stop = min(start + _BLOCK, len(left))
        errors = np.empty((stop - start, left.shape[1]), dtype=np.float32)
        for row in range(start, stop):
            rounded = np.clip(np.rint(left[row] / scale[row]), -8, 7)
            values[row] = rounded
            error = (left[row] - rounded * scale[row]) / upper[row, row]
            left[row + 1 : stop] -= np.outer(upper[row, row + 1 : stop], error)
            errors[row - start] = error
        left[stop:] -= upper[start:stop, stop:].T @ errors
    return values
