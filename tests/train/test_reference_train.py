"""The training cases of the reference folder: what must be seen where training is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.reference import training
from tests.reference_cases import load

pytestmark = pytest.mark.reference
CASE = "train-tiny"


def short(folder: Path, data: dict[str, np.ndarray]) -> set[str]:
    """Quantities that are not within their tolerance."""
    return {row.quantity for row in training.check(folder / CASE, Path("train_0.npz"), data).rows if not row.ok}


def one_mode(data: dict[str, np.ndarray], mode: str) -> dict[str, np.ndarray]:
    """Without the other mode's answers: half the time."""
    other = {"attached": "detached", "detached": "attached"}[mode]
    return {key: value for key, value in data.items() if not key.endswith(f"_{other}")}


def test_gradients_that_cross_to_the_language_model_are_seen(reference_folder: Path) -> None:
    data = load(reference_folder / CASE / "train_0.npz")
    crossed = {k: data[k.replace("_detached", "_attached")] for k in one_mode(data, "detached")}
    seen = short(reference_folder, crossed)
    assert {"detached: norm of llm's gradient", "detached: norm of vit's gradient", "detached: grad_qkv0"} <= seen
    assert not {"detached: flow", "detached: ce", "detached: norm of expert's gradient"} & seen


@pytest.mark.parametrize("wrong", ["image mask", "padded step", "label", "time"])
def test_a_wrong_batch_is_seen(reference_folder: Path, wrong: str) -> None:
    data = one_mode(load(reference_folder / CASE / "train_0.npz"), "attached")
    if wrong == "image mask":
        data["token_type_ids"] = np.ones_like(data["input_ids"])
    elif wrong == "padded step":
        data["action_horizon_is_pad"] = np.zeros_like(data["action_horizon_is_pad"])
    elif wrong == "label":
        data["labels"] = np.where(data["labels"] == data["labels"][0, -1], -100, data["labels"])
    else:
        data["timesteps"] = data["timesteps"] + np.float32(1e-3)
    seen = short(reference_folder, data)
    assert ("attached: ce" if wrong == "label" else "attached: flow") in seen
