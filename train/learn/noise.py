"""What a flow step is drawn from: standard normal noise, and times t = 0.001 + 0.999 Beta(1, 1.5).

Takes a numpy generator, so that the same position of a run draws the same numbers on every machine and in every
process. The constants are the checkpoint's own (flow_matching_* of config.json). Knows nothing of actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FlowTimes:
    """The distribution of flow times: offset + scale * Beta(alpha, beta), never above the cutoff."""

    alpha: float = 1.0
    beta: float = 1.5
    offset: float = 0.001
    scale: float = 0.999
    cutoff: float = 1.0

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> FlowTimes:
        """The parsed config.json; what it does not say is as released."""
        keys = {
            "alpha": "beta_alpha", "beta": "beta_beta", "offset": "time_offset", "scale": "time_scale",
            "cutoff": "cutoff",
        }  # fmt: skip
        said = {ours: config.get(f"flow_matching_{theirs}") for ours, theirs in keys.items()}
        return cls(**{name: float(value) for name, value in said.items() if value is not None})

    def draw(self, rng: np.random.Generator, count: int) -> Float32:
        """[count] float32."""
        span = min(self.cutoff, self.offset + self.scale) - self.offset
        return (self.offset + span * rng.beta(self.alpha, self.beta, count)).astype(np.float32)


def draw_noise(rng: np.random.Generator, samples: int, horizon: int, width: int) -> Float32:
    """[samples, horizon, width] standard normal."""
    return rng.standard_normal((samples, horizon, width), np.float32)
