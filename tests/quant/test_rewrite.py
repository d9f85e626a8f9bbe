"""Each scheme's ONNX forms against its numpy pair; factors and rotations that leave the graph's numbers as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from policy_spec.errors import QuantError
from quant.rewrite import ORT, QDQ, quantize_model
from quant.schemes import SCHEMES, effective
from quant.schemes.static import round_static, static_step
from quant.schemes.token import quantize_per_token
from quant.statistics import Accumulator, Statistics
from tests.quant.graphs_by_hand import DOWN, GATE, UP, activations, mlp, plan_of, run, weights

ROWS = 40
FFN = [name for name, scheme in SCHEMES.items() if scheme.weight_bits < 16]


def feeds(seed: int = 3, rows: int = ROWS) -> dict[str, np.ndarray]:
    """Two channels stand out, as in a language model."""
    x = np.random.default_rng(seed).standard_normal((1, rows, 64)).astype(np.float32)
    x[..., [9, 40]] *= 30.0
    return {"x": x}


@pytest.fixture(scope="module")
def stats() -> Statistics:
    """Of other rows than the tests run."""
    made, model, seen = Accumulator(gram=True), mlp(400), feeds(8, 400)
    got = activations(model, seen, "normed", "inner")
    for weight, x in ((UP, "normed"), (GATE, "normed"), (DOWN, "inner")):
        made.add(weight, got[x])
    return made.done()


def exact() -> np.ndarray:
    return activations(mlp(ROWS), feeds(), "z")["z"]


def by_numpy(name: str, stats: Statistics, model: ir.Model) -> np.ndarray:
    """The block with every product by the numpy pair; factors found and moved by hand, as the docstring of
    quant.rewrite.migrate says: down's first, into up's columns, then up's and gate's.
    """
    scheme, w = SCHEMES[name], {n: a.copy() for n, a in weights(model).items()}
    told = {n: (stats[n] if scheme.needs else None) for n in (UP, GATE, DOWN)}
    factors = {n: np.ones(len(w[n]), np.float32) for n in (UP, GATE, DOWN)}
    if scheme.factor is not None:
        from quant.schemes.base import divided

        factors[DOWN] = scheme.factor(w[DOWN], stats[DOWN])
        w[UP] = w[UP] / factors[DOWN]
        factors[UP] = factors[GATE] = scheme.factor(np.concatenate([w[UP], w[GATE]], axis=1), stats[UP])
        told = {n: divided(stats[n], factors[n]) for n in told}
        w[UP], w[GATE], w[DOWN] = (w[n] * factors[n][:, None] for n in (UP, GATE, DOWN))

    def product(x: np.ndarray, n: str) -> np.ndarray:
        if scheme.activation_bits == 8 and scheme.needs and "static" in name:
            x = round_static(x, static_step(told[n]))  # type: ignore[arg-type]
        elif scheme.activation_bits == 8:
            values, largest = quantize_per_token(x)
            x = values.astype(np.float32) * np.float32(1 / 127) * largest
        assert scheme.quantize is not None
        return (x.astype(np.float64) @ effective(scheme, scheme.quantize(w[n], told[n]))).astype(np.float32)

    x = feeds()["x"]
    unit = x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-6))
    normed = unit * (w[f"{UP.rsplit('.', 4)[0]}.ff_norm.weight"] / factors[UP])
    gate = product(normed, GATE)
    return product(gate / (1 + np.exp(-gate)) * product(normed, UP), DOWN) + x


@pytest.mark.parametrize("form", [ORT, QDQ])
@pytest.mark.parametrize("name", [name for name in FFN if not SCHEMES[name].rotated])
def test_the_graph_computes_what_numpy_says(name: str, form: str, stats: Statistics, tmp_path: Path) -> None:
    model = mlp(ROWS)
    group = SCHEMES[name].group
    if 64 % (group or 1) or 96 % (group or 1):
        with pytest.raises(QuantError, match="cannot be cut into INT4 groups"):
            quantize_model(model, plan_of(name, "llm.ffn"), stats, form)
        return
    expected, true = by_numpy(name, stats, model), exact()
    assert quantize_model(model, plan_of(name, "llm.ffn"), stats, form) == {name: 3}
    # without optimisation, which would turn the weight-only Q/DQ form into MatMulNBits
    got = run(model, feeds(), tmp_path, optimize=form == ORT)
    scale, far, near = np.abs(true).max(), 1.5e-3, 0.02
    if form == ORT and SCHEMES[name].activation_bits == 32:  # MatMulNBits rounds activations to INT8 in blocks
        far, near = 6e-3, 0.5 if group else 1.0
    assert np.abs(got - expected).max() <= far * scale  # half way between two steps a value may fall to either side
    assert np.abs(got - expected).mean() < near * np.abs(got - true).mean() + 1e-7 * scale
    assert np.abs(got - true).max() > 1e-4 * scale  # the control: it is not the float product


def nodes(model: ir.Model, kind: str) -> int:
    return sum(node.op_type == kind for node in model.graph)


@pytest.mark.parametrize("name", ["int8-w8a8-smooth", "int4-g32-awq"])
def test_factors_cost_no_node_where_they_can_be_folded(name: str, stats: Statistics) -> None:
    plain = mlp(ROWS)
    quantize_model(plain, plan_of(name.removesuffix("-awq").removesuffix("-smooth"), "llm.ffn"), stats, QDQ)
    folded = mlp(ROWS)
    quantize_model(folded, plan_of(name, "llm.ffn"), stats, QDQ)
    assert nodes(folded, "Mul") == nodes(plain, "Mul")
    norm = next(n for n in folded.graph.initializers if ".ff_norm." in n)
    assert norm.endswith(".folded")
    shared = another_reader(mlp(ROWS))
    quantize_model(shared, plan_of(name, "llm.ffn"), stats, QDQ)
    assert any(n.endswith(".before") for n in shared.graph.initializers)
    assert nodes(shared, "Mul") > nodes(another_reader(mlp(ROWS)), "Mul") + (name.startswith("int8") and 2)


def another_reader(model: ir.Model) -> ir.Model:
    """The norm's output is read by a product of full precision too, which a folded factor would change."""
    gate = next(node for node in model.graph if node.name == GATE.removesuffix(".weight"))
    head = ir.Value(name="lm_head.weight", const_value=ir.tensor(weights(model)[GATE]), shape=ir.Shape([64, 96]))
    model.graph.register_initializer(head)
    gate.replace_input_with(1, head)
    del model.graph.initializers[GATE]
    return model


def test_statistics_that_are_missing_are_named(stats: Statistics) -> None:
    with pytest.raises(QuantError, match=r"int4-g32-gptq needs the activations that enter .*ff_proj.up.weight"):
        quantize_model(mlp(), plan_of("int4-g32-gptq", "llm.ffn"))
    one = Statistics({UP: stats[UP]})
    with pytest.raises(QuantError, match=r"statistics of 1 other products; what to do: give calibration episodes"):
        quantize_model(mlp(), plan_of("int8-w8a8-static", "llm.ffn"), one)


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(QuantError, match=r"one of onnxruntime, qdq, emulated; got: coreml"):
        quantize_model(mlp(), plan_of("int8-w8a8", "llm.ffn"), form="coreml")
