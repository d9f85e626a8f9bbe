"""The rows of bench.quantizers: onnxruntime's quantizers, optimum's, and ours, each a function from a graph to a graph.

All quantize the same products: those of the language model's attention and FFN and of the expert, by node name, so that
what differs is how. Each writes one file of weights beside the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from bench.precision_rows import one_scheme
from quant.rewrite import ORT, QDQ, quantize_model
from quant.statistics import Statistics

GROUPS = ("llm.attention", "llm.ffn", "expert.context", "expert.attention", "expert.mlp")
OPTIMUM = Path(__file__).with_name("optimum_quantizer.py")
Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """One float32 graph, and what a quantizer may use."""

    path: Path  # NAME.onnx with one file of weights
    nodes: tuple[str, ...]  # the products to quantize
    feeds: tuple[Feeds, ...]  # of calibration calls
    stats: Statistics  # of the same calls
    group: int  # rows that share a scale in INT4


@dataclass(frozen=True, slots=True)
class Row:
    """One quantizer. `slow`: minutes for each graph of the mid preset."""

    name: str
    whose: str  # onnxruntime, optimum or ours
    make: Callable[[Given, Path], None] | None  # None: another Python does it (optimum)
    slow: bool = False


def dynamic(per_channel: bool) -> Callable[[Given, Path], None]:
    """onnxruntime.quantization.quantize_dynamic: int8 weights, activations on a grid of each call's own tensor."""

    def make(given: Given, target: Path) -> None:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            given.path,
            target,
            per_channel=per_channel,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=list(given.nodes),
            use_external_data_format=True,
        )

    return make


def static(given: Given, target: Path) -> None:
    """onnxruntime.quantization.quantize_static: Q/DQ, symmetric int8, per-channel weights, min-max calibration."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        given.path,
        target,
        reader(given.feeds),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        nodes_to_quantize=list(given.nodes),
        use_external_data_format=True,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
    )


def blocks(algorithm: str) -> Callable[[Given, Path], None]:
    """onnxruntime's MatMulNBitsQuantizer: int4 weights in groups, by one of its algorithms."""

    def make(given: Given, target: Path) -> None:
        from onnxruntime.quantization import matmul_nbits_quantizer as theirs

        configs: dict[str, Callable[[], Any]] = {
            "rtn": lambda: None,
            "hqq": lambda: theirs.HQQWeightOnlyQuantConfig(block_size=given.group, bits=4),
            "k_quant": lambda: theirs.KQuantWeightOnlyQuantConfig(),
            "gptq": lambda: theirs.GPTQWeightOnlyQuantConfig(reader(given.feeds), block_size=given.group),
        }
        model = onnx.load(given.path)
        wanted = set(given.nodes)
        keep = [n.name for n in model.graph.node if n.op_type == "MatMul" and n.name not in wanted]
        quantizer = theirs.MatMulNBitsQuantizer(
            model,
            block_size=given.group,
            is_symmetric=True,
            accuracy_level=4,  # 0, the default, multiplies in float32
            nodes_to_exclude=keep,
            algo_config=configs[algorithm](),
        )
        quantizer.process()
        save(quantizer.model.model, target)

    return make


def reader(feeds: tuple[Feeds, ...]) -> Any:
    """A calibration reader of some feeds."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """The feeds, as often as asked for from the start."""

        def __init__(self) -> None:
            self.rewind()

        def rewind(self) -> None:
            self.left = iter(feeds)

        def get_next(self) -> Any:
            found = next(self.left, None)
            return None if found is None else dict(found)

    return Reader()


def ours(scheme: str, form: str = ORT) -> Callable[[Given, Path], None]:
    """One of quant.schemes, in one of its forms."""

    def make(given: Given, target: Path) -> None:
        model = ir.load(given.path)
        quantize_model(model, one_scheme(scheme.format(group=given.group), *GROUPS), given.stats, form)
        ir.save(model, target, external_data=f"{target.name}.data")

    return make


def save(model: onnx.ModelProto, target: Path) -> None:
    """With one file of weights beside it."""
    onnx.save_model(
        model, str(target), save_as_external_data=True, all_tensors_to_one_file=True, location=f"{target.name}.data"
    )


ROWS: tuple[Row, ...] = (
    Row("quantize_dynamic, per tensor", "onnxruntime", dynamic(False)),
    Row("quantize_dynamic, per channel", "onnxruntime", dynamic(True)),
    Row("quantize_static, Q/DQ, per channel", "onnxruntime", static),
    Row("MatMulNBits, RTN", "onnxruntime", blocks("rtn")),
    Row("MatMulNBits, HQQ", "onnxruntime", blocks("hqq"), slow=True),
    Row("MatMulNBits, k-quant", "onnxruntime", blocks("k_quant"), slow=True),
    Row("MatMulNBits, GPTQ", "onnxruntime", blocks("gptq"), slow=True),
    Row("ORTQuantizer, dynamic avx512_vnni", "optimum", None),
    Row("int8-w8a8", "ours", ours("int8-w8a8")),
    Row("int8-w8a8-static", "ours", ours("int8-w8a8-static")),
    Row("int8-w8a8-smooth", "ours", ours("int8-w8a8-smooth")),
    Row("int8-weight", "ours", ours("int8-weight")),
    Row("int4", "ours", ours("int4-g{group}")),
    Row("int4-awq", "ours", ours("int4-g{group}-awq")),
    Row("int4-gptq", "ours", ours("int4-g{group}-gptq")),
    Row("int8-w8a8, Q/DQ form", "ours", ours("int8-w8a8", QDQ)),
    Row("int8-w8a8-static, Q/DQ form", "ours", ours("int8-w8a8-static", QDQ)),
    Row("int4, Q/DQ form", "ours", ours("int4-g{group}", QDQ)),
)
