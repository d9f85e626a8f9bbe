"""W8A8 with a calibrated activation: put on one grid before the product.

For TensorRT a quantize and dequantize; for ONNX Runtime its integer kernel by name, on unsigned values around 128, the
same grid: of a product with a bias it would first make a Gemm, which it then runs in float32, slower than without
INT8. What quantizes an activation for several products is written once for each.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from quant.rewrite.rows import integer_weight, stored_weight
from quant.rewrite.work import ISLAND, ORT, Insert, Product, Work, take_over
from quant.schemes.static import static_step

OPERATORS = frozenset(["DequantizeLinear", "QuantizeLinear"])
INTEGER, MICROSOFT = "MatMulIntegerToFloat", "com.microsoft"
_ISLAND = "int8"


def rewrite_static(work: Work, product: Product) -> None:
    """In place. Raises QuantError where there are no statistics."""
    node = product.node
    add, stats = Insert(work.graph, node, _ISLAND), work.told(product)
    assert stats is not None
    step = add.const(f"{product.name}.step", np.array(static_step(stats), dtype=np.float32))
    (_integer if work.form == ORT else _dequantized)(work, product, add, step)


def _integer(work: Work, product: Product, add: Insert, step: ir.Value) -> None:
    node, name = product.node, str(product.node.name)
    middle = add.const("quant.middle", np.array(128, dtype=np.uint8))
    grid = add.op("QuantizeLinear", product.x, step, middle, name=f"{name}.q")
    values, scale = stored_weight(work, add, product)
    work.graph.opset_imports[MICROSOFT] = 1
    out = add.op(INTEGER, grid, values, step, scale, middle, name=f"{name}.int8", domain=MICROSOFT)
    take_over(work.graph, node, out)


def _dequantized(work: Work, product: Product, add: Insert, step: ir.Value) -> None:
    node, x, name = product.node, product.x, str(product.node.name)
    zero, user = add.const("quant.zero", np.array(0, dtype=np.int8)), work.users[x]
    work.users[x] += 1
    grid = add.op("QuantizeLinear", x, step, zero, name=f"{name}.q", axis=user)
    node.replace_input_with(0, add.op("DequantizeLinear", grid, step, zero, name=f"{name}.row", axis=user))
    node.replace_input_with(1, integer_weight(work, add, product))
    node.metadata_props[ISLAND] = _ISLAND
