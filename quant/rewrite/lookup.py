"""Embedding tables: rows looked up as they are stored, INT8 with a scale per row, float16 or bfloat16, and made
float32 after.

For ONNX Runtime plain operators (Gather, Cast, Mul): the whole table is never made float32 in memory. For TensorRT an
INT8 table is dequantized before the lookup: it takes an INT8 constant nowhere but before DequantizeLinear, and looks up
first by itself (its engine holds the table in INT8; docs/tensorrt.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx_ir as ir

from policy_spec.errors import QuantError, sentence
from quant.lowfloat import rounded
from quant.rewrite.work import QDQ, Insert, Work, take_over
from quant.schemes import BRAIN, FULL, HALF, W8, quantize_per_channel

OPERATORS = frozenset(["Cast", "DequantizeLinear", "Gather", "Mul"])
LOW = {HALF: ir.DataType.FLOAT16, BRAIN: ir.DataType.BFLOAT16}
TABLES = (W8, *LOW)  # the schemes that a table can have
_ROWS = 8192  # quantized at a time: a table of a real vocabulary is 1.5 GB in float32


def tables(work: Work) -> list[ir.Node]:
    """Every lookup in a float32 matrix that the plan does not keep in full precision. Raises QuantError where it gives
    one a scheme that no table can have.
    """
    found = []
    for node in work.graph:
        table = node.inputs[0] if node.op_type == "Gather" else None
        if table is None or table.const_value is None or len(table.shape or ()) != 2:
            continue
        if table.const_value.dtype != ir.DataType.FLOAT or ".wte." not in str(table.name):
            continue
        scheme = work.scheme(str(table.name)).name
        if scheme not in (FULL, *TABLES):
            expected = f"one of {', '.join((FULL, *TABLES))}"
            raise QuantError(sentence(f"scheme of the table {table.name}", expected=expected, got=scheme))
        if scheme != FULL:
            found.append(node)
    return found


def rewrite_table(work: Work, node: ir.Node) -> str:
    """In place. Returns the scheme."""
    table, ids = node.inputs
    assert table is not None and ids is not None and table.const_value is not None and table.shape is not None
    name, source, scheme = str(table.name), table.const_value, work.scheme(str(table.name)).name
    sides = int(table.shape[0]), int(table.shape[1])
    add, label = Insert(work.graph, node), node.name or f"{name}.rows"
    if scheme in LOW:
        low, part = LOW[scheme], f"{name}.low"
        table = add.lazy(part, low, sides, lambda: _in_rows(source, lambda rows: rounded(rows, low, part).numpy()))
        picked = add.op("Gather", table, ids, name=f"{label}.low", axis=0)
        take_over(work.graph, node, add.op("Cast", picked, name=f"{label}.float", to=ir.DataType.FLOAT))
        return scheme
    values = add.lazy(f"{name}.values", ir.DataType.INT8, sides, lambda: _in_rows(source, _integers))
    if work.form == QDQ:
        steps = add.lazy(f"{name}.scale", ir.DataType.FLOAT, sides[:1], lambda: _row_scales(source)[:, 0])
        rows = add.op("DequantizeLinear", values, steps, name=f"{label}.dq", axis=0)
        take_over(work.graph, node, add.op("Gather", rows, ids, name=f"{label}.picked", axis=0))
        return scheme
    scale = add.lazy(f"{name}.scale", ir.DataType.FLOAT, (sides[0], 1), lambda: _row_scales(source))
    picked = add.op("Gather", values, ids, name=f"{label}.values", axis=0)
    steps = add.op("Gather", scale, ids, name=f"{label}.scale", axis=0)
    floats = add.op("Cast", picked, name=f"{label}.float", to=ir.DataType.FLOAT)
    take_over(work.graph, node, add.op("Mul", floats, steps, name=f"{label}.scaled"))
    return scheme


def _slices(source: ir.TensorProtocol) -> Iterator[tuple[slice, np.ndarray]]:
    table = source.numpy()
    for start in range(0, len(table), _ROWS):
        rows = slice(start, min(start + _ROWS, len(table)))
        yield rows, np.asarray(table[rows], dtype=np.float32)


def _in_rows(source: ir.TensorProtocol, store: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    parts = ((rows, store(part)) for rows, part in _slices(source))
    rows, first = next(parts)
    out = np.empty(source.shape.numpy(), dtype=first.dtype)
    out[rows] = first
    for rows, part in parts:
        out[rows] = part
    return out


def _integers(rows: np.ndarray) -> np.ndarray:
    """A table's row is what a weight's column is to a product."""
    return quantize_per_channel(rows.T).values.T


def _row_scales(source: ir.TensorProtocol) -> np.ndarray:
    return np.concatenate([quantize_per_channel(part.T).scale for _, part in _slices(source)])[:, None]
