"""What enters each product: the reference's walk says what float graphs with extra outputs say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from export import golden
from export.build import Built
from export.walk_stats import StatisticsWalk
from quant.collect import Collector, rows_used
from quant.statistics import Accumulator, Statistics
from train.checkpoint import Checkpoint


def products(folder: Path) -> dict[str, set[str]]:
    """Weights of two sides that each graph multiplies with."""
    found = {}
    for path in folder.glob("*.onnx"):
        nodes = [node for node in ir.load(path).graph if node.op_type == "MatMul"]
        weights = (node.inputs[1] for node in nodes)
        found[path.stem] = {str(w.name) for w in weights if w is not None and w.const_value is not None}
    return found


@pytest.fixture(scope="module")
def told(built: Built, tiny_checkpoint: Path) -> tuple[Statistics, Statistics]:
    """By the graphs, and by the walk."""
    pad, wanted = built.spec.token_ids["pad"], products(built.folder)
    seen = golden.observation(built.pipeline.tag, built.pipeline.cameras)
    task = golden.task(built.pipeline, seen)
    by_graphs, by_walk = Accumulator(), Accumulator()
    run = Collector(built.folder, wanted, by_graphs, pad)
    built.pipeline.predict(run, seen, task, seed=golden.SEED)
    walk = StatisticsWalk(
        Checkpoint(tiny_checkpoint),
        built.pipeline,
        built.sizes.variant,
        by_walk.add,
        lambda graph, feeds: rows_used(graph, feeds, pad),
        set().union(*wanted.values()),
    )
    built.pipeline.predict(walk, seen, task, seed=golden.SEED)
    return by_graphs.done(), by_walk.done()


def test_every_product_is_told(told: tuple[Statistics, Statistics], built: Built) -> None:
    by_graphs, by_walk = told
    wanted = set().union(*products(built.folder).values())
    assert set(by_graphs) == set(by_walk) == wanted and len(wanted) > 100


def test_both_tell_the_same(told: tuple[Statistics, Statistics]) -> None:
    by_graphs, by_walk = told
    for name, expected in by_graphs.items():
        got = by_walk[name]
        assert got.rows == expected.rows, name
        scale = float(expected.largest.max())
        assert np.abs(got.largest - expected.largest).max() < 1e-4 * scale, name
        assert np.abs(got.mean_square - expected.mean_square).max() < 1e-4 * expected.mean_square.max(), name
    # The control: two layers are not told the same.
    first, second = (by_walk[f"model.transformer.blocks.{i}.mlp.ff_out.weight"] for i in (0, 1))
    assert np.abs(first.mean_square - second.mean_square).max() > 0.01 * first.mean_square.max()
