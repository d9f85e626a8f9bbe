"""Choosing for coverage: what is rare is found, random choice misses it; every choice says why."""

from __future__ import annotations

import numpy as np
import pytest

from quant.coverage import Described, choose_covering, coverage, descriptors

NAMES = ("elbow", "wrist")
RARE = (7, 63, 120, 181)  # of 200: other pictures, in states that are nothing special
ODD_TASK = 42


@pytest.fixture(scope="module")
def crowd() -> Described:
    """One dense crowd, four pictures like no other, one other task."""
    rng = np.random.default_rng(0)
    states = rng.normal(0, 0.2, (200, 2)).astype(np.float32)
    pictures = rng.normal(0.5, 0.02, (200, 48)).astype(np.float32)
    for number, index in enumerate(RARE):
        pictures[index, number * 12 : number * 12 + 12] += 3.0
        states[index] = 0.0
    tasks = tuple("push" if i == ODD_TASK else "pick" for i in range(200))
    return Described(states, states * 90, pictures, tasks, np.linspace(0, 1, 200, dtype=np.float32))


def test_what_is_rare_is_chosen_with_its_reason(crowd: Described) -> None:
    picked = {pick.index: pick.why for pick in choose_covering(crowd, 10, NAMES)}
    assert len(picked) == 10 and set(RARE) < set(picked) and ODD_TASK in picked
    assert picked[ODD_TASK] == "only sample of task 'push'"
    assert all(picked[index].startswith("farthest from the others: ") for index in RARE)
    low = int(crowd.states[:, 0].argmin())
    assert f"lowest elbow ({crowd.shown[low, 0]:.4g})" in picked[low]


def test_random_choice_covers_worse(crowd: Described) -> None:
    ours = coverage(crowd, [pick.index for pick in choose_covering(crowd, 10, NAMES)])
    rng = np.random.default_rng(1)
    random = [coverage(crowd, rng.choice(200, 10, replace=False).tolist()) for _ in range(30)]
    assert ours < 0.5 * min(random), (ours, min(random))  # the control: rare pictures are missed


def test_the_same_choice_each_time_and_no_more_than_differ(crowd: Described) -> None:
    assert choose_covering(crowd, 20, NAMES) == choose_covering(crowd, 20, NAMES)
    first = [pick.index for pick in choose_covering(crowd, 20, NAMES)]
    assert len(set(first)) == 20
    same = Described(np.zeros((5, 2), np.float32), np.zeros((5, 2), np.float32), np.zeros((5, 4), np.float32),
                     ("pick",) * 5, np.zeros(5, np.float32))  # fmt: skip
    assert len(choose_covering(same, 4, NAMES)) == 1


def test_blocks_count_alike_whatever_their_units(crowd: Described) -> None:
    larger = Described(crowd.states * 1000, crowd.shown, crowd.pictures, crowd.tasks, crowd.phases)
    np.testing.assert_allclose(descriptors(larger), descriptors(crowd), rtol=1e-4, atol=1e-5)
