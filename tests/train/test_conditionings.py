"""What the expert attends to: the ablations against their definition, and that export knows the released one alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from export.build import GraphOptions, open_job
from policy_spec.config import ModelConfig
from policy_spec.errors import CheckpointError
from tests.checkpoints import variant
from tests.train.material import micro_checkpoint
from train.checkpoint import expected_shapes, load_model
from train.model.norms import rms_norm
from train.released_names import released_tensors


@pytest.fixture(scope="module")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return micro_checkpoint(tmp_path_factory.mktemp("micro") / "checkpoint")


def conditioned(micro: Path, folder: Path, kind: str) -> Path:
    return variant(micro, folder, lambda config: config["action_expert_config"].update(conditioning=kind))


def test_heads_are_projected_one_by_one(micro: Path, tmp_path: Path) -> None:
    model = load_model(conditioned(micro, tmp_path / "c", "per_head"))
    expert = model.model.action_expert
    kv = [(torch.randn(1, 2, 5, 16), torch.randn(1, 2, 5, 16)) for _ in range(2)]
    for (k, v), (got_k, got_v) in zip(kv, expert.context(kv), strict=True):
        heads = [rms_norm(torch.cat([p(x[:, h]) for h in range(2)], -1), 1e-6) for p, x in
                 ((expert.context_k_proj, k), (expert.context_v_proj, v))]  # fmt: skip
        expected_k, expected_v = (h.unflatten(-1, (2, -1)).transpose(1, 2) for h in heads)
        assert torch.allclose(got_k, rms_norm(expected_k, 1e-6), atol=1e-6)
        assert torch.allclose(got_v, expected_v, atol=1e-6)


def test_the_last_state_is_all_that_the_blocks_share(micro: Path, tmp_path: Path) -> None:
    model = load_model(conditioned(micro, tmp_path / "c", "hidden_state"))
    ids = torch.arange(12)[None]
    hidden, kv = model.llm(ids, torch.zeros(0, 32), torch.zeros(1, 12))
    context = model.context(kv, ids, torch.ones(1, 12, dtype=torch.bool))
    assert len(context) == 2 and torch.equal(context[0][1], context[1][1])
    expected = rms_norm(model.model.action_expert.context_v_proj(hidden), 1e-6).unflatten(-1, (2, -1)).transpose(1, 2)
    assert torch.allclose(context[0][1], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["per_head", "hidden_state"])
def test_names_and_shapes_agree_and_export_refuses(micro: Path, tmp_path: Path, kind: str) -> None:
    folder = conditioned(micro, tmp_path / "c", kind)
    config = ModelConfig.from_dict(json.loads((folder / "config.json").read_text()))
    written = {t.name: t.shape for t in released_tensors(config) if t.theta is None}
    assert written == expected_shapes(config)
    with pytest.raises(CheckpointError, match=f"cannot be exported; expected: .*per_layer.*got: {kind}"):
        open_job(folder, GraphOptions(), lambda *_: None)


def test_what_cannot_be_conditioned_is_refused(micro: Path) -> None:
    said = json.loads((micro / "config.json").read_text())

    def parsed(**changes: object) -> ModelConfig:
        expert = {**said["action_expert_config"], **changes}
        return ModelConfig.from_dict({**said, "action_expert_config": expert})

    with pytest.raises(CheckpointError, match="conditioning is not supported"):
        parsed(conditioning="everything")
    with pytest.raises(CheckpointError, match="a multiple of the language model's 2 K/V heads"):
        parsed(conditioning="per_head", num_heads=1)
    with pytest.raises(CheckpointError, match="because a depth gate scales K and V"):
        gated = {**said, "action_expert_depth_gate": True}
        ModelConfig.from_dict(
            {**gated, "action_expert_config": {**said["action_expert_config"], "conditioning": "hidden_state"}}
        )
