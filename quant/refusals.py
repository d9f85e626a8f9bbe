"""What a kind of computer refuses, and why: tables that quant.targets' rows point to.

A key is the start of a precision's or scheme's name. Refused here, loudly: elsewhere the same flags were taken and
broken engines came out (docs/sources.md, FP8 on Orin).
"""

from __future__ import annotations

_LESSON = (
    "engines built with these flags elsewhere came out broken without a word, or not at all (docs/sources.md, FP8 on "
    "Orin)"
)
_ORIN_FP8 = (
    f"FP8 needs compute capability 8.9, and Orin's GPU is 8.7: it has no FP8 units at all; {_LESSON}; int8 is the fast "
    "type there, at twice the rate of float16"
)
_ORIN_FP4 = (
    f"NVFP4 needs compute capability 10.0, and Orin's GPU is 8.7: it has no FP4 units at all; {_LESSON}; int4 stores "
    "as small, int8 computes faster"
)
_ADA_FP4 = "NVFP4 needs compute capability 10.0, and this GPU is 8.9; int4 stores as small, int8 computes faster"
_OURS = "the GPU could, but Armside has no such scheme: nothing here was ever checked against full precision in it"
_CPU_LOW = "ONNX Runtime's CPU provider multiplies neither FP8 nor FP4"
_BF16_CPU = (
    "ONNX Runtime's CPU provider has no bfloat16 product (docs/sources.md, float16 on a CPU); fp16 runs, slower than "
    "float32"
)

FP8, FP4 = ("fp8", "mxfp8"), ("nvfp4", "mxfp4", "fp4")
ORIN_REFUSES = {**dict.fromkeys(FP8, _ORIN_FP8), **dict.fromkeys(FP4, _ORIN_FP4)}
THOR_REFUSES = dict.fromkeys((*FP8, *FP4), _OURS)
ADA_REFUSES = {**dict.fromkeys(FP8, _OURS), **dict.fromkeys(FP4, _ADA_FP4)}
CPU_REFUSES = {**dict.fromkeys((*FP8, *FP4), _CPU_LOW), "bf16": _BF16_CPU}
