"""The real thing: engines built for this computer's GPU, proved, and compared with ONNX Runtime. Needs a GPU.

    python -m pytest -m hardware tests/edge/test_trt_hardware.py

Skipped, saying why, where there is no GPU, no cuda-python, or neither tensorrt nor tensorrt-rtx.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from armside.cli import main
from edge.engine import EngineOptions
from edge.policies import PolicyOptions
from edge.session import Session
from edge.trt.cuda import find_gpu
from edge.trt.engine import TrtEngine
from edge.trt.libraries import Library, installed
from tests.edge.small_bundle import observation

pytestmark = pytest.mark.hardware
TASKS = ("pick up the cube", "push the small button on the left side of the table")


@pytest.fixture(scope="module", params=[row.name for row in installed()] or ["none"])
def row(request: pytest.FixtureRequest) -> Library:
    if request.param == "none":
        pytest.skip("neither tensorrt nor tensorrt-rtx is installed")
    if find_gpu() is None:
        pytest.skip("no GPU that CUDA can use, or no cuda-python")
    return next(row for row in installed() if row.name == request.param)


@pytest.fixture(scope="module", params=["continuous", "think"])
def bundle(row: Library, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Exported and built; the proof is part of building."""
    pytest.importorskip("torch", reason="the export extra is not installed")
    folder = tmp_path_factory.mktemp("hardware")
    path, checkpoint = folder / f"{request.param}.bundle", str(folder / "checkpoint")
    assert main(["init", checkpoint, "--preset", "tiny", "--depth"]) == 0
    words = ["--target", "rtx", "--precision", "fp16", "--mode", request.param]
    assert main(["export", checkpoint, str(path), *words]) == 0
    assert main(["build", str(path), "--target", row.target]) == 0
    return path


@pytest.fixture(scope="module")
def session(bundle: Path, row: Library) -> Iterator[Session]:
    with Session.open(bundle, engine=EngineOptions(engine=row.name)) as opened:
        yield opened


def calls(session: Session) -> list[np.ndarray]:
    session.reset()
    return [session.predict(observation(6, 2, i // 2), task, i).normalized for i, task in enumerate(TASKS * 2)]


def test_it_is_the_engine_that_auto_takes(bundle: Path, row: Library, session: Session) -> None:
    assert session.engine.name.startswith(row.name) and all(line.ok for line in session.ready.stages)
    with Session.open(bundle) as chosen:
        assert chosen.engine.name == session.engine.name


def test_calls_are_those_of_onnx_runtime(bundle: Path, session: Session) -> None:
    options = PolicyOptions(depth_order="released")  # near-equal codes may be chosen otherwise; chunks stay close
    with Session.open(bundle, engine=EngineOptions(engine="onnxruntime"), options=options) as slow:
        for got, wanted in zip(calls(session), calls(slow), strict=True):
            assert np.abs(got - wanted).max() < 6e-2


def test_another_prompt_captures_nothing(session: Session) -> None:
    engine = session.engine
    assert isinstance(engine, TrtEngine)
    calls(session)
    before = engine.captures
    calls(session)
    assert engine.captures == before
    first, again = calls(session), calls(session)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))  # nothing of a call is left behind


@pytest.mark.parametrize("blocks", [2])
def test_a_language_model_in_blocks_gives_the_same(bundle: Path, row: Library, session: Session, blocks: int) -> None:
    whole = calls(session)
    assert main(["build", str(bundle), "--target", row.target, "--blocks", str(blocks)]) == 0
    with Session.open(bundle, engine=EngineOptions(engine=row.name)) as cut:
        for got, wanted in zip(calls(cut), whole, strict=True):
            assert np.abs(got - wanted).max() < 6e-2
