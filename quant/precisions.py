"""The named precisions, as rows: which scheme each tensor group gets, and why.

BASE stands for the float type that the target computes in: float16 with float32 islands where a GPU runs the graphs,
float32 on a processor, whose float16 is slower (docs/sources.md, float16 on a CPU). Reasons cite docs/sources.md; a
plan that was made from measurements (quant.sensitivity) carries its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from quant.schemes.base import BRAIN as BF16
from quant.schemes.base import FULL, W8, W8A8
from quant.schemes.base import HALF as FP16

FLOATS = (FULL, FP16, BF16)
INT4, AWQ, GPTQ = "int4-g128", "int4-g128-awq", "int4-g128-gptq"
BASE = ""  # the target's own float type, see Precision.base

Rows = dict[str, tuple[str, str]]  # group -> scheme, reason


@dataclass(frozen=True, slots=True)
class Precision:
    """One row. A group that `groups` leaves out stays in the base, for the reason in STAYS."""

    name: str
    base: str  # FULL, FP16, BF16, or BASE: what the target computes in
    about: str  # one line for a person who chooses
    groups: Rows = field(default_factory=dict)
    on_cpu: Rows = field(default_factory=dict)  # instead, where the base is float32
    loss: int = 0  # class of what it loses, 0 the least; of one class `auto` takes the fastest


_OVER_LLM = "most of the language model's products; nearly free of loss per token (docs/sources.md, precision)"
_STREAMED = "streamed at every flow step; int8 is nearly free here (docs/sources.md, precision)"
_ATTENTION_FAST = (
    "writes the K and V that the expert reads: per token it loses little, more than the FFN (docs/sources.md, "
    "precision); taken for speed"
)
_VIT_FAST = "sensitive (docs/sources.md, precision): taken for speed, per token"
_STORED = "stored in int8, computed in float: half of float16, the error of rounding alone"
_TABLE = "a lookup: one int8 scale per row, nothing is multiplied"
_MEMORY = "two thirds of all weights: in int4 they fit 8 GB; prefill does not get faster (docs/sources.md, int4)"
_VISION_CPU = "float32 would be 1.8 GB of the full size; " + _STORED
_HEAD4 = "decides every token, often by little: int8, not int4"
_CONTEXT = "part of the expert, one product per layer over the whole prompt"

_EXPERT_W8A8: Rows = {
    "expert.attention": (W8A8, _STREAMED),
    "expert.mlp": (W8A8, _STREAMED),
    "expert.context": (W8A8, _CONTEXT),
}


def _int4(scheme: str, how: str) -> Rows:
    return {
        "llm.attention": (scheme, f"{_MEMORY}; {how}"),
        "llm.ffn": (scheme, f"{_MEMORY}; {how}"),
        "llm.embeddings": (W8, _TABLE),
        "llm.head": (W8, _HEAD4),
        **_EXPERT_W8A8,
    }


_INT4_CPU: Rows = {name: (W8, _VISION_CPU) for name in ("vision.vit", "vision.pooling", "vision.projector")}
_RTN = "rounded to nearest, no samples needed"
_AWQ = "channels that activations make large are scaled before rounding"
_GPTQ = "each column's rounding error is spread over the next ones"

PRECISIONS: dict[str, Precision] = {
    row.name: row
    for row in (
        Precision("fp32", FULL, "as trained: the reference"),
        Precision("fp16", FP16, "half the memory; float32 islands where values overflow"),
        Precision("bf16", BF16, "half the memory, the range of float32, three digits"),
        Precision(
            "int8-weight",
            BASE,
            "int8 weights, float arithmetic: a quarter of float32's memory, no samples needed",
            {
                name: (W8, _STORED)
                for name in (
                    "vision.vit",
                    "vision.pooling",
                    "vision.projector",
                    "llm.attention",
                    "llm.ffn",
                    "llm.head",
                    "expert.context",
                    "expert.attention",
                    "expert.mlp",
                )
            }
            | {"llm.embeddings": (W8, _TABLE)},
            loss=1,
        ),
        Precision(
            "int8",
            BASE,
            "int8 where it is nearly free: the language model's FFN and the action expert",
            {"llm.ffn": (W8A8, _OVER_LLM), **_EXPERT_W8A8},
            loss=1,
        ),
        Precision(
            "int8-fast",
            BASE,
            "int8 on every large product: the fastest, and more loss than int8",
            {
                "vision.vit": (W8A8, _VIT_FAST),
                "vision.projector": (W8A8, "per token: a row's outlier (1.7e4) stays in its row; taken for speed"),
                "llm.attention": (W8A8, _ATTENTION_FAST),
                "llm.ffn": (W8A8, _OVER_LLM),
                **_EXPERT_W8A8,
            },
            loss=2,
        ),
        Precision(
            "int4-awq", BASE, "int4 fitted to calibration samples (AWQ): 8 GB boards", _int4(AWQ, _AWQ), _INT4_CPU, 3
        ),
        Precision(
            "int4-gptq",
            BASE,
            "int4 fitted to calibration samples (GPTQ): 8 GB boards",
            _int4(GPTQ, _GPTQ),
            _INT4_CPU,
            3,
        ),
        Precision(
            "int4", BASE, "int4 language model, int8 expert: 8 GB boards, no samples", _int4(INT4, _RTN), _INT4_CPU, 4
        ),
    )
}
AUTO = "auto"  # not a row: quant.auto picks one

_SMALL = "too small to matter"
STAYS: dict[str, str] = {  # why a group that a precision does not name stays in the base
    "vision.patches": "the first layer sees raw pixels",
    "vision.vit": "the ViT is the part that low precision hurts first (docs/sources.md, precision)",
    "vision.pooling": "scores reach 8e4 and the part is small",
    "vision.projector": "features reach 1.7e4, outliers that int8 per token flattens",
    "llm.embeddings": "a lookup, not a product",
    "llm.attention": "writes the K and V that the expert reads; int8 here cost LIBERO points elsewhere "
    "(docs/sources.md, precision)",
    "llm.norms": _SMALL,
    "llm.head": "decides every token, often by little; a pass reads few of its rows, or all of them once",
    "expert.context": _CONTEXT,
    "expert.gate": _SMALL,
    "expert.modulations": "a table, not a product",
    "expert.rim": "32 dims wide: " + _SMALL,
    "expert.attention": _STREAMED,
    "expert.mlp": _STREAMED,
    "llm.ffn": _OVER_LLM,
    "constants": "masks, RoPE tables and shapes",
}
HALF = {
    FP16: "float16; RMS norms, softmax, QK^T and pooling attention stay float32 islands (docs/sources.md, overflow)",
    BF16: "bfloat16: float32's range, so nothing overflows; the islands stay float32 for their digits",
}
