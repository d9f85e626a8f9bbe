"""Bundles that generate tokens against the released code: what must be seen where something is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from policy_spec.graphs import kv_names
from policy_spec.pipeline import Run
from tests.reference import discrete_bundles
from tests.reference.quantities import ACTION, Case, Quantity, table
from tests.reference.sessions import Opened, opened
from tests.reference.think_bundles import Frame, Wrap, judged
from tests.reference_cases import load

pytestmark = pytest.mark.reference

Arrays = Mapping[str, np.ndarray]
FULL = ("fp32", "full")
ROWS = ("update_mask", "codes", "generated ids", "actions_normalized", "actions")


@pytest.fixture(scope="module", params=["think-gate-tiny", "think-busy-tiny", "think-tiny"])
def case(request: pytest.FixtureRequest, reference_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """The first frames of an episode, and its float32 bundle with the whole head."""
    folder = reference_folder / request.param
    cases = [load(folder / f"think_{number}.npz") for number in range(2)]
    scratch, longest = tmp_path_factory.mktemp("generating"), max(data["input_ids"].shape[1] for data in cases)
    with opened(folder, scratch, "think", (2, longest), [FULL]) as sessions:
        yield request.param, cases, Opened(sessions, sessions[FULL].tag.tag)


def rows(made: tuple, wrap: Wrap | None = None) -> dict[str, Quantity]:
    """The worst row of each quantity over the frames."""
    _, cases, session = made
    frames = [Frame(Case(str(number)), data) for number, data in enumerate(cases)]
    judged(frames, session, "full", "draft", wrap)
    out: dict[str, Quantity] = {}
    for row in (row for frame in frames for row in frame.case.rows):
        name = row.quantity.split(": ")[1]
        out[name] = max(out.get(name, row), row, key=lambda r: r.error)
    assert set(out) == set(ROWS)
    return out


def test_an_untouched_bundle_agrees(case: tuple) -> None:
    got = rows(case)
    assert all(row.ok for row in got.values()), "\n" + table(list(got.values()))


def without_gate(run: Run, data: Arrays) -> Run:
    def runs(graph: str, feeds: Arrays, /) -> Arrays:
        if graph == "context":
            feeds = {**feeds, "depth": np.zeros_like(feeds["depth"])}
        return run(graph, feeds)

    return runs


def test_a_gate_that_is_left_out_is_seen(case: tuple) -> None:
    got = rows(case, without_gate)
    assert all(got[name].ok for name in ROWS[:3])  # codes are chosen before the gate
    if case[0] == "think-tiny":  # the norm behind the projection cancels it
        assert got["actions_normalized"].ok
    else:
        assert got["actions_normalized"].error > 100 * ACTION and not got["actions"].ok


def gate_behind(run: Run, data: Arrays) -> Run:
    """As if the gate came after the shared projection and its norms."""

    def runs(graph: str, feeds: Arrays, /) -> Arrays:
        if graph != "context":
            return run(graph, feeds)
        depth = feeds["depth"][0] > 0
        out = {name: value.copy() for name, value in without_gate(run, data)(graph, feeds).items()}
        layers = len(out) // 2
        gates = np.broadcast_to(data["gate"].reshape(-1), layers)
        for layer in range(layers):
            k, v = kv_names(layers)[2 * layer : 2 * layer + 2]
            out[k][..., depth] *= gates[layer]
            out[v][..., depth, :] *= gates[layer]
        return out

    return runs


def test_a_gate_behind_the_projection_is_seen(case: tuple) -> None:
    got = rows(case, gate_behind)
    assert got["actions_normalized"].error > 10 * ACTION and not got["actions"].ok


def other_logits(run: Run, data: Arrays) -> Run:
    def runs(graph: str, feeds: Arrays, /) -> Arrays:
        out = run(graph, feeds)
        return {**out, "logits": -out["logits"]} if graph == "llm" else out

    return runs


def test_other_logits_are_seen(case: tuple) -> None:
    _, cases, session = case
    frames = [Frame(Case("first"), cases[0])]
    judged(frames, session, "full", "draft", other_logits)
    assert not all(row.ok for row in frames[0].case.rows)


@pytest.fixture(scope="module")
def answers(reference_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    folder = reference_folder / "discrete-tiny"
    data = load(folder / "discrete_0.npz")
    scratch = tmp_path_factory.mktemp("discrete")
    with opened(folder, scratch, "discrete", (2, data["input_ids"].shape[1]), [FULL]) as sessions:
        yield data, Opened(sessions, sessions[FULL].tag.tag)


@pytest.mark.parametrize("what", ["nothing", "generated_token_ids", "actions"])
def test_another_answer_is_seen(answers: tuple, what: str) -> None:
    data, session = answers
    data = {**data}
    if what == "generated_token_ids":
        data[what] = data[what].copy()
        data[what][0, 3] += 1
    elif what == "actions":
        data[what] = data[what] + np.float32(0.1)
    case = Case("one")
    discrete_bundles.released([(case, data)], session)
    short = {row.quantity.split(": ")[1] for row in case.rows if not row.ok}
    assert short == ({what.replace("generated_token_ids", "generated ids")} - {"nothing"})
