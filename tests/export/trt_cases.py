"""For each rule of TensorRT's lint a small graph that breaks it, and one beside it that does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

T = TensorProto
WIDE = np.ones((8, 24), np.float32)
Arrays = dict[str, np.ndarray]


def value(name: str, shape: Sequence[int | str], kind: int = T.FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def graph(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    constants: Arrays | None = None,
    stored: Sequence[TensorProto] = (),
    opset: int = 20,
) -> ir.Model:
    """The last node's output is the graph's."""
    arrays = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    out = value(nodes[-1].output[0], ["a", "b"]) if nodes[-1].op_type != "ArgMax" else value("y", [1], T.INT64)
    made = helper.make_graph(list(nodes), "graph", list(inputs), [out], [*arrays, *stored])
    domains = {node.domain for node in nodes} | {""}
    imports = [helper.make_opsetid(domain, opset if not domain else 1) for domain in sorted(domains)]
    return ir.from_proto(helper.make_model(made, opset_imports=imports, ir_version=10))


def one(kind: str, shape: Sequence[int | str] = (2, 8), dtype: int = T.FLOAT, **attributes: Any) -> ir.Model:
    """A single node of one input."""
    return graph([helper.make_node(kind, ["x"], ["y"], name="it", **attributes)], [value("x", shape, dtype)])


def four_bits(name: str, rows: int, columns: int) -> TensorProto:
    """A constant of zeros."""
    return TensorProto(data_type=T.INT4, dims=[rows, columns], name=name, raw_data=bytes((rows * columns + 1) // 2))


def weights_in_blocks(rows: int, columns: int, steps: tuple[int, ...], size: int) -> ir.Model:
    """x @ an INT4 weight."""
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["d"], name="it", axis=0, block_size=size),
        helper.make_node("MatMul", ["x", "d"], ["y"]),
    ]
    scales = {"s": np.full(steps, 0.1, np.float32)}
    return graph(nodes, [value("x", [2, rows])], scales, [four_bits("w", rows, columns)], opset=21)


def quantized(scale: np.ndarray | None, zero: np.ndarray | None, zero_type: type = np.int8, axis: int = 1) -> ir.Model:
    """An activation put on a grid and back; no scale: one that is computed."""
    nodes = [helper.make_node("ReduceMax", ["x"], ["s"], keepdims=0)] if scale is None else []
    sides = ["x", "s"] + ([] if zero is None else ["z"])
    back = ["q", "s"] + ([] if zero is None else ["z"])
    nodes.append(helper.make_node("QuantizeLinear", sides, ["q"], name="it", axis=axis))
    nodes.append(helper.make_node("DequantizeLinear", back, ["y"], axis=axis))
    constants = {} if scale is None else {"s": scale}
    constants |= {} if zero is None else {"z": zero.astype(zero_type)}
    return graph(nodes, [value("x", [2, 8])], constants)


def table(first: str) -> ir.Model:
    """An INT8 table: dequantized first, or looked up first."""
    constants: Arrays = {"t": np.ones((16, 8), np.int8), "s": np.full(16, 0.1, np.float32)}
    if first == "DequantizeLinear":
        nodes = [
            helper.make_node("DequantizeLinear", ["t", "s"], ["d"], axis=0),
            helper.make_node("Gather", ["d", "ids"], ["y"], name="it"),
        ]
    else:
        nodes = [
            helper.make_node("Gather", ["t", "ids"], ["g"], name="it"),
            helper.make_node("Cast", ["g"], ["y"], to=T.FLOAT),
        ]
    return graph(nodes, [value("ids", [1, 4], T.INT32)], constants)


def attention(scale_on: str, fused: bool = False, norm: bool = False, kind: int = T.FLOAT) -> ir.Model:
    """softmax(q k^T) v of one head with 8 dims; scale_on: q, k or nothing. kind: of everything."""
    half = kind == T.FLOAT16
    dtype: type = np.float16 if half else np.float32
    nodes, constants = _projections(fused, dtype)
    constants["scale"] = np.array(0.35, dtype)
    if norm:
        nodes += _normed("q", dtype, constants)
    query, key = ("q.normed" if norm else "q"), "kt"
    nodes.append(helper.make_node("Transpose", ["k"], ["kt"], perm=[1, 0]))
    if scale_on == "q":
        nodes.append(helper.make_node("Mul", [query, "scale"], ["scaled"]))
        query = "scaled"
    elif scale_on == "k":
        nodes.append(helper.make_node("Mul", ["kt", "scale"], ["scaled"], name="it"))
        key = "scaled"
    nodes += [
        helper.make_node("MatMul", [query, key], ["scores"], name="scores"),
        helper.make_node("Softmax", ["scores"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["y"]),
    ]
    return graph(nodes, [value("x", [4, 8], kind)], constants)


def _projections(fused: bool, dtype: type) -> tuple[list[NodeProto], Arrays]:
    if fused:
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["qkv"], name="qkv"),
            helper.make_node("Reshape", ["qkv", "five"], ["heads"]),
            helper.make_node("Split", ["heads"], ["q3", "k3", "v3"], axis=1, num_outputs=3),
            *[helper.make_node("Reshape", [f"{part}3", "flat"], [part]) for part in "qkv"],
        ]
        return nodes, {"w": WIDE.astype(dtype), "five": np.array([4, 3, 8]), "flat": np.array([4, 8])}
    nodes = [helper.make_node("MatMul", ["x", f"w{part}"], [part], name=part) for part in "qkv"]
    return nodes, {f"w{part}": np.ascontiguousarray(WIDE[:, :8]).astype(dtype) for part in "qkv"}


def _normed(name: str, dtype: type, constants: Arrays) -> list[NodeProto]:
    constants |= {"two": np.array(2, dtype), "last": np.array([-1])}
    return [
        helper.make_node("Pow", [name, "two"], ["square"]),
        helper.make_node("ReduceMean", ["square", "last"], ["mean"]),
        helper.make_node("Sqrt", ["mean"], ["root"]),
        helper.make_node("Div", [name, "root"], [f"{name}.normed"]),
    ]


def scatter(**attributes: Any) -> ir.Model:
    node = helper.make_node("ScatterND", ["x", "where", "rows"], ["y"], name="it", **attributes)
    return graph([node], [value("x", [4, 8]), value("rows", [1, 8])], {"where": np.array([[0]])})


def norm(*outputs: str) -> ir.Model:
    """LayerNormalization with some outputs, of which the first is read."""
    nodes = [
        helper.make_node("LayerNormalization", ["x", "w"], list(outputs), name="it"),
        helper.make_node("Sigmoid", [outputs[0]], ["y"]),
    ]
    return graph(nodes, [value("x", [2, 8])], {"w": np.ones(8, np.float32)})


def summed(axes: str) -> ir.Model:
    node = helper.make_node("ReduceSum", ["x", axes], ["y"], name="it")
    return graph([node], [value("x", [2, 8]), value("given", [1], T.INT64)][: 1 + (axes == "given")],
                 {} if axes == "given" else {axes: np.array([-1])})  # fmt: skip


def product(dtype: type, number: float = 1.0) -> ir.Model:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return graph([helper.make_node("Mul", ["x", "c"], ["y"], name="it")], [value("x", [2, 8], kind)],
                 {"c": np.array(number, dtype)})  # fmt: skip


def cast(kind: int, dtype: int = T.UINT8) -> ir.Model:
    """A UINT8 input that is cast at once, or read by another operator first."""
    if kind:
        return one("Cast", dtype=dtype, to=kind)
    return one("Transpose", dtype=dtype, perm=[1, 0])


def index(dtype: int) -> ir.Model:
    node = helper.make_node("Gather", ["t", "ids"], ["y"], name="it")
    return graph([node], [value("ids", [1, 4], dtype)], {"t": np.ones((16, 8), np.float32)})


_STEP, _ZERO = np.array(0.1, np.float32), np.array(0)
Made = Callable[[], ir.Model]

# rule -> what breaks it, what does not
CASES: dict[str, tuple[Made, Made]] = {
    "opset": (lambda: graph([helper.make_node("Sqrt", ["x"], ["y"])], [value("x", [2])], opset=21),
              lambda: weights_in_blocks(64, 8, (2, 8), 32)),
    "domain": (lambda: one("MatMulNBits", domain="com.microsoft"), lambda: one("Sigmoid")),
    "operator": (lambda: one("NonZero"), lambda: one("Sigmoid")),
    "unlisted": (lambda: one("Tan"), lambda: one("Sigmoid")),
    "double": (lambda: product(np.float64), lambda: product(np.float32)),
    "type": (lambda: one("Cast", to=T.INT16), lambda: one("Sqrt")),
    "fp8": (lambda: one("Cast", to=T.FLOAT8E4M3FN), lambda: one("Cast", to=T.FLOAT16)),
    "bf16": (lambda: one("Cast", to=T.BFLOAT16), lambda: one("Cast", to=T.FLOAT16)),
    "uint8": (lambda: cast(0), lambda: cast(T.FLOAT)),
    "int64 door": (lambda: index(T.INT64), lambda: index(T.INT32)),
    "quantized constant": (lambda: table("Gather"), lambda: table("DequantizeLinear")),
    "zero point": (lambda: quantized(_STEP, np.array(3)), lambda: quantized(_STEP, _ZERO)),
    "unsigned grid": (lambda: quantized(_STEP, _ZERO, np.uint8), lambda: quantized(_STEP, _ZERO)),
    "scale": (lambda: quantized(None, _ZERO), lambda: quantized(_STEP, _ZERO)),
    "activation axis": (lambda: quantized(np.full(8, 0.1, np.float32), np.zeros(8)), lambda: quantized(_STEP, _ZERO)),
    "int4 activation": (lambda: graph([helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="it"),
                                       helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])],
                                      [value("x", [2, 8])], {"s": _STEP},
                                      [TensorProto(data_type=T.INT4, dims=[], name="z", raw_data=bytes(1))], 21),
                        lambda: weights_in_blocks(64, 8, (2, 8), 32)),
    "blocks": (lambda: weights_in_blocks(60, 8, (2, 8), 32), lambda: weights_in_blocks(64, 8, (2, 8), 32)),
    "large": (lambda: one("Sigmoid", (1 << 16, 1 << 15)), lambda: one("Sigmoid", (1 << 16, 1 << 14))),
    "scaled key": (lambda: attention("k", fused=True), lambda: attention("q", fused=True)),
    "fused heads": (lambda: attention("q", fused=True, norm=True), lambda: attention("q", norm=True)),
    "float16 squares": (lambda: attention("q", kind=T.FLOAT16), lambda: attention("q")),
    "float16 constant": (lambda: product(np.float16, float("inf")), lambda: product(np.float16)),
    "open side": (lambda: one("Sigmoid", (1, "tokens")), lambda: one("Sigmoid", (1, "K"))),
    "computed axes": (lambda: summed("given"), lambda: summed("axes")),
    "scatter": (lambda: scatter(reduction="none"), scatter),
    "norm outputs": (lambda: norm("n", "mean"), lambda: norm("n")),
}  # fmt: skip

# More ways to break `blocks` and `scale`.
RAGGED: dict[str, Made] = {
    "odd columns": lambda: weights_in_blocks(64, 7, (2, 7), 32),
    "two sides": lambda: weights_in_blocks(64, 8, (2, 4), 32),
    "last block short": lambda: weights_in_blocks(64, 8, (2, 8), 48),
}
