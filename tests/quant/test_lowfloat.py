"""float16 and bfloat16 graphs: what is stored, where casts stand, what stays float32, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch

from policy_spec.errors import QuantError
from quant.apply import apply_plan
from quant.lowfloat import ISLAND, lower
from quant.rewrite import EMULATED, ORT, QDQ, quantize_model
from tests.quant.graphs_by_hand import DOWN, UP, mlp, plan_of, run, weights

F16 = ir.DataType.FLOAT16
HALF = plan_of("fp16", base="fp16")


def feeds() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).standard_normal((1, 7, 64)).astype(np.float32) * 3}


def casts(model: ir.Model) -> list[str]:
    """What is cast, and to what."""
    found = [(n.inputs[0], ir.DataType(n.attributes["to"].as_int())) for n in model.graph if n.op_type == "Cast"]
    return [f"{value.name} to {kind.name}" for value, kind in found if value is not None]


def test_islands_stay_float32_and_borders_are_cast_once() -> None:
    model = mlp()
    assert quantize_model(model, HALF, form=QDQ) == {"fp16": 3}
    held = {name: v.const_value.dtype for name, v in model.graph.initializers.items() if v.const_value}
    assert {n for n, t in held.items() if t == F16} == {f"{n}.low" for n in (UP, UP.replace("up", "gate"), DOWN)}
    assert held["model.transformer.blocks.0.ff_norm.weight"] == ir.DataType.FLOAT
    # x is read by the norm in float32 and by the residual in float16; the norm's output by two products, cast once
    assert casts(model) == ["normed to FLOAT16", "x to FLOAT16", "z.low to FLOAT"]
    assert [v.dtype for v in (*model.graph.inputs, *model.graph.outputs)] == [ir.DataType.FLOAT] * 2
    assert model.graph.outputs[0].name == "z"


def by_torch(kind: torch.dtype) -> np.ndarray:
    """The block in torch: the norm in float32, every other value in the low type."""
    w = {n.split(".")[-2]: torch.from_numpy(a.copy()) for n, a in weights(mlp()).items() if n.endswith(".weight")}
    x = torch.from_numpy(feeds()["x"])
    normed = (x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w["ff_norm"]).to(kind)
    up, gate = (normed @ w[part].to(kind) for part in ("up", "gate"))
    return ((gate * torch.sigmoid(gate) * up) @ w["ff_out"].to(kind) + x.to(kind)).float().numpy()


@pytest.mark.parametrize("name,kind,step", [("fp16", torch.float16, 2**-10), ("bf16", torch.bfloat16, 2**-7)])
def test_emulated_as_torch_computes(name: str, kind: torch.dtype, step: float, tmp_path: Path) -> None:
    model, exact = mlp(), run(mlp(), feeds(), tmp_path)
    quantize_model(model, plan_of(name, base=name), form=EMULATED)
    got, scale = run(model, feeds(), tmp_path, optimize=False), np.abs(exact).max()
    assert np.abs(got - by_torch(kind)).max() <= step * scale  # a rounding of the last sum
    assert np.abs(got - exact).max() > step / 8 * scale  # the control
    assert np.array_equal(got, torch.from_numpy(got).to(kind).float().numpy())


def test_onnxruntime_runs_float16(tmp_path: Path) -> None:
    model, exact = mlp(), run(mlp(), feeds(), tmp_path)
    quantize_model(model, HALF, form=ORT)
    got = run(model, feeds(), tmp_path)
    assert 0 < np.abs(got - exact).max() < 2e-3 * np.abs(exact).max()
    with pytest.raises(QuantError, match="ONNX Runtime's CPU has no such products; what to do: choose fp16"):
        quantize_model(mlp(), plan_of("bf16", base="bf16"), form=ORT)


@pytest.mark.parametrize("scheme", ["int8-w8a8", "int8-weight", "int4-g32"])
def test_mixed_with_quantized_products(scheme: str, tmp_path: Path) -> None:
    """Quantized products in a float16 graph lose what they lose in a float32 one, and a rounding. Emulated: of float16
    operators that it lacks ONNX Runtime makes float32 ones, and drops the casts between.
    """
    stored, chosen, alone = mlp(), mlp(), mlp()
    quantize_model(alone, plan_of(scheme, "llm.ffn"), form=QDQ)
    quantize_model(chosen, plan_of(scheme, "llm.ffn", base="fp16"), form=EMULATED)
    quantize_model(stored, plan_of(scheme, "llm.ffn", base="fp16"), form=QDQ)
    exact, plain = (run(model, feeds(), tmp_path, optimize=False) for model in (mlp(), alone))
    got = run(chosen, feeds(), tmp_path, optimize=False)
    assert 0 < np.abs(got - plain).max() < 4e-3 * np.abs(exact).max()
    dtypes = {v.const_value.dtype for v in stored.graph.initializers.values() if v.const_value}
    assert (F16 in dtypes) == (scheme != "int8-w8a8")  # weight-only: the scales


@pytest.mark.parametrize("scheme", ["int8-weight", "int4-g32"])
def test_scales_of_zero_weights_stay_above_zero(scheme: str, tmp_path: Path) -> None:
    """A channel of zeros, and one too small for float16: TensorRT takes no scale of 0."""
    model = mlp()
    weight = weights(model)[UP].copy()
    weight[:, 0], weight[:, 1] = 0.0, 1e-12
    model.graph.initializers[UP].const_value = ir.tensor(weight, name=UP)
    quantize_model(model, plan_of(scheme, "llm.ffn", base="fp16"), form=QDQ)
    held = {name: v.const_value for name, v in model.graph.initializers.items() if v.const_value}
    steps = [t.numpy() for name, t in held.items() if name.endswith(".scale.low")]
    assert len(steps) == 3 and all((step > 0).all() for step in steps)
    assert np.float16(1e-12 / 127) == 0  # the control: rounded as other constants are, it would be 0
    assert (held[f"{UP}.values"].numpy()[:, 0] == 0).all()


def test_a_weight_that_float16_cannot_hold_is_named(tmp_path: Path) -> None:
    model = mlp()
    big = model.graph.initializers[UP]
    big.const_value = ir.tensor(np.full((64, 96), 7e4, np.float32), name=UP)
    ir.save(model, tmp_path / "llm.onnx", external_data="llm.onnx.data")
    with pytest.raises(QuantError, match=r"ff_proj.up.weight.low: a value does not fit float16; .*got: 70000"):
        apply_plan(tmp_path, tmp_path / "out", HALF, lambda *_: None)


def test_kinds_that_are_islands_everywhere() -> None:
    model = mlp()
    node = next(n for n in model.graph if n.op_type == "Sigmoid")
    node.metadata_props[ISLAND] = "for the test"
    lower(model.graph, ir.DataType.BFLOAT16)
    assert "gate to FLOAT" in casts(model) and "open to BFLOAT16" in casts(model)
