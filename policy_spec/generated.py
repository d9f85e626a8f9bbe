"""What a policy generated before it acted: a depth map, or a discrete answer. Data only.

Travels inside a Prediction, from the pipelines that make it to recordings and reports. Knows nothing of graphs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Depth:
    """One depth map and what it cost. A pass is one run of the `llm` graph after the prompt's."""

    codes: NDArray[np.int64]  # [n] row by row; names without an order, not distances
    changed: NDArray[np.bool_]  # [n] cells that were predicted afresh: all of them on a full decode
    tokens: NDArray[np.int64]  # ids: depth_start, the codes, what came before depth_end if anything, depth_end
    passes: int  # runs of the language model
    fed: int  # tokens of all runs together, those fed again included
    accepted: int  # changed cells whose drafted code was right; 0 in the released order, which drafts none
    small_margins: int  # decisions whose best two logits lie closer than depth_decode.SMALL
    side: int  # cells along each side of the grid


@dataclass(frozen=True, slots=True, eq=False)
class Discrete:
    """One answer in action tokens and what it cost."""

    tokens: NDArray[np.int64]  # ids, action_start to action_end (and eos, where the released loop went that far)
    passes: int  # runs of the language model after the prompt's
    fed: int  # tokens of all runs together
    accepted: int  # tokens whose draft was right
    differs: int | None  # places where the unconstrained arg max is another token; None: this head cannot say
    small_margins: int = 0  # decisions whose best two logits lie close together
