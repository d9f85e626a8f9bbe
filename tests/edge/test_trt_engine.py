"""The TensorRT engine's own work against the ONNX Runtime engine: buffers, caches, loops, captured runs; no GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.ort_engine import open_engine
from edge.policies import make_pipeline, make_policy
from edge.runner import Whole, runner
from edge.trt.engine import TrtEngine
from edge.trt.open import wanted_of
from policy_spec.bundle import Bundle, open_bundle
from policy_spec.errors import SessionError
from policy_spec.loop import Loop, repeated
from tests.edge.host_device import HostDevice, open_part
from tests.edge.small_bundle import observation

TASKS = ("pick up the cube", "push the small button on the left side of the table")


def engine_of(bundle: Bundle) -> TrtEngine:
    device = HostDevice()
    parts = [open_part(graph, bundle.graph_path(graph), device) for graph in bundle.manifest.variant.graphs]
    return TrtEngine(parts, wanted_of(bundle), device, "twin")


def both(path: Path) -> tuple[Bundle, TrtEngine]:
    bundle = open_bundle(path)
    return bundle, engine_of(bundle)


def chunks(bundle: Bundle, run) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
    """Some calls in a row, as one robot makes them."""
    policy = make_policy(bundle, make_pipeline(bundle, None))
    found = []
    for call, task in enumerate((*TASKS, *TASKS)):
        made = policy.predict(run, observation(6, 2, call // 2), task, seed=call)
        found += [made.normalized, made.depth.codes] if made.depth is not None else [made.normalized]
    return found


@pytest.mark.parametrize("mode", ["bundle", "thinking"])
def test_it_gives_what_onnx_runtime_gives(mode: str, request: pytest.FixtureRequest) -> None:
    bundle, engine = both(request.getfixturevalue(mode))
    slow = open_engine({graph: bundle.graph_path(graph) for graph in bundle.manifest.variant.graphs})
    got, wanted = chunks(bundle, runner(engine, bundle)), chunks(bundle, slow.run)
    for mine, truth in zip(got, wanted, strict=True):
        np.testing.assert_allclose(mine, truth, atol=2e-6)
    assert np.abs(wanted[0] - wanted[-2 if mode == "thinking" else -1]).max() > 1e-3  # the control: calls differ


def test_another_prompt_captures_nothing_and_allocates_nothing(bundle: Path) -> None:
    opened, engine = both(bundle)
    policy, run = make_policy(opened, make_pipeline(opened, None)), runner(engine, opened)
    policy.predict(run, observation(6, 2), TASKS[0], seed=0)
    captures, allocations = engine.captures, engine._device.allocations  # type: ignore[attr-defined]
    assert captures == 3  # vision, llm and the whole flow loop
    first = policy.predict(run, observation(6, 2), TASKS[0], seed=0)
    other = policy.predict(run, observation(6, 2), TASKS[1], seed=0)
    assert first.prompt_tokens != other.prompt_tokens and np.abs(first.actions - other.actions).max() > 1e-3
    assert (engine.captures, engine._device.allocations) == (captures, allocations)  # type: ignore[attr-defined]


def test_warm_passes_are_captured_before_the_first_call(thinking: Path) -> None:
    opened, engine = both(thinking)
    engine.warm()
    captures = engine.captures
    policy, run = make_policy(opened, make_pipeline(opened, None)), runner(engine, opened)
    for parity in (0, 1):  # whichever buffer holds the cache when a call begins
        for task in TASKS:
            engine._pool.parity = parity
            policy.reset()
            policy.predict(run, observation(6, 2), task, seed=0)
            assert engine.captures - captures == 2  # vision and the flow loop


def test_a_loop_at_once_is_a_loop_run_by_run(bundle: Path) -> None:
    opened, engine = both(bundle)
    run = Whole(engine)
    host = make_pipeline(opened, None)
    ready = host.prepare(observation(6, 2), TASKS[0])
    context = run("llm", {**ready.llm, "features": run("vision", ready.vision)["features"]})
    start = host.noise(3)
    feeds = {**ready.flow, **context, "trajectory": start}
    loop = Loop("step", "trajectory", "next", host.spec.flow_steps)
    wanted = repeated(engine.run, "flow", {**feeds, "trajectory": start.copy()}, loop)
    for _ in range(3):  # enqueued and captured, launched, launched
        np.testing.assert_array_equal(run.repeat("flow", feeds, loop)["next"].copy(), wanted)
    shorter = Loop("step", "trajectory", "next", host.spec.flow_steps - 1)  # the control
    assert np.abs(run.repeat("flow", feeds, shorter)["next"] - wanted).max() > 1e-3


def test_what_stays_on_the_gpu_can_be_looked_at_and_fed_back(bundle: Path) -> None:
    opened, engine = both(bundle)
    host = make_pipeline(opened, None)
    ready = host.prepare(observation(6, 2), TASKS[0])
    features = engine.run("vision", ready.vision)["features"]
    slow = open_engine({"vision": opened.graph_path("vision")}).run("vision", ready.vision)["features"]
    np.testing.assert_allclose(np.asarray(features), slow, atol=1e-6)
    there = engine.run("llm", {**ready.llm, "features": features})["k_00"].copy()
    again = engine.run("llm", {**ready.llm, "features": slow})["k_00"].copy()  # copied in by hand
    np.testing.assert_array_equal(there, again)


def test_feeds_are_checked(bundle: Path) -> None:
    _, engine = both(bundle)
    with pytest.raises(SessionError, match="graph vision: its inputs; expected: patches; got: pixels"):
        engine.run("vision", {"pixels": np.zeros(1)})
    with pytest.raises(SessionError, match=r"graph vision: shape of patches; .*got: \[1\]"):
        engine.run("vision", {"patches": np.zeros(1, np.uint8)})


def test_feeds_of_one_run_are_of_one_size(thinking: Path) -> None:
    _, engine = both(thinking)
    made = engine._graphs["llm"]
    right = engine._zeros(made, (4, 1))
    engine.run("llm", right)
    with pytest.raises(SessionError, match=r"graph llm: shape of positions; expected: \[1, 4\]; got: \[1, 3\]"):
        engine.run("llm", {**right, "positions": np.zeros((1, 3), np.int32)})


def test_what_was_compiled_is_kept_once_at_the_end(bundle: Path) -> None:
    opened, kept = open_bundle(bundle), list[int]()
    device = HostDevice()
    parts = [open_part(graph, opened.graph_path(graph), device) for graph in opened.manifest.variant.graphs]
    engine = TrtEngine(parts, wanted_of(opened), device, "twin", lambda: kept.append(len(engine._contexts)))
    make_policy(opened, make_pipeline(opened, None)).predict(
        runner(engine, opened), observation(6, 2), TASKS[0], seed=0
    )
    engine.close()
    engine.close()
    assert kept == [3]  # all contexts were there still


def test_a_cache_that_stands_still_is_found(thinking: Path) -> None:
    """The negative control of the whole file: two buffers that do not change places give other codes."""
    bundle, engine = both(thinking)
    good = chunks(bundle, runner(engine, bundle))
    bad = engine_of(bundle)
    policy = make_policy(bundle, make_pipeline(bundle, None))
    run = runner(bad, bundle)

    def still(graph, feeds):  # type: ignore[no-untyped-def]
        bad._pool.parity = 0
        return run(graph, feeds)

    made = policy.predict(still, observation(6, 2), TASKS[0], seed=0)
    assert not np.allclose(made.normalized, good[0], atol=1e-3)
