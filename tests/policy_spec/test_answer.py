"""Discrete answers: whatever is guessed, the tokens are those of one token a pass; what is no answer is an error."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_spec.answer import AnswerTokens, decode, no_guess
from policy_spec.answer_draft import REST, WINDOW, AnswerMemory, Draft, aligned, continued
from policy_spec.errors import AnswerError, SessionError
from policy_spec.generated import Discrete

START, END, EOS, FIRST, CODES = 3, 4, 5, 6, 7
WORDS = FIRST + CODES + 4  # 0, 1, 2 and the last are other words; the checkpoint has two codes more than the tokenizer
ENDLESS = 10**6


def tokens(*, full: bool = True, most: int = 40, coefficients: int = ENDLESS) -> AnswerTokens:
    ids = np.arange(WORDS) if full else np.array([START, END, EOS, *range(FIRST, FIRST + CODES + 2)])
    inside = ((ids >= FIRST) & (ids < FIRST + CODES)) | (ids == END)
    letters = np.arange(1, CODES + 1)
    return AnswerTokens(START, END, EOS, FIRST, CODES + 2, most, coefficients, full, ids, inside, letters)


@dataclass
class Model:
    """Logits by a hash of the last `reach` tokens: a language that repeats itself, with a cache by place."""

    seed: int
    reach: int
    full: bool = True
    length: int = 12  # place from which on the end is likely
    well: float = 0.0  # how much action tokens are preferred inside
    cache: list[int] = field(default_factory=list)

    def logits(self, prefix: list[int]) -> np.ndarray:
        out = np.random.default_rng(zlib.crc32(repr((self.seed, prefix[-self.reach :])).encode())).standard_normal(
            WORDS
        )
        out[FIRST : FIRST + CODES] += self.well
        if not prefix:
            out[START] += 5 * self.well
        if len(prefix) >= self.length:
            out[EOS if END in prefix else END] += 50
        else:
            out[[END, EOS]] -= 50
        return (out if self.full else out[tokens(full=False).ids]).astype(np.float32)

    def __call__(self, ids: Any, start: int, rows: Any, /) -> np.ndarray:
        assert start <= len(self.cache), "a place was skipped"
        self.cache[start:] = [int(i) for i in ids]
        return np.stack([self.logits(self.cache[: start + int(row) + 1]) for row in rows])


def greedy(model: Model, constrained: bool) -> list[int]:
    """The slow truth, written out: one whole prefix per decision."""
    head, ids = tokens(full=model.full), list[int]()
    while not ids or ids[-1] != (END if constrained else EOS):
        row = model.logits(ids)
        if constrained and not ids:
            ids.append(START)
            continue
        allowed = head.inside if constrained else np.ones(len(row), np.bool_)
        ids.append(int(head.ids[np.where(allowed, row, -np.inf).argmax()]))
    return ids


def answer(model: Model, constrained: bool, guess: Any = no_guess, **sizes: int) -> Discrete:
    head = tokens(full=model.full, **sizes)
    return decode(model, model.logits([]), head, constrained=constrained, guess=guess)


models = st.builds(
    Model, st.integers(0, 9999), st.integers(1, 3), length=st.integers(2, 30), well=st.sampled_from([0, 9])
)


@settings(max_examples=300, deadline=None)
@given(models, st.booleans(), st.lists(st.integers(0, WORDS - 1), max_size=40), st.booleans(), st.data())
def test_any_guess_gives_the_same_answer(
    model: Model, constrained: bool, draft: list[int], good: bool, data: st.DataObject
) -> None:
    model.full = not constrained or data.draw(st.booleans())
    truth = greedy(model, constrained)
    if good and len(truth) > 2:  # the truth, but for a token changed, left out or put in
        at = data.draw(st.integers(1, len(truth) - 1))
        draft = [*truth[:at], *data.draw(st.lists(st.integers(0, WORDS - 1), max_size=2)), *truth[at + 1 :]]
    plain = answer(replace(model, cache=[]), constrained)
    out = answer(replace(model, cache=[]), constrained, Draft(draft))
    assert plain.tokens.tolist() == out.tokens.tolist() == truth
    assert plain.passes == plain.fed == len(truth) - 1 and plain.accepted == 0
    # Each pass settles one token more than were guessed right, but for one whose last right guess is the end.
    assert out.passes + out.accepted - (len(truth) - 1) in (0, 1)
    assert out.differs == plain.differs and out.small_margins == plain.small_margins
    if not good:
        assert out.passes <= plain.passes


def test_a_right_guess_takes_few_passes() -> None:
    model = Model(1, 2, length=38, well=9)
    truth = greedy(model, True)
    out = answer(model, True, Draft(truth))
    assert len(truth) == 39 and out.passes == 3  # 1 + 8, 1 + 16, the rest
    assert out.accepted == len(truth) - 1 - 2  # the end was guessed, too


@pytest.mark.parametrize("length", [130, 400])
def test_guesses_never_exceed_what_a_pass_takes(length: int) -> None:
    model = Model(1, 2, length=length, well=9)
    truth = greedy(model, True)
    widest = []

    def push(ids: Any, start: int, rows: Any, /) -> np.ndarray:
        widest.append(len(ids))
        return model(ids, start, rows)

    head = tokens(most=length + 5)
    decode(push, model.logits([]), head, constrained=True, guess=Draft(truth))
    assert max(widest) <= 128 and widest[:3] == [1 + WINDOW, 1 + 2 * WINDOW, 1 + 4 * WINDOW]


def test_differences_are_counted_where_the_head_knows() -> None:
    wild, tame = Model(3, 2, length=10), Model(3, 2, length=10, well=9)
    assert answer(tame, True).differs == 0
    held, free = answer(replace(wild), True), answer(replace(wild, cache=[]), False)
    assert held.differs > 0 and free.differs > 0
    ids = free.tokens[: free.tokens.tolist().index(END)]
    outside = [i for i in ids[1:] if not FIRST <= i < FIRST + CODES]
    assert free.differs == len(outside) + (ids[0] != START)
    assert answer(Model(3, 2, full=False, length=10), True).differs is None


def test_close_decisions_are_counted() -> None:
    def push(ids: Any, start: int, rows: Any, /) -> np.ndarray:
        row = np.zeros(WORDS, np.float32)
        row[[END, 0]] = 1.0, 1.0  # 0 is no action token: close only where it may be chosen
        return np.stack([row for _ in rows])

    assert decode(push, push([], 0, [0])[0], tokens(), constrained=True).small_margins == 0
    row = np.zeros(WORDS, np.float32)
    row[[END, FIRST]] = 1.0005, 1.0
    held = decode(lambda ids, start, rows: np.stack([row] * len(rows)), row, tokens(), constrained=True)
    assert held.tokens.tolist() == [START, END] and held.small_margins == 1  # the forced start is no decision


@pytest.mark.parametrize(
    ("constrained", "words"), [(True, "<action_end> within 40"), (False, "the end of the turn within 40")]
)
def test_an_answer_without_end_is_an_error(constrained: bool, words: str) -> None:
    endless = Model(1, 2, length=ENDLESS, well=9)
    with pytest.raises(AnswerError, match=f"does not end; expected: {words} tokens.*hold"):
        answer(endless, constrained)
    assert len(endless.cache) <= 40
    just = Model(1, 2, length=38, well=9)  # start, 37 codes, end, eos: 40 in all
    assert len(answer(just, constrained).tokens) == 40 - constrained


def test_an_answer_too_long_for_a_chunk_stops_early() -> None:
    long = Model(1, 2, length=ENDLESS, well=9)
    with pytest.raises(AnswerError, match=r"too long for a chunk; expected: 20 coeff.*got: at least 2\d in"):
        answer(long, True, coefficients=20)
    assert len(long.cache) <= 20
    with pytest.raises(AnswerError, match="does not end"):  # as released: it goes on
        answer(replace(long, cache=[]), False, coefficients=20)


def test_a_logit_that_is_no_number_is_the_session_s_error() -> None:
    model = Model(1, 2)
    row = model.logits([])
    row[2] = np.nan
    with pytest.raises(SessionError, match="not a number") as caught:
        decode(model, row, tokens(), constrained=True)
    assert not isinstance(caught.value, AnswerError)


@pytest.mark.parametrize(
    ("ids", "codes"),
    [
        ([START, 6, 7, END, EOS], [0, 1]),
        ([0, 6, START, 7, 1, 8, END, 9, EOS], [1, 2]),  # before the start, after the end, other words: left out
        ([6, END, 7, EOS], [0, 1]),  # no start: all
        ([START, 6, EOS], [0]),  # no end
        ([START, FIRST + CODES + 1, END], [CODES + 1]),  # a code that the tokenizer lacks is not left out
    ],
)
def test_codes_within_an_answer_as_released(ids: list[int], codes: list[int]) -> None:
    assert tokens().codes_of(np.array(ids)) == codes


def test_an_answer_without_codes_is_an_error() -> None:
    with pytest.raises(AnswerError, match="no action tokens"):
        tokens().codes_of(np.array([START, END, EOS]))


def test_a_chunk_goes_on_as_it_was() -> None:
    chunk = np.stack([np.linspace(-0.5, 0.5, 11), np.zeros(11)], axis=1)
    assert continued(chunk, 0) is chunk
    later = continued(chunk, 4)
    np.testing.assert_allclose(later[:, 0], np.minimum(np.linspace(-0.1, 0.9, 11), 1), atol=1e-12)
    assert (later[:, 1] == 0).all() and later.shape == chunk.shape
    assert continued(chunk * 3, 8)[:, 0].max() <= 1.5  # what is beyond 1 already stays, and goes no further
    assert np.allclose(continued(chunk, 99), chunk[-1])


def test_a_guess_goes_on_behind_the_nearest_equal_tokens() -> None:
    draft = [3, 10, 11, 12, 13, 11, 12, 14]
    assert aligned([3, 10], draft) == 2  # in step
    assert aligned([3, 9, 10, 11], draft) == 3  # behind by one: 10 11 is found
    assert aligned([3, 9, 9, 9, 11, 12], draft) == 7  # the nearer of two
    assert aligned([3, 9], draft) == 2  # nothing equal: the same place
    assert aligned([3], draft) == 1 and aligned([3, 1, 1, 1, 1, 1, 1, 1, 1], draft) == 9


def test_guesses_rest_where_they_do_not_help() -> None:
    memory, chunk = AnswerMemory(), np.zeros((4, 2))
    assert memory.expected() is None  # nothing yet
    for _ in range(40):
        memory.remember(chunk, guessed=True, share=0.0)
    tried = []
    for _ in range(2 * REST + 2):
        guessed = memory.expected() is not None
        tried.append(guessed)
        memory.remember(chunk, guessed, share=0.0)
    assert sum(tried) == 2
    memory.remember(chunk, guessed=True, share=0.9)
    assert memory.expected() is not None
    memory.reset()
    assert memory.expected() is None and memory.passed == 0
