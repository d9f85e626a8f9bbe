"""Passes over a cached language model: where tokens go, what is counted, when the room is full."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from policy_spec.cached import CachedPrompt
from policy_spec.errors import SessionError
from policy_spec.graphs import Variant
from policy_spec.pipeline import Observation, Prepared
from policy_spec.spec import PolicySpec
from tests.policy_spec import think_graphs, tiny
from tests.policy_spec.think_graphs import DEPTH_0, Graphs

ROOM = 14
Begun = tuple[CachedPrompt, Graphs, Prepared, np.ndarray]
SEEN = Observation((tiny.picture(1), tiny.picture(2)), np.array([1.0, 2.0, 5.0], np.float32))


@pytest.fixture
def begun(tmp_path: Path) -> Begun:
    """A prompt that has been fed, and its logits."""
    folder = think_graphs.checkpoint(tmp_path)
    host = think_graphs.host(PolicySpec.from_checkpoint(folder), folder)
    variant = Variant("think", "depth", ROOM)
    run, cached = Graphs(host, variant), CachedPrompt(host.spec, host.bracket, variant)
    prepared = host.prepare(SEEN, "go")
    return cached, run, prepared, cached.prompt(run, prepared, run("vision", prepared.vision)["features"])


def test_logits_are_those_of_the_prefix(begun: Begun) -> None:
    cached, run, prepared, first = begun
    prefix = prepared.ids.tolist()
    assert np.array_equal(first, run.model.logits(prefix))
    tokens = DEPTH_0 + np.array([3, 1, 4, 1])
    logits = cached.push(tokens, 0, np.array([1, 3]))
    for row, got in zip((1, 3), logits, strict=True):
        assert np.array_equal(got, run.model.logits(prefix + tokens[: row + 1].tolist()))


def test_a_later_pass_overwrites_from_its_place_on(begun: Begun) -> None:
    cached, run, prepared, _ = begun
    cached.push(DEPTH_0 + np.array([0, 1, 2, 3]), 0, np.array([0]))
    logits = cached.push(DEPTH_0 + np.array([5]), 2, np.array([0]))
    prefix = prepared.ids.tolist() + (DEPTH_0 + np.array([0, 1, 5])).tolist()
    assert np.array_equal(logits[0], run.model.logits(prefix))
    assert not np.array_equal(logits[0], run.model.logits([*prefix[:-1], DEPTH_0 + 2])), "the control"


def test_passes_and_tokens_are_counted_from_the_prompt_on(
    begun: Begun,
) -> None:
    cached, run, prepared, _ = begun
    cached.push(np.array([7, 7, 7]), 0, np.array([2]))
    cached.push(np.array([7]), 3, np.array([0]))
    assert (cached.passes, cached.fed) == (2, 4)
    cached.prompt(run, prepared, run("vision", prepared.vision)["features"])
    assert (cached.passes, cached.fed) == (0, 0)


def test_the_last_place_can_be_used_and_no_more(begun: Begun) -> None:
    cached = begun[0]
    cached.push(np.full(ROOM, 7), 0, np.array([0]))
    cached.push(np.array([7]), ROOM - 1, np.array([0]))
    with pytest.raises(SessionError, match=f"at most {ROOM}.*got: {ROOM + 1}"):
        cached.push(np.array([7, 7]), ROOM - 1, np.array([0]))
