"""The three graphs by name: what each takes and gives. Data only; docs/architecture.md says it in words.

Takes a PolicySpec and the three sizes that an export fixes; gives names, types and shapes. Who runs the
graphs and who checks them read this table; a test holds those that are written to it. Knows nothing of onnx.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policy_spec.spec import PolicySpec

GRAPHS = ("vision", "llm", "flow")  # in the order in which a call runs them; flow once per Euler step


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output. All shapes are static."""

    name: str
    dtype: str  # numpy's name
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of a buffer that holds it."""
        size = {"uint8": 1, "int32": 4, "float32": 4, "float16": 2}[self.dtype]
        for side in self.shape:
            size *= side
        return size


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One graph's inputs and outputs, in order."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def kv_names(layers: int) -> tuple[str, ...]:
    """k_00, v_00, k_01, v_01, ...: in the order in which the llm graph gives them."""
    return tuple(f"{kind}_{layer:02d}" for layer in range(layers) for kind in "kv")


def graph_specs(spec: PolicySpec, cameras: int, bracket: int, horizon: int) -> dict[str, GraphSpec]:
    """The graphs of one export: `cameras` pictures, prompts of `bracket` tokens, `horizon` steps."""
    tokens, width = cameras * spec.tokens_per_image, spec.max_action_dim
    heads, size = spec.expert_heads, spec.expert_head_dim
    features = TensorSpec("features", "float32", (tokens, spec.hidden_size))
    context = tuple(
        TensorSpec(
            name, "float32", (1, heads, size, bracket) if name[0] == "k" else (1, heads, bracket, size)
        )
        for name in kv_names(spec.layers)
    )
    return {
        "vision": GraphSpec(
            "vision",
            (TensorSpec("patches", "uint8", (cameras, spec.patches_per_image, spec.patch_bytes)),),
            (features,),
        ),
        "llm": GraphSpec(
            "llm",
            (
                TensorSpec("input_ids", "int32", (1, bracket)),
                TensorSpec("image_row", "int32", (1, bracket)),
                TensorSpec("token_type", "float32", (1, bracket)),
                features,
            ),
            context,
        ),
        "flow": GraphSpec(
            "flow",
            (
                TensorSpec("trajectory", "float32", (1, horizon, width)),
                TensorSpec("step", "int32", (1,)),
                TensorSpec("dim_mask", "float32", (1, 1, width)),
                TensorSpec("context_bias", "float32", (1, 1, 1, bracket)),
                TensorSpec("horizon_bias", "float32", (1, 1, 1, horizon)),
                *context,
            ),
            (TensorSpec("next", "float32", (1, horizon, width)),),
        ),
    }
