"""Whole episodes of the reference: update masks, codes, generated tokens and actions, run by train's model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from policy_spec.graphs import variant_of
from policy_spec.pipeline import Observation, Pipeline, Prediction
from policy_spec.spec import PolicySpec
from policy_spec.think import STYLE, ThinkPipeline
from tests.policy_spec import tiny

pytest.importorskip("torch")
from export.reference import torch_runner
from train.checkpoint import load_model

pytestmark = [pytest.mark.reference, tiny.requires_reference]

BRACKET, TOLERANCE = 768, 2e-4
Arrays = dict[str, np.ndarray]


def episode(case: str, order: str, head: str) -> Iterator[tuple[Arrays, Prediction, ThinkPipeline]]:
    folder = tiny.REFERENCE / case
    spec = PolicySpec.from_checkpoint(folder / "checkpoint")
    tokenizer, tag = spec.tokenizer(folder / "checkpoint" / "tokenizer.json"), spec.tag()
    host = Pipeline(spec, tokenizer, tag, cameras=2, bracket=BRACKET, horizon=tag.horizon, style=STYLE)
    pipeline = ThinkPipeline(host, variant_of(spec, "think", head, tag.horizon), order=order)
    run = torch_runner(load_model(folder / "checkpoint"), spec, BRACKET, pipeline.variant)
    for path in sorted(folder.glob("think_*.npz")):
        data = dict(np.load(path))
        if data["reset"]:
            pipeline.reset()
        seen = Observation((data["image_0"], data["image_1"]), data["state"])
        yield data, pipeline.predict(run, seen, str(data["task"]), noise=data["noise"]), pipeline


def check_map(data: Arrays, out: Prediction) -> None:
    depth = out.depth
    assert depth is not None and depth.small_margins == 0
    assert np.array_equal(depth.changed, data.get("update_mask", np.ones(100, np.bool_)))
    assert np.array_equal(depth.codes, data["depth_bins"][0])


def check_actions(data: Arrays, out: Prediction, pipeline: ThinkPipeline) -> None:
    tag = pipeline.host.tag
    off = np.abs(out.normalized - data["actions_normalized"])[..., : tag.action_dim].max()
    units = np.abs((out.actions - data["actions"][0]) / tag.action.half_range()).max()
    assert off <= TOLERANCE and units <= TOLERANCE, (off, units)


def released_passes(changed: np.ndarray, data: Arrays) -> int:
    runs = int((~changed & np.append(True, changed[:-1])).sum())
    return 1 + int(changed.sum()) + runs + data["generated_token_ids"].shape[1] - 101


@pytest.mark.parametrize("case", ["think-tiny", "think-nogate-tiny", "think-busy-tiny", "think-gate-tiny"])
def test_our_order_over_whole_episodes(case: str) -> None:
    for data, out, pipeline in episode(case, "draft", "full"):
        check_map(data, out)
        assert out.depth is not None and np.array_equal(out.depth.tokens, data["generated_token_ids"][0])
        assert out.depth.passes <= released_passes(out.depth.changed, data) / 2
        check_actions(data, out, pipeline)


@pytest.mark.parametrize("case", ["think-nogate-tiny", pytest.param("think-gate-tiny", marks=pytest.mark.slow)])
def test_the_released_order_over_a_whole_episode(case: str) -> None:
    """The slow one has a reset, and tokens between the codes and depth_end."""
    for data, out, pipeline in episode(case, "released", "full"):
        check_map(data, out)
        assert out.depth is not None and np.array_equal(out.depth.tokens, data["generated_token_ids"][0])
        assert out.depth.passes == released_passes(out.depth.changed, data)
        check_actions(data, out, pipeline)


def test_the_reduced_head_gives_the_same_codes_and_forces_the_end() -> None:
    """In this case's last frame the policy says two words more: only there the actions differ, and by how much."""
    off = []
    for data, out, pipeline in episode("think-gate-tiny", "draft", "depth"):
        check_map(data, out)
        assert out.depth is not None and len(out.depth.tokens) == 102
        if data["generated_token_ids"].shape[1] == 102:
            check_actions(data, out, pipeline)
        else:
            off.append(float(np.abs(out.normalized - data["actions_normalized"]).max()))
    assert len(off) == 1 and 1e-3 < off[0] < 1e-2


def test_a_memory_that_outlives_a_reset_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: replaying across the reset gives another mask and other codes."""
    monkeypatch.setattr(ThinkPipeline, "reset", lambda self: None)
    wrong = 0
    for data, out, _ in episode("think-gate-tiny", "draft", "full"):
        assert out.depth is not None
        wrong = int((out.depth.codes != data["depth_bins"][0]).sum())
        if data["reset"]:
            break
        assert not wrong
    assert wrong > 0
