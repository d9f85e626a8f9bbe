"""Sessions of bundles that generate tokens: what they remember, when they forget, and what they refuse."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.policies import ORDERS, PolicyOptions
from edge.session import Session
from policy_spec.errors import AnswerError, ObservationError, SessionError, SpecError
from policy_spec.golden import Golden
from policy_spec.graphs import Variant
from policy_spec.pipeline import Observation, Prediction
from tests.edge.small_bundle import observation, rewrite
from tests.edge.small_graphs import write_graphs


def scene(frame: int) -> Observation:
    """One camera sees a square move over a fixed background."""
    seen = observation(6, 2)
    image = seen.images[0].copy()
    left, top = 4 + 5 * frame, 6 + 3 * frame
    image[top : top + 10, left : left + 12] = (250, 20 * frame % 255, 40)
    return Observation((image, seen.images[1]), seen.state)


def call(session: Session, frame: int, task: str = "pick up the cube") -> Prediction:
    return session.predict(scene(frame), task, seed=frame)


def codes(prediction: Prediction) -> list[int]:
    assert prediction.depth is not None
    return [int(code) for code in prediction.depth.codes]


def changed(prediction: Prediction) -> int:
    assert prediction.depth is not None
    return int(prediction.depth.changed.sum())


def test_a_ready_session_thinks_before_it_acts(thinking: Path) -> None:
    with Session.open(thinking) as session:
        assert session.ready.golden.error <= session.ready.tolerance
        got = call(session, 0)
        assert list(got.timings) == ["prepare", "patches", "vision", "llm", "depth", "context", "flow", "finish"]
        assert got.actions.shape == (30, 6) and len(codes(got)) == 100 and changed(got) == 100
        again = call(session, 0)
        assert changed(again) == 0 and codes(again) == codes(got)
        assert again.depth is not None and again.depth.passes == 1
        assert 0 < changed(call(session, 1)) < 60


def test_both_orders_give_the_same_codes_and_actions(thinking: Path) -> None:
    passes = {}
    got = {}
    for order in ORDERS:
        with Session.open(thinking, options=PolicyOptions(depth_order=order)) as session:
            frames = [call(session, frame) for frame in range(6)]
        got[order] = frames
        passes[order] = sum(frame.depth.passes for frame in frames if frame.depth)
    for one, two in zip(*got.values(), strict=True):
        assert codes(one) == codes(two) and changed(one) == changed(two)
        assert np.abs(one.normalized - two.normalized).max() < 1e-4
    assert passes["draft"] * 2 < passes["released"], passes
    assert len({tuple(codes(frame)) for frame in got["draft"]}) > 1  # the control: there was something to predict


def test_a_new_episode_is_decoded_in_full(thinking: Path) -> None:
    with Session.open(thinking) as fresh:
        wanted = call(fresh, 3)
    with Session.open(thinking) as session:
        call(session, 0)
        kept = call(session, 3)
        session.reset()
        got = call(session, 3)
    assert changed(got) == changed(wanted) == 100 and codes(got) == codes(wanted)
    assert changed(kept) < 100 and codes(kept) != codes(wanted)  # the control: what is replayed is not predicted


def test_prompts_of_any_length_follow_one_another(thinking: Path) -> None:
    tasks = ["pick up the red cube and put it beside the blue one", "go", "put the cube into the box", "go"]
    with Session.open(thinking) as session:
        got = []
        for task in tasks:
            session.reset()
            got.append(call(session, 2, task))
    assert len({prediction.prompt_tokens for prediction in got}) == 3
    for task, prediction in zip(tasks, got, strict=True):
        with Session.open(thinking) as fresh:
            wanted = call(fresh, 2, task)
        assert codes(prediction) == codes(wanted)
        assert np.abs(prediction.normalized - wanted.normalized).max() < 1e-5
    assert np.abs(got[0].normalized - got[1].normalized).max() > 1e-3  # the control: the task is heard


def test_after_a_call_that_failed_nothing_is_remembered(thinking: Path) -> None:
    with Session.open(thinking) as session:
        wanted = call(session, 1)
        with pytest.raises(ObservationError):
            session.predict(Observation(scene(1).images, np.full(6, np.nan)), "pick", 1)
        for cache in session.engine._caches:  # type: ignore[attr-defined]
            assert not cache.array.any()
        got = call(session, 1)
        assert changed(got) == 100 and codes(got) == codes(wanted)
        assert np.array_equal(got.normalized, wanted.normalized)


def test_an_engine_that_gives_what_is_not_a_number_recovers(thinking: Path) -> None:
    with Session.open(thinking) as session:
        wanted = call(session, 0)
        for cache in session.engine._caches:  # type: ignore[attr-defined]
            cache.array[:, -40:] = np.nan  # places that no call hides well enough: 0 times it is no number either
        with pytest.raises(SessionError, match="not a number"):
            call(session, 0)
        assert codes(call(session, 0)) == codes(wanted)


@pytest.mark.parametrize("mode", ["thinking", "answering"])
def test_a_golden_that_does_not_hold_is_refused(mode: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    copy = shutil.copytree(request.getfixturevalue(mode), tmp_path / "copy")
    Session.open(copy).close()  # the control: an untouched copy opens
    golden = Golden.load(copy)
    golden.stages["best"][7] *= 1.1
    golden.save(tmp_path)
    rewrite(copy, "golden.npz", (tmp_path / "golden.npz").read_bytes())
    with pytest.raises(SessionError, match=r"does not reproduce its golden logits on this board.*after token 7"):
        Session.open(copy)


def test_a_golden_chunk_that_does_not_hold_is_refused(thinking: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(thinking, tmp_path / "copy")
    golden = Golden.load(copy)
    golden.normalized[0, 3, 2] += 0.1
    golden.save(tmp_path)
    rewrite(copy, "golden.npz", (tmp_path / "golden.npz").read_bytes())
    with pytest.raises(SessionError, match=r"does not reproduce its golden chunk.*joint 2; got: .* at step 3"):
        Session.open(copy)


def test_a_cache_of_another_length_is_named(thinking: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(thinking, tmp_path / "copy")
    with Session.open(thinking) as session:
        facts, spec = session.bundle.manifest, session.bundle.spec
    other = Variant("think", "depth", facts.new_tokens + 16)
    for name, path in write_graphs(tmp_path, spec, facts.cameras, facts.bracket, facts.horizon, other).items():
        rewrite(copy, f"{name}.onnx", path.read_bytes())
    with pytest.raises(SessionError, match=r"graph llm: tensor (cache|key)_\w+; expected: .*; got: "):
        Session.open(copy)


def test_an_unknown_order_is_refused(thinking: Path, answering: Path) -> None:
    with pytest.raises(SpecError, match="order of depth codes; expected: one of draft, released; got: 'random'"):
        Session.open(thinking, options=PolicyOptions(depth_order="random"))
    with pytest.raises(SpecError, match="kind of answers; expected: one of constrained, released"):
        Session.open(answering, options=PolicyOptions(answers="any"))
    with pytest.raises(SpecError, match="expected: a bundle with the whole lm_head; got: head 'action'"):
        Session.open(answering, options=PolicyOptions(answers="released"))


def test_an_answer_that_is_no_chunk_is_an_error(answering: Path) -> None:
    with Session.open(answering) as session:
        assert session.ready.golden.error <= session.ready.tolerance
        for _ in range(2):
            with pytest.raises(AnswerError, match="the policy's discrete answer"):
                call(session, 0)
