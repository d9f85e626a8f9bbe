"""The model and the float32 graphs against the project's own goldens, for those who do not have the reference cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export import golden
from export.build import GraphOptions, build_graphs
from export.runner import OrtRunner
from export.verify import TOLERANCE_ACTION, TOLERANCE_STAGE
from policy_spec.compare import max_abs, relative
from tests.checkpoints import tiny
from tests.goldens.make import HERE, ROBOTS, pipeline_of, values, weights_digest

EXACT = ("input_ids", "expert_mask", "patches_sha256", "noise")


@pytest.fixture(scope="module", params=ROBOTS)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, np.ndarray]]:
    checkpoint = tiny(tmp_path_factory.mktemp("goldens") / request.param, request.param)
    with np.load(HERE / f"{request.param}.npz") as data:
        return checkpoint, {name: data[name] for name in data.files}


def test_the_seeded_checkpoint_is_the_golden_s(case: tuple[Path, dict[str, np.ndarray]]) -> None:
    """If this fails alone, `armside init` writes other weights: make the goldens again, the reference cases at hand."""
    checkpoint, expected = case
    assert weights_digest(checkpoint) == str(expected["weights"])


def test_the_model_says_what_it_said(case: tuple[Path, dict[str, np.ndarray]]) -> None:
    checkpoint, expected = case
    got = values(checkpoint, pipeline_of(checkpoint))
    assert got.keys() | {"weights"} == expected.keys()
    for name in EXACT:
        assert np.array_equal(got[name], expected[name]), name
    for name in ("features", "k_first", "v_last"):
        assert relative(got[name], expected[name]) <= TOLERANCE_STAGE, name
    assert max_abs(got["normalized"], expected["normalized"]) <= TOLERANCE_ACTION


def test_the_graphs_say_it_too(case: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    checkpoint, expected = case
    build_graphs(checkpoint, tmp_path / "graphs", GraphOptions(), lambda *_: None)
    pipeline = pipeline_of(checkpoint)
    seen, run = golden.observation(pipeline.tag, pipeline.cameras), OrtRunner(tmp_path / "graphs")
    got = pipeline.predict(run, seen, golden.TASKS[0], seed=golden.SEED)
    assert max_abs(got.normalized, expected["normalized"]) <= TOLERANCE_ACTION
    other = pipeline.predict(run, seen, golden.TASKS[0], seed=golden.SEED + 1)  # the control
    assert max_abs(other.normalized, expected["normalized"]) > 10 * TOLERANCE_ACTION
