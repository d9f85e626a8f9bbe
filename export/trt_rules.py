"""The table of what TensorRT cannot take, or computes wrong without a word.

A row says how it is found, for which versions and GPUs it holds, what is right, what to write instead, and where that
was read (docs/sources.md); docs/tensorrt.md shows the table, a test breaks each row. Knows nothing of targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from export import trt_patterns as patterns
from export import trt_types as types
from export.trt_graph import Seen
from export.trt_patterns import Version, number

Check = Callable[[Seen, Version], Iterator[tuple[str, str]]]
REFUSED, WRONG = "refused", "computed wrong"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. since, fixed: the versions it holds for, `since` among them, `fixed` not; empty: no bound is known."""

    name: str
    kind: str  # REFUSED, WRONG
    check: Check
    why: str
    do: str
    source: str  # anchor in docs/sources.md
    since: str = ""
    fixed: str = ""
    below: str = ""  # only for GPUs of a lower compute capability

    def holds(self, version: str, capability: str) -> bool:
        """Whether the row is about this TensorRT on this GPU."""
        at = number(version)
        if (self.since and at < number(self.since)) or (self.fixed and at >= number(self.fixed)):
            return False
        return not self.below or (bool(capability) and number(capability) < number(self.below))


RULES: dict[str, Rule] = {
    row.name: row
    for row in (
        Rule(
            "opset",
            REFUSED,
            patterns.opset,
            "an opset of the parser's list; 21 where INT4 needs it",
            "write the graph in opset 20",
            "trtoperators",
        ),
        Rule(
            "domain",
            REFUSED,
            patterns.domain,
            "standard operators: the parser looks for a plugin of any other name",
            "write the form qdq",
            "trtimporter",
        ),
        Rule(
            "operator",
            REFUSED,
            patterns.operator,
            "operators that this version's parser takes",
            "write what is said there, export/trt_operators.py has the list",
            "trtoperators",
        ),
        Rule(
            "unlisted",
            REFUSED,
            patterns.unlisted,
            "operators that were looked up and built",
            "read the operator lists, build it, and add a row to export/trt_operators.py",
            "trtoperators",
        ),
        Rule(
            "double",
            WRONG,
            types.double,
            "no float64: it is cast to float32 and clamped without a word",
            "write float32",
            "trtoperators",
        ),
        Rule(
            "type",
            REFUSED,
            types.unknown_type,
            "float32, float16, bfloat16, INT64, INT32, INT8, INT4, bool",
            "cast on the host or store another type",
            "trtoperators",
        ),
        Rule(
            "fp8",
            REFUSED,
            types.eight_bit_float,
            "no FP8 or FP4 on this GPU: it has no such units",
            "choose int8 or int4",
            "fp8",
            below="8.9",
        ),
        Rule(
            "bf16",
            REFUSED,
            types.brain,
            "no bfloat16 on this GPU: it has no such units",
            "choose fp16",
            "trtbf16",
            below="8.0",
        ),
        Rule(
            "uint8",
            REFUSED,
            types.unsigned_bytes,
            "UINT8 only as a graph's input or output, cast at once",
            "write a Cast behind the input",
            "trtoperators",
        ),
        Rule(
            "int64 door",
            REFUSED,
            types.long_door,
            "INT32 inputs and outputs: an INT64 one needs INT64 buffers since TensorRT 9, and ours hold INT32",
            "declare INT32",
            "trtoperators",
        ),
        Rule(
            "quantized constant",
            REFUSED,
            types.quantized_constant,
            "an INT8 or INT4 constant only before DequantizeLinear",
            "dequantize the table, then gather: the engine keeps it in INT8",
            "trtmeasured",
        ),
        Rule(
            "zero point",
            REFUSED,
            types.zero_point,
            "symmetric quantization: zero points 0, constant",
            "quantize symmetrically",
            "trtimporter",
        ),
        Rule(
            "unsigned grid",
            WRONG,
            types.unsigned_grid,
            "INT8: a UINT8 grid is read as INT8 after a warning",
            "give an INT8 zero point",
            "trtimporter",
        ),
        Rule(
            "scale",
            REFUSED,
            types.scales,
            "scales that are positive constants",
            "divide by what is computed, and quantize with a constant scale",
            "trtimporter",
        ),
        Rule(
            "activation axis",
            REFUSED,
            types.activation_axis,
            "one scale for an activation: scales by channel are for weights",
            "divide the rows by their largest magnitude first (int8-w8a8)",
            "trtimporter",
        ),
        Rule(
            "int4 activation",
            REFUSED,
            types.four_bit_activation,
            "INT4 for weights only",
            "quantize the activation to INT8",
            "trtquantized",
        ),
        Rule(
            "blocks",
            REFUSED,
            types.blocks,
            "whole blocks along one of the last two sides, an even last side of INT4, as many scales as channels",
            "choose a group that divides the rows, or int8-weight",
            "trtimporter",
        ),
        Rule(
            "large",
            REFUSED,
            types.large,
            "tensors of less than 2^31 elements",
            "cut the tensor",
            "trtlarge",
            fixed="10.10",
        ),
        Rule(
            "scaled key",
            WRONG,
            patterns.scaled_key,
            "the scale on the query: behind a fused projection a scaled transposed key was computed wrong in 10.3 and "
            "10.7, and no version is known to be right",
            "multiply the query, or its norm's weight or rotation",
            "trt103",
        ),
        Rule(
            "fused heads",
            WRONG,
            patterns.fused_heads,
            "a product each for query, key and value where heads are normed or rotated: 10.3 computes the fused form "
            "wrong by more than its size, and no version is known to be right",
            "cut the weight in three",
            "trt103",
        ),
        Rule(
            "float16 squares",
            WRONG,
            patterns.half_squares,
            "norms, softmaxes and attention scores in float32 or bfloat16: they overflow float16",
            "put them on a float32 island (Emit.island)",
            "overflow",
        ),
        Rule(
            "float16 constant",
            WRONG,
            patterns.half_infinite,
            "constants that float16 holds",
            "put what reads it on a float32 island",
            "overflow",
        ),
        Rule(
            "open side",
            REFUSED,
            patterns.open_side,
            "static inputs, but for the sides that a profile covers (K, M)",
            "fix the side, or give it a profile in the builder and here",
            "trtimporter",
        ),
        Rule(
            "computed axes",
            REFUSED,
            patterns.computed_axes,
            "axes that are constants",
            "write them as a constant",
            "trtoperators",
        ),
        Rule(
            "scatter",
            REFUSED,
            patterns.scatter_reduction,
            "ScatterND without the attribute reduction: 10.0 and 10.1 refuse it whatever it says",
            "leave the attribute out",
            "trtimporter",
        ),
        Rule(
            "norm outputs",
            REFUSED,
            patterns.norm_outputs,
            "LayerNormalization with one output, even where the others are not read",
            "compute mean and deviation by themselves",
            "trtoperators",
        ),
    )
}
