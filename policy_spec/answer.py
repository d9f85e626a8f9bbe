"""Discrete answers, decoded greedily: as released, token by token over the whole lm_head, or held to action tokens.

Takes a language model as one function, `push(tokens, start, rows) -> logits`, and a source of guesses; gives the
tokens. A pass feeds the last settled token and some guesses behind it; guesses that are what the model would have
said are settled by that pass together, so that a guess changes the number of passes and nothing else. Place 0 holds
the answer's first token. Knows nothing of chunks, pictures or robots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from policy_spec.depth_decode import SMALL, Logits, Push
from policy_spec.errors import AnswerError, SessionError, SpecError, sentence
from policy_spec.fast import FastTokenizer
from policy_spec.generated import Discrete
from policy_spec.graphs import ACTION_HEAD, FAST_TOKENS, Variant, head_rows
from policy_spec.spec import PolicySpec

Ints = NDArray[np.int64]
Guess = Callable[[list[int]], Sequence[int]]  # the answer so far -> what may come next


@dataclass(frozen=True, slots=True, eq=False)
class AnswerTokens:
    """Ids and sizes of one policy's discrete answers, and what the logits are of."""

    start: int
    end: int
    eos: int
    first: int  # action_0
    count: int  # action tokens that the checkpoint has; the FAST tokenizer may have fewer codes
    most: int  # tokens of an answer, start, end and eos among them
    coefficients: int  # of a chunk
    full: bool  # the logits are the whole lm_head's
    ids: Ints  # [V] the token of each logit
    inside: NDArray[np.bool_]  # [V] those that may come between start and end, and end itself
    letters: Ints  # [codes] coefficients that begin in each action token

    @classmethod
    def of(cls, spec: PolicySpec, variant: Variant, fast: FastTokenizer, chunk: tuple[int, int]) -> AnswerTokens:
        """chunk: steps and dimensions. Raises SpecError where the checkpoint lacks action tokens."""
        missing = [name for name in (*ACTION_HEAD, "action_0") if name not in spec.token_ids]
        if missing:
            what = f"tokens of a discrete answer: {', '.join(missing)} are missing"
            raise SpecError(sentence(what, do="use a checkpoint that was trained on discrete actions"))
        if fast.size > spec.action_tokens:
            raise SpecError(
                sentence(
                    "codes of the FAST tokenizer",
                    expected=f"at most {spec.action_tokens}, the policy's action tokens",
                    got=fast.size,
                    do="use the FAST tokenizer that the policy was trained with",
                )
            )
        start, end, eos = (spec.token_ids[name] for name in ACTION_HEAD)
        first = spec.token_ids["action_0"]
        ids = np.concatenate([np.arange(*span) for span in head_rows(spec, variant.head)])
        return cls(
            start=start,
            end=end,
            eos=eos,
            first=first,
            count=spec.action_tokens,
            most=FAST_TOKENS * chunk[0],
            coefficients=chunk[0] * chunk[1],
            full=variant.head == "full",
            ids=ids,
            inside=((first <= ids) & (ids < first + fast.size)) | (ids == end),
            letters=fast.letters(),
        )

    def codes_of(self, answer: Ints) -> list[int]:
        """The FAST codes within an answer, as released: those between the first start and the next end; of an answer
        without a start, all. Other tokens are left out. Raises AnswerError where there are none.
        """
        starts = np.flatnonzero(answer == self.start)
        span = answer[int(starts[0]) + 1 :] if len(starts) else answer
        ends = np.flatnonzero(span == self.end)
        span = span[: int(ends[0])] if len(starts) and len(ends) else span
        codes: list[int] = (span[(self.first <= span) & (span < self.first + self.count)] - self.first).tolist()
        if not codes:
            expected, got = f"some of {self.first} to {self.first + self.count - 1}", f"tokens {answer.tolist()}"
            raise AnswerError(sentence("the policy's answer has no action tokens", expected=expected, got=got))
        return codes


def no_guess(so_far: list[int]) -> Sequence[int]:
    """The slow truth: one token a pass."""
    return ()


def decode(push: Push, first: Logits, tokens: AnswerTokens, *, constrained: bool, guess: Guess = no_guess) -> Discrete:
    """The answer, from the logits [V] of the prompt's last token.

    Constrained: `<action_start>`, then the best of the FAST tokens and `<action_end>`, until that comes. Otherwise the
    best token of all, until eos comes, as released. Raises AnswerError where the answer does not end.
    """
    answer = _Answer(tokens, constrained)
    answer.take(first)
    while not answer.done:
        place = len(answer.ids)
        guesses = list(guess(answer.ids))[: tokens.most - place - 1]
        fed = np.array([answer.ids[-1], *guesses], np.int64)
        logits = push(fed, place - 1, np.arange(len(fed)))
        answer.passes, answer.fed = answer.passes + 1, answer.fed + len(fed)
        for row, guessed in zip(logits, [*guesses, None], strict=True):
            right = answer.take(row) == guessed
            answer.accepted += right
            if answer.done or not right:
                break
    return answer.discrete()


@dataclass(slots=True, eq=False)
class _Answer:
    """What is settled so far, and what it took."""

    tokens: AnswerTokens
    constrained: bool
    ids: list[int] = field(default_factory=list)
    done: bool = False
    ended: bool = False  # action_end is among the ids
    letters: int = 0
    passes: int = 0
    fed: int = 0
    accepted: int = 0
    differs: int = 0
    small: int = 0

    def take(self, logits: Logits) -> int:
        """Settles the next token by its logits [V]."""
        tokens = self.tokens
        if not np.isfinite(logits).all():
            raise SessionError(
                sentence(
                    "the language model gave a logit that is not a number",
                    expected="finite logits",
                    do="run armside doctor; a graph in float16 may overflow on this machine",
                )
            )
        best, held = int(tokens.ids[logits.argmax()]), self._held(logits)
        self.differs += best != held
        chosen = held if self.constrained else best
        self.small += self._narrow(logits)
        self.ids.append(chosen)
        self.ended |= chosen == tokens.end
        self.done = chosen == (tokens.end if self.constrained else tokens.eos)
        self._check(chosen)
        return chosen

    def discrete(self) -> Discrete:
        """The whole answer."""
        ids, differs = np.array(self.ids, np.int64), self.differs if self.tokens.full else None
        return Discrete(ids, self.passes, self.fed, self.accepted, differs, self.small)

    def _held(self, logits: Logits) -> int:
        """The token of an answer that is nothing but action tokens."""
        if not self.ids:
            return self.tokens.start
        if self.ended:
            return self.tokens.eos
        return int(self.tokens.ids[np.where(self.tokens.inside, logits, -np.inf).argmax()])

    def _narrow(self, logits: Logits) -> bool:
        """Whether a choice was made between two that lie close together. What is forced is no choice."""
        if self.constrained:
            if not self.ids:
                return False
            logits = logits[self.tokens.inside]
        second, best = np.partition(logits, -2)[-2:]
        return bool(best - second < SMALL)

    def _check(self, chosen: int) -> None:
        """Raises AnswerError where no end can come in time any more."""
        tokens = self.tokens
        if not self.done and len(self.ids) + self.constrained >= tokens.most:  # constrained: eos would follow the end
            end = "<action_end>" if self.constrained else "the end of the turn"
            raise AnswerError(
                sentence(
                    "the policy's discrete answer does not end",
                    expected=f"{end} within {tokens.most} tokens",
                    got=f"{len(self.ids)} tokens without it",
                    do="the arm must hold; check the task, the pictures, and that the policy answers in FAST tokens",
                )
            )
        if self.constrained and 0 <= chosen - tokens.first < len(tokens.letters):
            self.letters += int(tokens.letters[chosen - tokens.first])
            if self.letters > tokens.coefficients:  # more tokens do not make it fewer
                raise AnswerError(
                    sentence(
                        "the policy's discrete answer is too long for a chunk",
                        expected=f"{tokens.coefficients} coefficients",
                        got=f"at least {self.letters} in {len(self.ids)} tokens",
                        do="the arm must hold; a policy and a FAST tokenizer that belong together do this rarely",
                    )
                )
