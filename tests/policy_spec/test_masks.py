"""Image tokens, the expert's mask, additive masks."""

from __future__ import annotations

import numpy as np
import pytest

from policy_spec import masks
from policy_spec.errors import SpecError

EOS, START, END = 9, 5, 6


def hidden(ids: list[int], mode: str = "both", eos: int | None = EOS) -> list[int]:
    seen = masks.expert_mask(np.array(ids, np.int64), mode, eos, (START, END))
    return np.flatnonzero(~seen).tolist()


def test_every_turn_end_is_hidden_when_both() -> None:
    assert hidden([9, 1, 9, 2]) == [0, 2]
    assert hidden([9, 1, 9, 2], mode="continuous") == []
    assert hidden([9, 1, 9, 2], eos=None) == []


@pytest.mark.parametrize(
    ("ids", "where"),
    [
        ([1, 5, 2, 6, 3], [1, 2, 3]),
        ([6, 1, 5, 2, 6, 3], [2, 3, 4]),  # an end before any start counts for nothing
        ([1, 5, 2, 3], [1, 2, 3]),  # no end: to the end
        ([5, 6, 1, 5, 6], [0, 1, 3, 4]),
        ([5, 5, 6, 1], [0, 1, 2, 3]),  # the first start takes the end, the second finds none
        ([1, 2, 6], []),
    ],
)
def test_discrete_answers_are_hidden(ids: list[int], where: list[int]) -> None:
    assert hidden(ids) == where


def test_without_action_tokens_nothing_else_is_hidden() -> None:
    assert masks.expert_mask(np.array([1, 5, 6]), "both", None, None).all()


def test_image_tokens_see_each_other_only_when_bidirectional() -> None:
    types = masks.token_type(np.array([1, 20, 21, 2, 20]), (20, 21))
    assert types.tolist() == [False, True, True, False, True]
    both, causal = masks.prompt_mask(types), masks.prompt_mask(types, "causal")
    assert both[1, 4] and not causal[1, 4]
    assert not both[0, 1] and not both[3, 4]
    assert np.array_equal(causal, np.tril(np.ones((5, 5), bool)))


def test_the_switch_has_two_positions() -> None:
    with pytest.raises(SpecError, match=r"bidirectional.*causal"):
        masks.check_image_attention("full")


def test_a_hidden_score_vanishes_in_float32() -> None:
    bias = masks.additive(np.array([True, False]))
    assert bias.dtype == np.float32 and bias.tolist() == [0.0, float(masks.HIDDEN)]
    scores = np.array([-8e4, 8e4], np.float32) + bias  # pooling scores reach 8e4
    assert np.exp(scores - scores.max())[1] == 0.0
