"""AWQ: rows of the weight that meet large activations are made larger before rounding, so that they lose less.

factor = mean|x|^a, a searched by the error of the product on the sample (Lin et al. 2023); then each group's range is
clipped where that loses less, weighted by the activations. The activation is divided by the factor.
"""

from __future__ import annotations

import numpy as np

from policy_spec.errors import QuantError, sentence
from quant.schemes.base import TINY, Factor, Quantize, Quantized
from quant.schemes.blocks import clipped_scale, from_blocks, full_scale, in_blocks, round_blocks
from quant.schemes.smooth import spread
from quant.statistics import ProductStats

STRENGTHS = (0.0, 0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
ROWS = 64  # of the sample, for the search


def awq_factor(group: int) -> Factor:
    """The factor for INT4 in groups of `group` rows."""

    def factor(weight: np.ndarray, stats: ProductStats) -> np.ndarray:
        x = spread(stats.sample, ROWS)
        size = np.abs(stats.sample).mean(axis=0)
        size = np.where(size > TINY, size, 1.0)
        best = (np.inf, np.ones(len(weight), dtype=np.float32))
        for strength in STRENGTHS:
            tried = size**strength
            tried = (tried / np.sqrt(tried.max() * tried.min())).astype(np.float32)
            blocks = in_blocks(weight * tried[:, None], group)
            scale = full_scale(blocks)
            lost = (round_blocks(blocks, scale) * scale[:, None, :] - blocks).reshape(weight.shape)
            error = float(np.square((x / tried) @ lost).sum(dtype=np.float64))
            best = min(best, (error, tried), key=lambda pair: pair[0])
        return best[1]

    return factor


def quantize_clipped(group: int) -> Quantize:
    """Rounded to nearest, each group's range chosen by the activations."""

    def quantize(weight: np.ndarray, stats: ProductStats | None = None, /) -> Quantized:
        if stats is None:
            raise QuantError(sentence("AWQ needs statistics of the activations", do="give calibration episodes"))
        blocks = in_blocks(weight, group)
        return from_blocks(blocks, clipped_scale(blocks, stats.mean_square), group)

    return quantize
