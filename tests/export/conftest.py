"""Graphs of the tiny checkpoint, built and verified once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from export.build import BuiltCached, GraphOptions, build_graphs, plan_sizes, write_graphs
from policy_spec.spec import PolicySpec
from tests.checkpoints import variant
from tests.made_once import once
from train.checkpoint import Checkpoint


@pytest.fixture(scope="session")
def deep_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like the tiny checkpoint, and it predicts depth: a gate per layer, on K and V that no norm levels afterwards."""

    def change(config: dict[str, Any]) -> None:
        config |= {"enable_depth_reasoning": True}
        config |= {"action_expert_depth_gate": True, "action_expert_depth_gate_per_layer": True}
        config["action_expert_config"] |= {"context_layer_norm": False}

    return once(tmp_path_factory, "deep", lambda folder: variant(tiny_checkpoint, folder, change))


@pytest.fixture(scope="session")
def thinking(deep_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graphs of mode think, written and not verified."""

    def make(folder: Path) -> None:
        folder.mkdir()
        spec = PolicySpec.from_checkpoint(deep_checkpoint)
        sizes = plan_sizes(spec, deep_checkpoint / "tokenizer.json", GraphOptions(mode="think"))
        write_graphs(Checkpoint(deep_checkpoint), spec, sizes, folder, lambda *_: None)

    return once(tmp_path_factory, "thinking-graphs", make)


@pytest.fixture(scope="session")
def thought(deep_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> BuiltCached:
    options = GraphOptions(mode="think")
    return cached(build_graphs(deep_checkpoint, tmp_path_factory.mktemp("think") / "full", options, lambda *_: None))


@pytest.fixture(scope="session")
def answered(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> BuiltCached:
    options = GraphOptions(mode="discrete", cameras=1)
    return cached(build_graphs(tiny_checkpoint, tmp_path_factory.mktemp("discrete") / "full", options, lambda *_: None))


def cached(built: object) -> BuiltCached:
    assert isinstance(built, BuiltCached)
    return built
