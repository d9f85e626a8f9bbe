"""Every reference case: prompt, ids, bins, masks, pixels and pooling equal; actions equal in float32."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policy_spec.image import pixel_values, pooling_index
from policy_spec.pipeline import Observation, Pipeline
from policy_spec.prompt import (
    PromptFlags,
    PromptParts,
    Tokenizer,
    expand_images,
    image_text,
    normalize_task,
    prompt_text,
    state_bins,
)
from policy_spec.spec import PolicySpec
from tests.policy_spec.tiny import REFERENCE, requires_reference

pytestmark = [requires_reference, pytest.mark.reference]
CASES = sorted(
    path.relative_to(REFERENCE).as_posix()
    for kind in ("continuous", "think", "discrete")
    for path in REFERENCE.glob(f"*/{kind}_*.npz")
)


def load(case: str) -> tuple[PolicySpec, Tokenizer, dict[str, Any]]:
    root = (REFERENCE / case).parent / "checkpoint"
    spec = PolicySpec.from_checkpoint(root)
    with np.load(REFERENCE / case) as data:
        return spec, spec.tokenizer(root / "tokenizer.json"), dict(data)


def images(data: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(data[f"image_{i}"] for i in range(9) if f"image_{i}" in data)


@pytest.mark.parametrize("case", CASES or ["none"])
def test_a_case(case: str) -> None:
    spec, tokenizer, data = load(case)
    pictures = images(data)
    pipeline = Pipeline(
        spec,
        tokenizer,
        spec.tag(),
        cameras=len(pictures),
        bracket=spec.bracket(tokenizer, len(pictures)),
        horizon=spec.max_horizon,
        style="robot_depth_action" if "think_" in case else "robot_action",
    )
    ready = pipeline.prepare(Observation(pictures, data["state"]), str(data["task"]))
    assert ready.text == str(data["prompt"])
    assert np.array_equal(ready.ids, data["input_ids"][0])
    n = len(ready.ids)
    found: dict[str, Any] = {
        "normalized_state": ready.normalized_state,
        "token_type_ids": ready.token_type[None],
        "pixel_values": pixel_values(ready.vision["patches"]),
        "image_token_pooling": np.tile(pooling_index(spec.grid, spec.pool), (len(pictures), 1)),
    }
    for name, value in found.items():
        if name in data:
            assert np.array_equal(value, data[name]), name
    if "expert_mask" in data:  # of a think case it goes on over the generated tokens
        assert np.array_equal(ready.expert_mask, data["expert_mask"][0, :n])
    if "actions_normalized" in data:
        got, expected = pipeline.actions(data["actions_normalized"]), data["actions"][0]
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def prompts() -> Iterator[dict[str, Any]]:
    path = REFERENCE / "tokenizer-full" / "prompts.json"
    yield from json.loads(path.read_text()) if path.is_file() else []


def state_of(case: dict[str, Any]) -> list[float]:
    """JSON has one null for NaN and both infinities; the bin that was expected tells which it was."""
    odd = {0: -np.inf, 255: np.inf}
    pairs = zip(case["normalized_state"], case["state_bins"], strict=True)
    return [odd.get(expected, np.nan) if value is None else value for value, expected in pairs]


@pytest.fixture(scope="module")
def full() -> Tokenizer:
    root = REFERENCE / "tokenizer-full"
    words = json.loads((root / "tokenizer_config.json").read_text())
    return Tokenizer.from_file(root / "tokenizer.json", bos_token=words["bos_token"])


def test_every_prompt_of_the_full_vocabulary(full: Tokenizer) -> None:
    flags = PromptFlags(True, True, 256, image_text((14, 14), columns=False))
    count = 0
    for case in prompts():
        task = normalize_task(case["task"])
        bins = state_bins(state_of(case), 256)
        assert task == case["normalized_task"]
        assert bins.tolist() == case["state_bins"]
        setup = "single so100/so101 robotic arm in molmoact2"
        parts = PromptParts(task, setup, "absolute joint pose", tuple(bins), case["num_images"], case["style"])
        text = prompt_text(parts, flags)
        assert text == case["text"]
        assert full.encode(expand_images(text, flags, case["num_images"])).tolist() == case["input_ids"]
        count += 1
    assert count >= 30


def test_another_state_gives_other_ids(full: Tokenizer) -> None:
    """The negative control of the test above."""
    case = next(prompts())
    other = case["text"].replace("<state_0>", "<state_1>", 1)
    assert full.encode(other).tolist() != full.encode(case["text"]).tolist()


def test_a_picture_of_another_moment_gives_other_pixels() -> None:
    """The negative control of the cases: one byte of one picture."""
    spec, tokenizer, data = load("so101-tiny/continuous_0.npz")
    pipeline = Pipeline(spec, tokenizer, spec.tag(), cameras=2, bracket=1024, horizon=spec.max_horizon)
    changed = data["image_0"].copy()
    changed[100, 100] ^= 0x40
    ready = pipeline.prepare(Observation((changed, data["image_1"]), data["state"]), str(data["task"]))
    wrong = pixel_values(ready.vision["patches"]) != data["pixel_values"]
    assert 0 < wrong.sum() < 30


def test_the_checkpoints_are_where_the_readme_says() -> None:
    assert len(CASES) >= 29 and Path(REFERENCE, "README.md").is_file()
