"""Weight-only INT8 and INT4: the activation stays as it is.

For ONNX Runtime MatMulNBits with accuracy_level 4: its kernel rounds the activation to INT8 in each block, which loses
far less than an INT4 weight and as much as an INT8 one, and is the only level that is not slower than float32. For
TensorRT the weight is dequantized by a standard node, in blocks with opset 21 where it is INT4. What MatMulNBits holds
(docs of com.microsoft.MatMulNBits): [N, blocks, bytes], the even element of an INT4 pair in the low half, zero point
in the middle.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from policy_spec.errors import QuantError
from quant.rewrite.work import ORT, Insert, Product, Work, take_over
from quant.schemes import Quantized
from quant.schemes.blocks import in_blocks

OPERATORS = frozenset(["DequantizeLinear"])
NBITS = "MatMulNBits"
MICROSOFT = "com.microsoft"
BLOCK_OPSET = 21  # the first whose DequantizeLinear takes blocks and INT4
CHANNEL_BLOCK = 128  # MatMulNBits knows only blocks: a channel's scale is repeated for each


def rewrite_weight(work: Work, product: Product) -> None:
    """In place. Raises QuantError where the group does not divide the weight's rows."""
    if product.scheme.group:
        try:
            in_blocks(np.empty((product.sides[0], 0), dtype=np.int8), product.scheme.group)
        except QuantError as error:
            raise QuantError(f"{product.name}: {error}") from error
    (_nbits if work.form == ORT else _dequantized)(work, product)


def _dequantized(work: Work, product: Product) -> None:
    node, name, sides = product.node, product.name, product.sides
    add, compute, group = Insert(work.graph, node), work.quantized(product), product.scheme.group
    if not group:
        values = add.lazy(f"{name}.values", ir.DataType.INT8, sides, lambda: compute().values)
        scale = add.lazy(f"{name}.scale", ir.DataType.FLOAT, sides[1:], lambda: compute().scale)
        back = add.op("DequantizeLinear", values, scale, name=f"{node.name}.dq", axis=1)
    else:
        opset = work.graph.opset_imports
        opset[""] = max(opset[""], BLOCK_OPSET)
        blocks = (sides[0] // group, sides[1])
        values = add.lazy(f"{name}.values", ir.DataType.INT4, sides, lambda: compute().values)
        scale = add.lazy(f"{name}.scale", ir.DataType.FLOAT, blocks, lambda: compute().scale)
        back = add.op("DequantizeLinear", values, scale, name=f"{node.name}.dq", axis=0, block_size=group)
    node.replace_input_with(1, back)


def _nbits(work: Work, product: Product) -> None:
    node, name, (rows, columns) = product.node, product.name, product.sides
    bits, compute = product.scheme.weight_bits, work.quantized(product)
    block = product.scheme.group or CHANNEL_BLOCK
    blocks = -(-rows // block)
    add = Insert(work.graph, node, "weight_only")
    packed = add.lazy(
        f"{name}.packed",
        ir.DataType.UINT8,
        (columns, blocks, block * bits // 8),
        lambda: packed_bytes(compute(), bits, block),
    )
    scale = add.lazy(
        f"{name}.scale", ir.DataType.FLOAT, (columns * blocks,), lambda: block_scales(compute(), blocks).reshape(-1)
    )
    work.graph.opset_imports[MICROSOFT] = 1
    sizes = {"K": rows, "N": columns, "bits": bits, "block_size": block, "accuracy_level": 4}
    out = add.op(NBITS, product.x, packed, scale, name=f"{node.name}.nbits", domain=MICROSOFT, **sizes)
    take_over(work.graph, node, out)


def packed_bytes(quantized: Quantized, bits: int, block: int) -> np.ndarray:
    """uint8 [N, blocks, block * bits / 8], rows beyond K filled with the zero point."""
    middle, columns = 1 << (bits - 1), quantized.values.shape[1]
    values: np.ndarray = quantized.values.T.view(np.uint8) + np.uint8(middle)  # modulo 256, so from 0 on
    missing = -values.shape[1] % block
    if missing:
        values = np.pad(values, ((0, 0), (0, missing)), constant_values=middle)
    if bits == 4:
        values = values[:, 0::2] | (values[:, 1::2] << 4)
    return values.reshape(columns, -1, block * bits // 8)


def block_scales(quantized: Quantized, blocks: int) -> np.ndarray:
    """float32 [N, blocks]."""
    scale = quantized.scale
    return np.ascontiguousarray(scale.T) if quantized.group else np.repeat(scale[:, None], blocks, axis=1)
