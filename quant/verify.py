"""A quantized policy against the full-precision one: whole actions, the only error a robot feels, and chosen tokens.

Takes chunks and logits; knows nothing of what ran them.
"""

from __future__ import annotations

import numpy as np

from policy_spec.compare import Row, cosine, max_abs, row

# precision -> (least cosine, most max|difference|) of the normalised chunk over the robot's dims; the first name that
# begins the precision's. What int4 loses is reported, not promised: its gate finds a bundle that is broken.
TOLERANCES: dict[str, tuple[float, float]] = {
    "fp32": (1.0 - 1e-6, 2e-4),
    "fp16": (0.99999, 5e-3),
    "bf16": (0.999, 0.2),
    "int8-fast": (0.999, 0.2),
    "int8": (0.9999, 0.05),
    "": (0.5, 2.0),
}
# precision -> (least share of tokens that are chosen alike, the most by which another one may lead).
CHOICES: dict[str, tuple[float, float]] = {
    "fp32": (1.0, 1e-3),
    "fp16": (0.95, 0.0),
    "bf16": (0.8, 0.0),
    "int8": (0.8, 0.0),
    "": (0.3, 0.0),
}


def _of(table: dict[str, tuple[float, float]], precision: str) -> tuple[float, float]:
    return next(row for start, row in table.items() if precision.startswith(start))


def action_rows(got: np.ndarray, full: np.ndarray, action_dim: int, precision: str) -> list[Row]:
    """Cosine and worst element of the normalised chunk [1, H, A], valid dims only."""
    likeness, most = _of(TOLERANCES, precision)
    a, b = got[..., :action_dim], full[..., :action_dim]
    return [
        Row("actions: cosine", cosine(a, b), likeness, f"max abs {max_abs(a, b):.3g}", at_least=True),
        row("actions: max abs", a, b, most),
    ]


def token_rows(lost: np.ndarray, precision: str) -> list[Row]:
    """How often the full-precision model's token is chosen, each after the same tokens before it.

    lost: by how much the logit of each such token falls short of the best one.
    """
    least, margin = _of(CHOICES, precision)
    alike = lost <= margin
    detail = f"{int(alike.sum())} of {len(lost)}, the others by at most {float(lost.max(initial=0.0)):.3g}"
    return [Row("tokens: chosen alike", float(alike.mean()), least, detail, at_least=True)]
