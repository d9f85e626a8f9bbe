"""The comparison of graphs with the reference model: what it covers, and that it fails where it must."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.build import Built
from export.runner import OrtRunner
from export.verify import TOLERANCE_ACTION, answer, negative_control, refuse_short, verify_graphs
from policy_spec.compare import Row
from policy_spec.errors import ExportError
from policy_spec.graphs import GRAPHS


def test_parity_is_within_tolerance_and_shows_its_worst(built: Built) -> None:
    names = [row.name for row in built.rows]
    layers = built.config.text.num_layers
    assert len(names) == 1 + 2 * layers + 2 and "normalized actions" in names
    assert all(row.ok and " at [" in row.detail for row in built.rows)


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_damaged_graph_is_caught_and_named(built: Built, tmp_path: Path, graph: str) -> None:
    """The negative control of the comparison: one weight of one layer, a little off."""
    shutil.copytree(built.folder, tmp_path / "damaged")
    model = onnx.load(tmp_path / "damaged" / f"{graph}.onnx")
    weight = next(
        t for t in model.graph.initializer if t.name.endswith((".wo.weight", ".ff_out.weight", ".down_proj.weight"))
    )
    value = onnx.numpy_helper.to_array(weight) * np.float32(1.01)
    weight.CopyFrom(onnx.numpy_helper.from_array(value, weight.name))
    onnx.save(model, tmp_path / "damaged" / f"{graph}.onnx")

    with pytest.raises(ExportError, match=f"{graph}: "):
        verify_graphs(OrtRunner(tmp_path / "damaged"), built.pipeline, built.reference, lambda _: None)


@pytest.mark.parametrize("name", ["k_00", "v_03"])
def test_every_position_of_the_prompt_is_compared(built: Built, name: str) -> None:
    """The last token's K or V alone, a little off; what stands in the padding is nobody's."""
    run, golden = OrtRunner(built.folder), built.reference
    last = golden.prediction.prompt_tokens - 1
    assert last + 1 < built.sizes.bracket

    def off(position: int, graph: str, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        out = run(graph, feeds)
        if graph == "llm":
            at = (..., position) if name[0] == "k" else (..., position, slice(None))
            out[name][at] += 0.1
        return out

    with pytest.raises(ExportError, match=f"llm: {name} .* NO "):
        verify_graphs(lambda g, f, /: off(last, g, f), built.pipeline, golden, lambda _: None)
    assert verify_graphs(lambda g, f, /: off(last + 1, g, f), built.pipeline, golden, lambda _: None)


def test_a_policy_that_ignores_its_noise_is_not_verified(built: Built) -> None:
    """Graphs that agree with a reference that is deaf to the noise: the comparison proves nothing."""
    run, chunk = OrtRunner(built.folder), built.reference.prediction.normalized

    def deaf(graph: str, feeds: Mapping[str, np.ndarray], /) -> Mapping[str, np.ndarray]:
        return {"next": chunk} if graph == "flow" else run(graph, feeds)

    seen = built.reference
    golden = answer(deaf, built.pipeline, seen.observation, seen.task, seen.seed)
    with pytest.raises(ExportError, match="another noise seed gives the same chunk"):
        verify_graphs(deaf, built.pipeline, golden, lambda _: None)


def test_an_answer_outlives_the_buffers_it_was_read_from(built: Built) -> None:
    """A session gives the same buffers at each call."""
    run, kept = OrtRunner(built.folder), dict[str, np.ndarray]()

    def reused(graph: str, feeds: Mapping[str, np.ndarray], /) -> Mapping[str, np.ndarray]:
        for name, value in run(graph, feeds).items():
            kept.setdefault(name, np.empty_like(value))[...] = value
        return kept

    golden = built.reference
    first = answer(reused, built.pipeline, golden.observation, golden.task, golden.seed)
    before = {name: value.copy() for name, value in {**first.stages, **first.step}.items()}
    answer(reused, built.pipeline, golden.observation, "open the drawer", 1)
    for name, value in {**first.stages, **first.step}.items():
        assert np.array_equal(value, before[name]), name
    assert first.step["step"].tolist() == [built.spec.flow_steps // 2]


def test_another_seed_moves_the_chunk(built: Built) -> None:
    run = OrtRunner(built.folder)
    assert negative_control(run, built.pipeline, built.reference) > 10 * TOLERANCE_ACTION

    # and a policy that ignores its noise is refused
    def deaf(graph: str, feeds: dict[str, np.ndarray], /) -> dict[str, np.ndarray]:
        if graph == "flow":
            return {"next": built.reference.prediction.normalized}
        return run(graph, feeds)

    with pytest.raises(ExportError, match="another noise seed gives the same chunk"):
        negative_control(deaf, built.pipeline, built.reference)


def test_another_task_or_state_moves_the_chunk(built: Built) -> None:
    run, golden = OrtRunner(built.folder), built.reference
    other = answer(run, built.pipeline, golden.observation, "open the drawer", golden.seed)
    assert np.abs(other.prediction.normalized - golden.prediction.normalized).max() > 10 * TOLERANCE_ACTION


def test_rows_that_fall_short_are_listed() -> None:
    refuse_short([Row("fine", 0.1, 0.2)], "what")
    with pytest.raises(ExportError, match=r"what.*\n.*\nbad +0\.3"):
        refuse_short([Row("fine", 0.1, 0.2), Row("bad", 0.3, 0.2)], "what")
