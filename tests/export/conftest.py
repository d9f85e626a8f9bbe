"""Graphs of the tiny checkpoint, built and verified once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from export.build import Built, BuiltCached, GraphOptions, build_graphs, plan_sizes, write_graphs
from policy_spec.spec import PolicySpec
from tests.checkpoints import variant
from train.checkpoint import Checkpoint


@pytest.fixture(scope="session")
def built(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build_graphs(tiny_checkpoint, tmp_path_factory.mktemp("graphs") / "full", GraphOptions(), lambda *_: None)


@pytest.fixture(scope="session")
def deep_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like the tiny checkpoint, and it predicts depth: a gate per layer, on K and V that no norm levels afterwards."""

    def change(config: dict[str, Any]) -> None:
        config |= {"enable_depth_reasoning": True}
        config |= {"action_expert_depth_gate": True, "action_expert_depth_gate_per_layer": True}
        config["action_expert_config"] |= {"context_layer_norm": False}

    return variant(tiny_checkpoint, tmp_path_factory.mktemp("deep") / "checkpoint", change)


@pytest.fixture(scope="session")
def thinking(deep_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graphs of mode think, written and not verified."""
    folder, spec = tmp_path_factory.mktemp("thinking"), PolicySpec.from_checkpoint(deep_checkpoint)
    sizes = plan_sizes(spec, deep_checkpoint / "tokenizer.json", GraphOptions(mode="think"))
    write_graphs(Checkpoint(deep_checkpoint), spec, sizes, folder, lambda *_: None)
    return folder


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
