"""What a plan costs, stage by stage: operations by type of product, bytes that are read, bytes that are stored.

A stage is a graph at one size and how often a call runs it. Takes counts (quant.count) and a plan; gives numbers that
hold on every computer. quant.roofline turns them into times.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from quant.count import GraphCount, Product, Weight
from quant.plan import Plan
from quant.precisions import FLOATS, FULL
from quant.rewrite.weight_only import CHANNEL_BLOCK
from quant.rewrite.work import ORT, QDQ
from quant.schemes import SCHEMES
from quant.targets import BLOCKS, INT8

ITEM = {"fp32": 4, "fp16": 2, "bf16": 2}  # bytes of a number


@dataclass(frozen=True, slots=True)
class Stage:
    """A graph at one size, and how often one call runs it."""

    name: str  # vision, prefill, decode, context, flow
    count: GraphCount
    runs: int
    note: str = ""  # what `runs` stands for, where that is not plain


@dataclass(frozen=True, slots=True)
class StageCost:
    """Of one run, but for `runs`."""

    name: str
    graph: str
    runs: int
    operations: dict[str, int]  # by type of product: fp32, fp16, bf16, int8, int8-blocks
    streamed: int  # bytes of weights, looked-up rows, inputs and outputs
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """A plan's cost of one call, and what it keeps in memory. Bytes."""

    stages: tuple[StageCost, ...]
    weights: dict[str, int]  # stored, by graph
    groups: dict[str, int]  # stored, by the plan's choice
    half: int  # of these, in float16 or bfloat16
    doors: int  # inputs and outputs of all graphs, a tensor that several share counted once: K and V above all
    between: int  # the most that lies between the nodes of a graph

    @property
    def stored(self) -> int:
        """Bytes of all weights: the bundle, but for a few MB of graphs and words."""
        return sum(self.weights.values())


def cost_of(plan: Plan, stages: Iterable[Stage], form: str = QDQ) -> Cost:
    """The cost of a plan whose products are written in `form`. Raises ExportError where a weight is in no group."""
    stages = tuple(stages)
    weights: dict[str, int] = {}
    groups: dict[str, int] = {}
    shared: dict[str, int] = {}
    half = 0
    for graph in {stage.count.name: stage.count for stage in stages}.values():
        base = plan.base(graph.name)
        for weight in graph.weights:
            choice = plan.choice(graph.name, weight.name)
            size = stored_bytes(weight, choice.scheme, base, form)
            weights[graph.name] = weights.get(graph.name, 0) + size
            groups[choice.group] = groups.get(choice.group, 0) + size
            half += size if ITEM.get(choice.scheme) == 2 else 0
        shared |= {door.name: door.numbers * door.item for door in graph.doors}
    between = max(stage.count.between * ITEM[plan.base(stage.count.name)] for stage in stages)
    return Cost(
        tuple(_stage(plan, stage, form) for stage in stages), weights, groups, half, sum(shared.values()), between
    )


def _stage(plan: Plan, stage: Stage, form: str) -> StageCost:
    count, base = stage.count, plan.base(stage.count.name)
    operations: dict[str, int] = {}
    for product in count.products:
        kind = product_type(plan, count.name, product, form)
        operations[kind] = operations.get(kind, 0) + product.operations
    read = 0
    for weight in count.weights:
        size = math.prod(weight.shape)
        stored = stored_bytes(weight, plan.choice(count.name, weight.name).scheme, base, form)
        read += stored * weight.read // size if size else 0
    doors = sum(door.numbers * door.item for door in count.doors)  # as written: float32 in every precision
    return StageCost(stage.name, count.name, stage.runs, operations, read + doors, stage.note)


def product_type(plan: Plan, graph: str, product: Product, form: str = QDQ) -> str:
    """In what a product is computed: integers where weight and activation are, else the graph's float type; float32 on
    an island. ONNX Runtime's kernel for integer weights rounds the activation too, block by block.
    """
    base = plan.base(graph)
    if product.island:
        return FULL
    if product.weight is None:
        return base
    scheme = plan.choice(graph, product.weight).scheme
    if scheme in FLOATS:
        return FULL if scheme == FULL else base
    return INT8 if SCHEMES[scheme].activation_bits == 8 else BLOCKS if form == ORT else base


def stored_bytes(weight: Weight, scheme: str, base: str, form: str = QDQ) -> int:
    """Bytes of one initializer: numbers and scales of a quantized matrix, the graph's float type for what is none.

    Scales are float32, one for each column, or for each group of rows and column; of a table one for each row. For
    ONNX Runtime a matrix whose activation stays float is stored in blocks of rows, the last one filled up, and every
    block has scales.
    """
    size = math.prod(weight.shape)
    if weight.item != 4:
        return size * weight.item  # indices
    row = SCHEMES[scheme]
    if scheme in FLOATS or len(weight.shape) != 2:
        kind = FULL if weight.island else scheme if scheme in FLOATS and len(weight.shape) > 1 else base
        return size * ITEM[kind]
    rows, columns = weight.shape
    if weight.table:
        return size * row.weight_bits // 8 + 4 * rows
    group = row.group or (CHANNEL_BLOCK if form == ORT and row.activation_bits == 32 else 0)
    if not group:
        return size * row.weight_bits // 8 + 4 * columns
    blocks = math.ceil(rows / group)
    filled = blocks * group if form == ORT else rows
    return math.ceil(filled * columns * row.weight_bits / 8) + 4 * blocks * columns
