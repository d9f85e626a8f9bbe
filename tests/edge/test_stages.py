"""The proof before ready: each stage beside the golden's, the first wrong one named; the same for every engine."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.checks import check_golden
from edge.engine import EngineOptions
from edge.engines import open_graphs
from edge.session import Session
from edge.stages import checked, limit_of
from edge.trt.engine import TrtEngine
from edge.trt.open import wanted_of
from policy_spec.bundle import open_bundle
from policy_spec.errors import SessionError
from policy_spec.golden import Golden
from tests.edge.host_device import HostDevice, open_part
from tests.edge.small_bundle import rewrite
from tests.edge.small_graphs import write_graphs


def planted(bundle: Path, tmp_path: Path, graph: str) -> Path:
    """A copy in which one graph has other weights, and the manifest agrees with it."""
    copy = shutil.copytree(bundle, tmp_path / "copy")
    opened = open_bundle(copy)
    m = opened.manifest
    files = write_graphs(tmp_path, opened.spec, m.cameras, m.bracket, m.horizon, m.variant, seed=6)
    rewrite(copy, f"{graph}.onnx", files[graph].read_bytes())
    return copy


CPU = EngineOptions(1, engine="onnxruntime")


@pytest.mark.parametrize(("mode", "stages"), [("bundle", 3), ("thinking", 4)])
def test_a_session_says_how_near_each_stage_is(mode: str, stages: int, request: pytest.FixtureRequest) -> None:
    with Session.open(request.getfixturevalue(mode), engine=CPU) as session:
        rows = session.ready.stages
    names = [row.name for row in rows if not row.at_least]
    assert names[0] == "vision: features" and names[-1] == "whole: normalized chunk" and all(row.ok for row in rows)
    assert len(names) >= stages + 1
    assert ("llm: largest logits" in names) is (mode == "thinking")


@pytest.mark.parametrize(
    ("mode", "graph", "said"),
    [
        ("bundle", "vision", r"stage vision: features does not compute its golden values"),
        ("bundle", "llm", r"stage llm: k_00 does not compute its golden values.*the worst element is .* at \["),
        ("bundle", "flow", r"does not reproduce its golden chunk"),
        ("thinking", "vision", r"stage vision: features"),
        ("thinking", "llm", r"does not reproduce its golden logits|stage context: k_00"),
        ("thinking", "context", r"stage context: k_00"),
    ],
)
def test_a_planted_wrong_stage_is_named(
    mode: str, graph: str, said: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    copy = planted(request.getfixturevalue(mode), tmp_path, graph)
    with pytest.raises(SessionError, match=said):
        Session.open(copy, engine=CPU)


def test_the_engine_of_the_twin_is_proved_by_the_same_path(thinking: Path, tmp_path: Path) -> None:
    bundle, device = open_bundle(thinking), HostDevice()
    parts = [open_part(graph, bundle.graph_path(graph), device) for graph in bundle.manifest.variant.graphs]
    proof = check_golden(bundle, TrtEngine(parts, wanted_of(bundle), device, "twin"))
    assert all(row.ok for row in proof.rows)
    assert "llm: passes of every size" in [row.name for row in proof.rows]
    wrong = open_bundle(planted(thinking, tmp_path, "context"))
    parts = [open_part(graph, wrong.graph_path(graph), device) for graph in wrong.manifest.variant.graphs]
    with pytest.raises(SessionError, match="stage context: k_00"):
        check_golden(wrong, TrtEngine(parts, wanted_of(wrong), device, "twin"))


def test_a_worse_golden_of_one_stage_is_found_though_the_chunk_is_right(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    golden = Golden.load(copy)
    last = sorted(name for name in golden.stages if name.startswith("v_"))[-1]
    stages = {**golden.stages, last: golden.stages[last] * np.float32(1.1)}
    dataclasses.replace(golden, stages=stages).save(tmp_path)
    rewrite(copy, "golden.npz", (tmp_path / "golden.npz").read_bytes())
    with pytest.raises(SessionError, match=f"stage llm: {last}"):
        Session.open(copy, engine=CPU)


def test_limits_hold_where_they_should() -> None:
    truth = np.linspace(-1, 1, 1000, dtype=np.float32)
    assert all(row.ok for row in checked("b", "s", (truth * np.float32(1.001), truth), limit_of("fp32")))
    with pytest.raises(SessionError, match="stage s does not compute"):
        checked("b", "s", (truth * np.float32(1.01), truth), limit_of("fp32"))
    assert all(row.ok for row in checked("b", "s", (truth * np.float32(1.01), truth), limit_of("fp16")))
    with pytest.raises(SessionError, match=r"expected: \[1000\]; got: \[999\]"):
        checked("b", "s", (truth[1:], truth), limit_of("int8"))
    broken = truth.copy()
    broken[3] = np.nan
    with pytest.raises(SessionError, match="worst element"):
        checked("b", "s", (broken, truth), limit_of("int4"))


@pytest.mark.parametrize("engine", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_a_provider_that_is_not_there_is_refused(bundle: Path, engine: str) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime-gpu is installed: it has the provider")
    with pytest.raises(
        SessionError, match=r"cannot run on .*; expected: \w+ExecutionProvider.*got: .*CPU.*onnxruntime-gpu"
    ):
        Session.open(bundle, engine=EngineOptions(engine=engine))


def test_auto_is_the_processor_where_nothing_was_built(bundle: Path) -> None:
    opened = open_bundle(bundle)
    engine = open_graphs(opened, EngineOptions(engine="auto"))
    assert engine.name.startswith("onnxruntime")
    engine.close()
