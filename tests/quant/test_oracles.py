"""Every scheme's numpy pair against somebody else's: ONNX Runtime's dequantization, its packed weights, torch's casts.

Bit for bit, but for products, whose sums are ordered otherwise.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from policy_spec.errors import QuantError
from quant.rewrite.weight_only import block_scales, packed_bytes
from quant.schemes import SCHEMES, Quantized, Scheme, effective
from quant.schemes.blocks import full_scale, in_blocks
from quant.schemes.static import quantize_static_activation, static_step
from quant.schemes.token import quantize_per_token
from quant.statistics import Accumulator, ProductStats
from tests.quant.graphs_by_hand import one_node

ROWS, COLUMNS = 256, 24
INT4 = [name for name in SCHEMES if name.startswith("int4-")]
INT8 = [name for name in SCHEMES if name.startswith("int8-")]


def weight(seed: int = 0) -> np.ndarray:
    w = np.random.default_rng(seed).standard_normal((ROWS, COLUMNS)).astype(np.float32)
    w[:, 3] = 0.0
    return w


def activations(seed: int = 1) -> np.ndarray:
    """Correlated channels, two of them large: what the fitted schemes are for."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((400, 40)) @ rng.standard_normal((40, ROWS)) + rng.standard_normal((400, ROWS))
    x[:, [5, 77]] *= 60.0
    return x.astype(np.float32)


@pytest.fixture(scope="module")
def stats() -> ProductStats:
    made = Accumulator(gram=True)
    made.add("w", activations())
    return made.done()["w"]


def packed4(values: np.ndarray, name: str) -> onnx.TensorProto:
    """INT4 as ONNX holds it, by onnx's own helper."""
    return onnx.helper.make_tensor(name, onnx.TensorProto.INT4, values.shape, values.reshape(-1).tolist())


@pytest.mark.parametrize("name", [*INT8, *INT4])
def test_dequantized_as_onnxruntime_does(name: str, stats: ProductStats) -> None:
    scheme = SCHEMES[name]
    got = scheme.fitted(weight(), stats)
    assert scheme.dequantize is not None and got.values.dtype == np.int8 and got.scale.dtype == np.float32
    if scheme.group:
        assert got.scale.shape == (ROWS // scheme.group, COLUMNS) and got.values.min() >= -8 and got.values.max() <= 7
        arrays = {"v": packed4(got.values, "v"), "s": got.scale}
        oracle = one_node("DequantizeLinear", arrays, axis=0, block_size=scheme.group)
    else:
        oracle = one_node("DequantizeLinear", {"v": got.values, "s": got.scale}, axis=1)
    assert np.array_equal(scheme.dequantize(got), oracle)


@pytest.mark.parametrize("name", [name for name in INT4 if not SCHEMES[name].needs])
def test_rounded_as_onnxruntime_does(name: str) -> None:
    scheme = SCHEMES[name]
    got = scheme.fitted(weight())
    sizes = {"axis": 0, "block_size": scheme.group, "output_dtype": onnx.TensorProto.INT4}
    oracle = one_node("QuantizeLinear", {"w": weight(), "s": got.scale}, cast=onnx.TensorProto.INT8, **sizes)
    assert np.array_equal(got.values, oracle)
    assert np.array_equal(got.scale, full_scale(in_blocks(weight(), scheme.group)))


def test_int8_as_torch_does() -> None:
    got, w = SCHEMES["int8-weight"].fitted(weight()), torch.from_numpy(weight())
    scale, zero = torch.from_numpy(got.scale), torch.zeros(COLUMNS, dtype=torch.int32)
    fake = torch.fake_quantize_per_channel_affine(w, scale, zero, 1, -127, 127)
    assert np.array_equal(effective(SCHEMES["int8-weight"], got), fake.numpy())


def test_activations_as_onnxruntime_rounds_them(stats: ProductStats) -> None:
    x, step = activations(2), static_step(stats)
    oracle = one_node("QuantizeLinear", {"x": x, "s": np.float32(step), "z": np.int8(0)})
    assert np.array_equal(quantize_static_activation(x, step), oracle)
    values, largest = quantize_per_token(x)
    unit = (x / largest).astype(np.float32)
    assert np.array_equal(values, one_node("QuantizeLinear", {"x": unit, "s": np.float32(1 / 127), "z": np.int8(0)}))


@pytest.mark.parametrize("name,kind", [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_floats_as_torch_casts_them(name: str, kind: torch.dtype) -> None:
    w = weight() * np.float32(1e3)
    w.flat[:6] = [65504.0, 65519.0, 1e-7, -1e-8, 1.00390625, 0.0]  # the largest, ties, what only bfloat16 holds
    scheme = SCHEMES[name]
    assert np.array_equal(effective(scheme, scheme.fitted(w)), torch.from_numpy(w).to(kind).float().numpy())
    if name == "fp16":
        with pytest.raises(QuantError, match="does not fit float16"):
            scheme.fitted(np.full((2, 2), 65520.0, np.float32))


@pytest.mark.parametrize("bits,group,rows", [(4, 32, 256), (4, 128, 256), (8, 0, 256), (8, 0, 300)])
def test_packed_as_onnxruntime_unpacks(bits: int, group: int, rows: int) -> None:
    """MatMulNBits without rounded activations (accuracy_level 1) against the float product."""
    scheme = SCHEMES[f"int4-g{group}" if group else "int8-weight"]
    w = np.random.default_rng(5).standard_normal((rows, COLUMNS)).astype(np.float32)
    got, block = scheme.fitted(w), group or 128
    x = np.eye(rows, dtype=np.float32)  # so that the product is the weight itself
    sizes = {"K": rows, "N": COLUMNS, "bits": bits, "block_size": block, "accuracy_level": 1}
    arrays = {"x": x, "b": packed_bytes(got, bits, block), "s": block_scales(got, -(-rows // block)).reshape(-1)}
    assert np.array_equal(one_node("MatMulNBits", arrays, domain="com.microsoft", **sizes), effective(scheme, got))


def lost(scheme: Scheme, stats: ProductStats, seed: int = 3) -> float:
    """Relative error of the float product over activations that the scheme was not fitted to."""
    x, w = activations(1)[200:], weight(seed)
    return float(np.linalg.norm(x @ effective(scheme, scheme.fitted(w, stats)) - x @ w) / np.linalg.norm(x @ w))


@pytest.mark.parametrize("group", [32, 64, 128])
def test_what_is_fitted_loses_less(group: int, stats: ProductStats) -> None:
    plain, awq, gptq = (lost(SCHEMES[f"int4-g{group}{way}"], stats) for way in ("", "-awq", "-gptq"))
    assert awq < 0.8 * plain and gptq < 0.5 * plain


def test_finer_groups_and_more_bits_lose_less(stats: ProductStats) -> None:
    losses = [lost(SCHEMES[name], stats) for name in ("int8-weight", "int4-g32", "int4-g64", "int4-g128")]
    assert losses == sorted(losses) and losses[0] < 0.1 * losses[1]


def test_what_cannot_be_done_is_refused(stats: ProductStats) -> None:
    ragged = np.ones((4304, 2), np.float32)
    for name in ("int4-g32", "int4-g128-awq"):
        made = Accumulator()
        made.add("w", np.ones((4, 4304), np.float32))
        with pytest.raises(QuantError, match=r"4304 rows cannot be cut .*do: choose int8-weight or fp16"):
            SCHEMES[name].fitted(ragged, made.done()["w"])
    for scheme in SCHEMES.values():
        if scheme.needs:
            with pytest.raises(QuantError, match=r"give calibration episodes|collect statistics"):
                scheme.fitted(weight())
    made = Accumulator()
    made.add("w", activations())
    with pytest.raises(QuantError, match="statistics without it"):
        SCHEMES["int4-g32-gptq"].fitted(weight(), made.done()["w"])


def test_gptq_without_correlation_is_rounding(stats: ProductStats) -> None:
    """The control: where no channel tells of another, nothing can be made up for."""
    eye = ProductStats("w", 1, stats.largest, -1, 1, -1, 1, np.ones(ROWS), stats.sample, np.eye(ROWS))
    got: Quantized = SCHEMES["int4-g32-gptq"].fitted(weight(), eye)
    plain = np.rint(weight().reshape(-1, 32, COLUMNS) / got.scale[:, None, :]).clip(-8, 7).reshape(ROWS, COLUMNS)
    assert np.array_equal(got.values, plain)
