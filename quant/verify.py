"""A quantized policy against the full-precision one, as whole actions: the only error a robot feels.

Takes two predictions; knows nothing of what ran them.
"""

from __future__ import annotations

from policy_spec.compare import Row, cosine, max_abs, row
from policy_spec.pipeline import Prediction

# precision -> (least cosine, most max|difference|) of the normalised chunk over the robot's dims.
TOLERANCES: dict[str, tuple[float, float]] = {"fp32": (1.0 - 1e-6, 2e-4), "int8": (0.9999, 0.05)}


def action_rows(got: Prediction, full: Prediction, action_dim: int, precision: str) -> list[Row]:
    """Cosine and worst element of the normalised chunk, valid dims only."""
    likeness, most = TOLERANCES[precision]
    a, b = got.normalized[..., :action_dim], full.normalized[..., :action_dim]
    return [
        Row("actions: cosine", cosine(a, b), likeness, f"max abs {max_abs(a, b):.3g}", at_least=True),
        row("actions: max abs", a, b, most),
    ]
