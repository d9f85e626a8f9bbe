"""W8A8 with a calibrated activation: quantize and dequantize on one grid before the product.

The same form for ONNX Runtime, which fuses it into its integer kernel, and TensorRT. What quantizes an activation for
several products is written once for each, as ONNX Runtime fuses only a pair with one user.
"""

from __future__ import annotations

import numpy as np

from quant.rewrite.rows import integer_weight
from quant.rewrite.work import ISLAND, Insert, Product, Work
from quant.schemes.static import static_step

OPERATORS = frozenset(["DequantizeLinear", "QuantizeLinear"])
_ISLAND = "int8"


def rewrite_static(work: Work, product: Product) -> None:
    """In place. Raises QuantError where there are no statistics."""
    node, x, name = product.node, product.x, str(product.node.name)
    add = Insert(work.graph, node, _ISLAND)
    stats = work.told(product)
    assert stats is not None
    step = add.const(f"{product.name}.step", np.array(static_step(stats), dtype=np.float32))
    zero = add.const("quant.zero", np.array(0, dtype=np.int8))
    user = work.users[x]
    work.users[x] += 1
    grid = add.op("QuantizeLinear", x, step, zero, name=f"{name}.q", axis=user)
    row = add.op("DequantizeLinear", grid, step, zero, name=f"{name}.row", axis=user)
    node.replace_input_with(0, row)
    node.replace_input_with(1, integer_weight(work, add, product))
    node.metadata_props[ISLAND] = _ISLAND
