"""Puts a plan into a graph: each product whose weight the plan quantizes becomes its scheme's ONNX form.

In this order: rotations and factors, which leave the graph's numbers as they are; then products and tables, one by
one; then, where the plan asks for float16 or bfloat16, all that is left but the float32 islands.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from policy_spec.errors import QuantError, sentence
from quant.lowfloat import lower, on_island
from quant.plan import Plan
from quant.rewrite import lookup, migrate, rows, static, weight_only
from quant.rewrite.rotate import rotate
from quant.rewrite.work import EMULATED, FORMS, ORT, QDQ, Product, Work, original
from quant.schemes import BRAIN, FLOAT, FULL, HALF, ROWS, STATIC, WEIGHT
from quant.statistics import Statistics

# What rewrites put beside the operators of a full-precision graph; a test holds quantized graphs to it.
STANDARD = rows.OPERATORS | static.OPERATORS | weight_only.OPERATORS | lookup.OPERATORS | migrate.OPERATORS
OPERATORS: dict[str, frozenset[str]] = {
    ORT: STANDARD | {weight_only.NBITS, static.INTEGER},
    QDQ: STANDARD,
    EMULATED: STANDARD,
}

LOW = {HALF: ir.DataType.FLOAT16, BRAIN: ir.DataType.BFLOAT16}
REWRITES: dict[str, Callable[[Work, Product], None]] = {
    ROWS: rows.rewrite_rows,
    STATIC: static.rewrite_static,
    WEIGHT: weight_only.rewrite_weight,
}


def quantize_model(model: ir.Model, plan: Plan, stats: Statistics | None = None, form: str = ORT) -> dict[str, int]:
    """Rewrites `model` in place. Returns how many weights each scheme took. Raises QuantError where the plan names an
    unknown scheme, where statistics are missing, or a group does not divide a weight.
    """
    if form not in FORMS:
        raise QuantError(sentence("form of a quantized graph", expected=f"one of {', '.join(FORMS)}", got=form))
    work = Work(model.graph, plan, stats or Statistics({}), form)
    rotate(work)
    taken: dict[str, int] = {}
    products = work.products()
    migrate.migrate(work, [product for product in products if product.scheme.form != FLOAT])
    for product in products:
        scheme = product.scheme
        if scheme.form != FLOAT:
            REWRITES[scheme.form](work, product)
        taken[scheme.name] = taken.get(scheme.name, 0) + 1
    for node in lookup.tables(work):
        scheme_name = lookup.rewrite_table(work, node)
        taken[scheme_name] = taken.get(scheme_name, 0) + 1
    _low(work)
    for name in [n for n, v in model.graph.initializers.items() if not v.uses() and not v.is_graph_output()]:
        del model.graph.initializers[name]
    return taken


def _low(work: Work) -> None:
    """The float type that the plan gives this graph, for what is not quantized; products that the plan keeps in full
    precision are islands.
    """
    base, where = work.plan.base(str(work.graph.name)), f"the graph {work.graph.name}"
    if base == FULL:
        return
    if base == BRAIN and work.form == ORT:
        raise QuantError(
            sentence(f"{where} in {BRAIN}: ONNX Runtime's CPU has no such products", do=f"choose {HALF} or {FULL}")
        )

    def keep(node: ir.Node) -> bool:
        weight = node.inputs[1] if node.op_type == "MatMul" else None
        if weight is None or weight.const_value is None or len(weight.const_value.shape) != 2:
            return on_island(node)
        return on_island(node) or work.scheme(original(str(weight.name))).name == FULL

    lower(work.graph, LOW[base], keep, emulate=work.form == EMULATED)
