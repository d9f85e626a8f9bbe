"""Each scheme's numpy pair against an oracle and against the graph that ONNX Runtime runs; the plan and its account."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from policy_spec.errors import ExportError
from quant.plan import GROUPS, Choice, Plan, make_plan
from quant.rewrite import quantize_model
from quant.rewrite.work import Product, Work
from quant.schemes import SCHEMES, product_w8a8, quantize_per_channel, quantize_per_token
from quant.statistics import Statistics

NAME = "model.transformer.blocks.0.mlp"


def test_int8_weights_equal_a_plain_oracle() -> None:
    weight = np.random.default_rng(0).standard_normal((37, 11)).astype(np.float32)
    weight[:, 3] = 0.0
    got = quantize_per_channel(weight)
    for column in range(11):
        scale = np.float32(max(float(np.abs(weight[:, column]).max()), 1e-12)) / np.float32(127)
        assert got.scale[column] == scale
        for row in range(37):
            assert got.values[row, column] == max(-127, min(127, round(float(np.float32(weight[row, column] / scale)))))


def test_round_trip_is_within_half_a_step() -> None:
    weight = np.random.default_rng(1).standard_normal((64, 32)).astype(np.float32)
    scheme = SCHEMES["int8-w8a8"]
    assert scheme.quantize is not None and scheme.dequantize is not None
    quantized = scheme.quantize(weight)
    error = np.abs(scheme.dequantize(quantized) - weight)
    assert (error <= quantized.scale * 0.5001).all()
    assert error.max() > 0  # it does lose something


def mlp(folder: Path, width: int = 48, inner: int = 80) -> tuple[Path, dict[str, np.ndarray]]:
    """Two products that share an input, and one that reads them: the shapes that fusion is decided by."""
    rng = np.random.default_rng(2)
    weights = {f"{NAME}.ff_proj.{p}.weight": rng.standard_normal((width, inner)) for p in ("up", "gate")}
    weights[f"{NAME}.ff_out.weight"] = rng.standard_normal((inner, width))
    arrays = {n: w.astype(np.float32) for n, w in weights.items()}
    names = list(arrays)
    nodes = [
        onnx.helper.make_node("MatMul", ["x", names[0]], ["a"], names[0].removesuffix(".weight")),
        onnx.helper.make_node("MatMul", ["x", names[1]], ["b"], names[1].removesuffix(".weight")),
        onnx.helper.make_node("Mul", ["a", "b"], ["c"]),
        onnx.helper.make_node("MatMul", ["c", names[2]], ["y"], names[2].removesuffix(".weight")),
        onnx.helper.make_node("Add", ["y", "x"], ["z"]),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "llm",
        [value("x", 1, [1, 7, width])],
        [value("z", 1, [1, 7, width])],
        [onnx.numpy_helper.from_array(w, n) for n, w in arrays.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "full.onnx")
    return folder / "full.onnx", arrays


def quantized_file(source: Path, extra_output: str | None = None) -> Path:
    model = ir.load(source)
    assert quantize_model(model, make_plan("int8")) == {"int8-w8a8": 3}
    target = source.with_name("int8.onnx")
    ir.save(model, target)
    if extra_output:
        proto = onnx.load(target)
        proto.graph.output.append(onnx.helper.make_tensor_value_info(extra_output, onnx.TensorProto.INT8, [1, 7, 48]))
        onnx.save(proto, target)
    return target


def test_the_graph_computes_what_numpy_says(tmp_path: Path) -> None:
    source, arrays = mlp(tmp_path)
    session = ort.InferenceSession(quantized_file(source), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(3).standard_normal((1, 7, 48)).astype(np.float32)
    x[0, 2] = 0.0  # a row of zeros has no scale of its own
    up, gate, out = (quantize_per_channel(w) for w in arrays.values())
    expected = product_w8a8(product_w8a8(x, up) * product_w8a8(x, gate), out) + x
    got = session.run(None, {"x": x})[0]
    assert np.abs(got - expected).max() <= 2e-6 * np.abs(expected).max()
    exact = (x @ arrays[f"{NAME}.ff_proj.up.weight"]) * (x @ arrays[f"{NAME}.ff_proj.gate.weight"])
    exact = exact @ arrays[f"{NAME}.ff_out.weight"] + x
    assert np.abs(got - exact).max() > 1e-3 * np.abs(exact).max()  # the control: it is not the float product


def test_activations_land_on_the_same_integers(tmp_path: Path) -> None:
    source, _ = mlp(tmp_path)
    name = f"{NAME}.ff_proj.up.q"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(quantized_file(source, name), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(4).standard_normal((1, 7, 48)).astype(np.float32) * 30
    x[0, 2] = 0.0  # divided by itself it would be NaN, which each runtime rounds as it likes
    assert np.array_equal(session.run([name], {"x": x})[0], quantize_per_token(x)[0])


def test_every_product_runs_as_an_integer_kernel(tmp_path: Path) -> None:
    """The fast path itself: a rewrite that ONNX Runtime does not fuse is slower than float32."""
    source, _ = mlp(tmp_path)
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(quantized_file(source), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert kinds.count("MatMulIntegerToFloat") == 3 and "MatMul" not in kinds


def test_a_scheme_without_a_rewrite_is_refused(tmp_path: Path) -> None:
    """Left as it is, the bundle's account would name a scheme that the graph does not have."""
    source, _ = mlp(tmp_path)
    plan = Plan("int4", tuple(Choice(g.name, "int4-made-up", "for the test") for g in GROUPS))
    with pytest.raises(ExportError, match=r"expected: one of fp32, fp16, .*int4-g128-gptq; got: int4-made-up"):
        quantize_model(ir.load(source), plan)


def test_one_quantized_weight_is_in_memory_at_a_time(tmp_path: Path) -> None:
    work = Work(ir.load(mlp(tmp_path)[0]).graph, make_plan("int8"), Statistics({}))
    one, two, _ = work.products()
    first = work.quantized(one)()
    assert work.quantized(Product(one.node, one.scheme))() is first  # integers and scales of one: quantized once
    second = work.quantized(two)()
    assert work.newest == (two.name, second) and second is not first
