"""The learning rate of a lesson in seeing: a rise, then a cosine."""

from __future__ import annotations

import math

LAST = 0.05  # of the highest rate, at the end


def schedule(step: int, steps: int, warmup: int) -> float:
    """Of the highest rate: a rise over `warmup` steps, then a cosine that falls to LAST of it."""
    rise = min(1.0, (step + 1) / min(warmup, steps))
    return rise * (LAST + (1.0 - LAST) * 0.5 * (1.0 + math.cos(math.pi * step / steps)))
