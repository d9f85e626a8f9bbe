"""Small graphs for the tests of schemes and rewrites: one block of a language model, its plan, and running a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from quant.plan import GROUPS, Choice, Plan

BLOCK = "model.transformer.blocks.0"
UP, GATE, DOWN = (f"{BLOCK}.mlp.{part}.weight" for part in ("ff_proj.up", "ff_proj.gate", "ff_out"))
QKV = tuple(f"{BLOCK}.self_attn.att_proj.{part}.weight" for part in "qkv")


def plan_of(scheme: str, *groups: str, base: str = "fp32") -> Plan:
    """The scheme for some groups, `base` for all others."""
    choices = [Choice(g.name, scheme if g.name in groups else base, "for the test") for g in GROUPS]
    return Plan(scheme, tuple(choices), base)


def mlp(rows: int = 7, width: int = 64, inner: int = 96, seed: int = 2) -> ir.Model:
    """x -> RMS norm -> up, gate -> down -> z: what migration folds into, and what fusion is decided by."""
    rng = np.random.default_rng(seed)
    arrays = {
        UP: rng.standard_normal((width, inner)) / 8,
        GATE: rng.standard_normal((width, inner)) / 8,
        DOWN: rng.standard_normal((inner, width)) / 8,
        f"{BLOCK}.ff_norm.weight": rng.uniform(0.5, 1.5, width),
    }
    node = onnx.helper.make_node
    nodes = [
        node("Mul", ["x", "x"], ["square"]),
        node("ReduceMean", ["square", "i64_-1"], ["mean"], keepdims=1),
        node("Add", ["mean", "f32_eps"], ["more"]),
        node("Sqrt", ["more"], ["root"]),
        node("Div", ["x", "root"], ["unit"]),
        node("Mul", ["unit", f"{BLOCK}.ff_norm.weight"], ["normed"]),
        node("MatMul", ["normed", UP], ["up"], UP.removesuffix(".weight")),
        node("MatMul", ["normed", GATE], ["gate"], GATE.removesuffix(".weight")),
        node("Sigmoid", ["gate"], ["open"]),
        node("Mul", ["gate", "open"], ["silu"]),
        node("Mul", ["silu", "up"], ["inner"]),
        node("MatMul", ["inner", DOWN], ["y"], DOWN.removesuffix(".weight")),
        node("Add", ["y", "x"], ["z"]),
    ]
    for one in nodes[:6]:
        one.metadata_props.add(key="armside.float32_island", value="rms_norm")
    value = onnx.helper.make_tensor_value_info
    initializers = [onnx.numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()]
    initializers.append(onnx.numpy_helper.from_array(np.array([-1]), "i64_-1"))
    initializers.append(onnx.numpy_helper.from_array(np.array(1e-6, np.float32), "f32_eps"))
    sides = [1, rows, width]
    graph = onnx.helper.make_graph(nodes, "llm", [value("x", 1, sides)], [value("z", 1, sides)], initializers)
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    return ir.from_proto(made)


def weights(model: ir.Model) -> dict[str, np.ndarray]:
    """The initializers."""
    return {name: np.asarray(v.const_value.numpy()) for name, v in model.graph.initializers.items() if v.const_value}


def activations(model: ir.Model, feeds: Mapping[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    """What the named values are while the graph runs."""
    proto = ir.to_proto(model)
    for name in names:
        proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return session_of(proto).run_with(feeds, *names)


def run(model: ir.Model, feeds: Mapping[str, np.ndarray], folder: Path, optimize: bool = True) -> np.ndarray:
    """The first output, by ONNX Runtime, of the model as it is written."""
    ir.save(model, folder / "model.onnx", external_data="model.onnx.data")
    return session_of(folder / "model.onnx", optimize).run_with(feeds)[""]


class session_of:
    """An ONNX Runtime session whose outputs come by name; "" is the first."""

    def __init__(self, source: onnx.ModelProto | Path, optimize: bool = True) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        if not optimize:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        whole = str(source) if isinstance(source, Path) else source.SerializeToString()
        self.session = ort.InferenceSession(whole, options, providers=["CPUExecutionProvider"])

    def run_with(self, feeds: Mapping[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
        wanted = list(names) or None
        got = self.session.run(wanted, dict(feeds))
        return dict(zip(names or [""], got, strict=False))


def one_node(op_type: str, arrays: Mapping[str, np.ndarray | onnx.TensorProto], **attributes: object) -> np.ndarray:
    """One operator over constants, by ONNX Runtime: the oracle. `cast`: to a type that numpy has."""
    domain, cast = str(attributes.pop("domain", "")), attributes.pop("cast", None)
    nodes = [onnx.helper.make_node(op_type, list(arrays), ["y"], domain=domain, **attributes)]
    if cast is not None:
        nodes[0].output[0] = "raw"
        nodes.append(onnx.helper.make_node("Cast", ["raw"], ["y"], to=cast))
    held = [
        a if isinstance(a, onnx.TensorProto) else onnx.numpy_helper.from_array(np.asarray(a), n)
        for n, a in arrays.items()
    ]
    graph = onnx.helper.make_graph(nodes, "one", [], [onnx.helper.make_empty_tensor_value_info("y")], held)
    opsets = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return session_of(model, optimize=False).run_with({})[""]
