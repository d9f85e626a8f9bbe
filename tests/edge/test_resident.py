"""Graphs in memory in turn: one at a time, and the answers of all at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.engine import RESIDENT, EngineOptions
from edge.ort_engine import OrtEngine
from edge.policies import PolicyOptions
from edge.session import Session
from policy_spec.errors import UsageError
from policy_spec.golden import Golden


def opened(session: Session) -> list[str]:
    """Names of the graphs that are in memory."""
    engine = session.engine
    assert isinstance(engine, OrtEngine)
    return [name for name, bound in engine._graphs.items() if bound.session is not None]


@pytest.mark.parametrize("which", ["bundle", "thinking"])
def test_in_turn_gives_the_same_chunk_with_one_graph_in_memory(which: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(which)
    golden = Golden.load(path)
    chunks = {}
    for resident in RESIDENT:
        with Session.open(path, engine=EngineOptions(1, resident), options=PolicyOptions()) as session:
            made = [session.predict(golden.observation, golden.task, seed) for seed in (1, 2)]
            chunks[resident] = [prediction.normalized for prediction in made]
            graphs = opened(session)
            assert len(graphs) == (1 if resident == "turn" else len(session.bundle.manifest.graphs)), graphs
            assert ("in turn" in session.engine.name) == (resident == "turn")
    for one, other in zip(chunks["all"], chunks["turn"], strict=True):
        assert np.array_equal(one, other)
    first, second = chunks["turn"]
    assert not np.array_equal(first, second)  # the control: another seed, another chunk


def test_another_word_is_refused() -> None:
    with pytest.raises(UsageError, match="expected: all or turn; got: 'none'"):
        EngineOptions(resident="none")
