"""Operators that TensorRT takes, and those that it does not: by version, each with what to write instead.

Data only. TAKEN is what exported and quantized graphs are made of; each was read in the operator lists of 10.0 and
10.15 and built by TensorRT-RTX (docs/tensorrt.md). What stands in neither table is refused too: nobody looked it up.
"""

from __future__ import annotations

from dataclasses import dataclass

TAKEN = frozenset(
    [
        "Abs",
        "Add",
        "Cast",
        "Concat",
        "DequantizeLinear",
        "Div",
        "Gather",
        "Gelu",
        "LayerNormalization",
        "MatMul",
        "Max",
        "Mul",
        "Pow",
        "QuantizeLinear",
        "ReduceMax",
        "ReduceMean",
        "ReduceSum",
        "Reshape",
        "ScatterND",
        "Sigmoid",
        "Softmax",
        "Split",
        "Sqrt",
        "Sub",
        "Transpose",
    ]
)


@dataclass(frozen=True, slots=True)
class NotTaken:
    """One operator."""

    why: str
    do: str
    source: str = "trtoperators"  # anchor in docs/sources.md
    since: str = ""  # the version whose parser knows it; empty: none does


_LISTED = "its operator list says no"
_ROWS = "divide each row by its largest magnitude and put it on a fixed grid with QuantizeLinear and DequantizeLinear"
_FIXED = "its output's size depends on the data, which no static engine and no CUDA graph can hold"
_GATHER = "gather with an index of a fixed shape, and multiply by a mask"
_NEW = "its parser does not know it before 10.15"
_NORM = "write Pow, ReduceMean, Add, Sqrt, Div, Mul (Emit.rms_norm)"
_QDQ = "write DequantizeLinear before a MatMul (form qdq)"

NOT_TAKEN: dict[str, NotTaken] = {
    "Attention": NotTaken(
        "its parser does not know it before 10.14; since then without past and present keys, and TensorRT's own "
        "attention gave wrong numbers in 10.16.0 (docs/sources.md, attention operator)",
        "write MatMul, Softmax, MatMul",
        "trtattention",
    ),
    "RotaryEmbedding": NotTaken(_NEW, "write Split, Concat, Mul, Add (Emit.rope)", since="10.15"),
    "RMSNormalization": NotTaken(_NEW, _NORM, since="10.15"),
    "TensorScatter": NotTaken("its operator list does not have it", "write ScatterND"),
    "Swish": NotTaken("its operator list does not have it", "write Sigmoid and Mul"),
    "DynamicQuantizeLinear": NotTaken(_LISTED, _ROWS),
    "MatMulInteger": NotTaken(_LISTED, _QDQ),
    "ConvInteger": NotTaken(_LISTED, _QDQ),
    "QLinearMatMul": NotTaken(_LISTED, _QDQ),
    "QLinearConv": NotTaken(_LISTED, _QDQ),
    "NonZero": NotTaken(f"{_FIXED}; TensorRT-RTX refuses it", _GATHER, "trtmeasured"),
    "Compress": NotTaken(f"{_LISTED}; {_FIXED}", _GATHER),
    "Unique": NotTaken(f"{_LISTED}; {_FIXED}", _GATHER),
    "NonMaxSuppression": NotTaken(_FIXED, "do it on the host"),
    "BitShift": NotTaken(_LISTED, "multiply or divide by a power of two"),
    "BitwiseAnd": NotTaken(_LISTED, "work on bools (And) or with Div and Sub"),
    "BitwiseOr": NotTaken(_LISTED, "work on bools (Or) or with Add"),
    "Bernoulli": NotTaken(_LISTED, "draw on the host: a call is to be reproducible from its seed"),
    "Multinomial": NotTaken(_LISTED, "draw on the host: a call is to be reproducible from its seed"),
    "RandomNormal": NotTaken("it ignores the seed", "draw on the host and feed the noise"),
    "RandomUniform": NotTaken("it ignores the seed", "draw on the host and feed the noise"),
}
