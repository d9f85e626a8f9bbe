"""Embedding tables stored in INT8 rows, float16 or bfloat16: looked up as numpy reads them back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from policy_spec.errors import QuantError
from quant.rewrite import EMULATED, ORT, QDQ, quantize_model
from quant.rewrite.lookup import _ROWS
from quant.schemes import SCHEMES, effective
from tests.quant.graphs_by_hand import plan_of, run

TABLE = "model.transformer.wte.merged"
SIDES = (_ROWS + 40, 8)  # more rows than are quantized at a time


def table() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(SIDES) * rng.uniform(0.01, 30, (SIDES[0], 1))).astype(np.float32)


def lookup() -> ir.Model:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gather", [TABLE, "ids"], ["y"], axis=0)],
        "llm",
        [value("ids", onnx.TensorProto.INT32, [1, 5])],
        [value("y", onnx.TensorProto.FLOAT, [1, 5, SIDES[1]])],
        [onnx.numpy_helper.from_array(table(), TABLE)],
    )
    return ir.from_proto(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10))


@pytest.mark.parametrize("form", [ORT, QDQ, EMULATED])
@pytest.mark.parametrize(
    "scheme,per_row", [("int8-weight", SIDES[1] + 4), ("fp16", 2 * SIDES[1]), ("bf16", 2 * SIDES[1])]
)
def test_rows_as_numpy_reads_them_back(scheme: str, per_row: int, form: str, tmp_path: Path) -> None:
    model, ids = lookup(), np.array([[0, 7, _ROWS - 1, _ROWS, SIDES[0] - 1]], np.int32)
    assert quantize_model(model, plan_of(scheme, "llm.embeddings"), form=form) == {scheme: 1}
    stored = sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value)
    assert stored == SIDES[0] * per_row  # bytes
    got = run(model, {"ids": ids}, tmp_path)
    row = SCHEMES[scheme]
    assert row.quantize is not None
    back = effective(row, row.quantize(table().T)).T
    assert np.array_equal(got[0], back[ids[0]])
    assert not np.array_equal(got[0], table()[ids[0]])  # the control
    assert np.abs(got[0] - table()[ids[0]]).max() < 0.02 * np.abs(table()[ids[0]]).max()


def test_a_scheme_that_no_table_can_have_is_refused() -> None:
    with pytest.raises(QuantError, match=r"scheme of the table .*expected: one of fp32, int8-weight, fp16, bf16"):
        quantize_model(lookup(), plan_of("int4-g32", "llm.embeddings"))
