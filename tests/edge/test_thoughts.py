"""What a person is told of generated maps and answers."""

from __future__ import annotations

import numpy as np

from edge.thoughts import Thoughts
from policy_spec.generated import Depth, Discrete
from policy_spec.pipeline import Prediction


def prediction(depth: Depth | None = None, discrete: Discrete | None = None) -> Prediction:
    nothing = np.zeros((1, 1, 1), np.float32)
    return Prediction(nothing[0], nothing, {}, 1, 0, depth, discrete)


def depth(changed: int, passes: int, accepted: int, small: int = 0) -> Depth:
    codes = np.zeros(100, np.int64)
    return Depth(codes, np.arange(100) < changed, codes, passes, 100, accepted, small, 10)


def test_depth_maps_are_told_one_by_one_and_over_the_run() -> None:
    thoughts = Thoughts()
    thoughts.hear(prediction(depth(100, 17, 80, 2)))
    assert thoughts.newest == "depth: 17 passes, 100 of 100 cells changed"
    thoughts.hear(prediction(depth(20, 1, 20)))
    assert thoughts.newest == "depth: 1 pass, 20 of 100 cells changed"
    assert thoughts.summary() == (
        "depth maps: 2, 9.0 passes of the language model each, 60 % of the cells changed, 83 % of those drafted right, "
        "2 narrow decisions"
    )


def test_a_run_in_which_nothing_changed_divides_by_nothing() -> None:
    thoughts = Thoughts()
    thoughts.hear(prediction(depth(0, 1, 0)))
    assert thoughts.summary() == "depth maps: 1, 1.0 passes of the language model each, 0 % of the cells changed"


def test_answers_are_told_with_their_tokens() -> None:
    thoughts = Thoughts()
    thoughts.hear(prediction(discrete=Discrete(np.arange(40), 12, 60, 30, None)))
    assert thoughts.newest == "answer: 12 passes, 40 tokens"
    assert (
        thoughts.summary()
        == "discrete answers: 1, 12.0 passes of the language model each, 75 % of the tokens drafted right"
    )


def test_a_policy_that_generates_nothing_has_no_words() -> None:
    thoughts = Thoughts()
    thoughts.hear(prediction())
    assert (thoughts.newest, thoughts.summary()) == ("", "")
