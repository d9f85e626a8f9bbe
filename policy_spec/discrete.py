"""Calls of a policy that answers in FAST tokens: a prompt, an answer, a chunk; no flow.

Takes the Pipeline of plain calls and runs the graphs of a discrete bundle: vision, then llm, the prompt first and
then as few passes as the guesses allow. Nothing is drawn at random. An answer that does not decode to a whole chunk
is an error (AnswerError), never zeros. Knows nothing of how answers are decoded or guessed.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from policy_spec.answer import AnswerTokens, decode, no_guess
from policy_spec.answer_draft import AnswerMemory, Draft
from policy_spec.cached import CachedPrompt
from policy_spec.errors import SpecError, sentence
from policy_spec.fast import FastTokenizer
from policy_spec.graphs import Variant
from policy_spec.pipeline import Array, Float32, Observation, Pipeline, Prediction, Prepared, Run, Watch


@dataclass(slots=True, eq=False)
class DiscretePipeline:
    """One policy for one robot, as Pipeline is. One call at a time: it remembers the one before.

    Raises SpecError where the checkpoint, the variant or the FAST tokenizer do not go together.
    """

    host: Pipeline
    variant: Variant  # of the bundle
    fast: FastTokenizer
    _: KW_ONLY
    constrained: bool = True  # False: any token may come, as released; needs the whole head
    drafts: bool = True  # False: one token a pass, as released
    memory: AnswerMemory = field(default_factory=AnswerMemory)
    _tokens: AnswerTokens = field(init=False, repr=False)
    _cached: CachedPrompt = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.variant.mode != "discrete":
            raise SpecError(sentence("mode of a discrete bundle", expected="discrete", got=repr(self.variant.mode)))
        if not self.constrained and self.variant.head != "full":
            raise SpecError(
                sentence(
                    "unconstrained decoding",
                    expected="a bundle with the whole lm_head",
                    got=f"head {self.variant.head!r}",
                    do="export with --mode discrete --head full",
                )
            )
        chunk = (self.host.tag.horizon, self.host.tag.action_dim)
        self._tokens = AnswerTokens.of(self.host.spec, self.variant, self.fast, chunk)
        self._cached = CachedPrompt(self.host.spec, self.host.bracket, self.variant)

    def reset(self) -> None:
        """A new episode begins."""
        self.memory.reset()

    def prepare(self, observation: Observation, task: str) -> Prepared:
        """As Pipeline.prepare; its feeds for flow mean nothing here."""
        return self.host.prepare(observation, task)

    def predict(
        self,
        run: Run,
        observation: Observation,
        task: str,
        *,
        seed: int | None = None,
        noise: Array | None = None,
        steps: int | None = None,
    ) -> Prediction:
        """One chunk. seed, noise and steps are those of Pipeline.predict, for callers of both, and change nothing.

        Raises AnswerError where the answer is no chunk. A call that fails ends the memory.
        """
        try:
            return self._predict(run, observation, task)
        except BaseException:
            self.reset()
            raise

    def _predict(self, run: Run, observation: Observation, task: str) -> Prediction:
        host, tokens = self.host, self._tokens
        watch = Watch(host.clock)
        with host.borrow() as buffers:
            ready = host.fill(observation, task, buffers)
            draft = self._draft()
            watch.done("prepare")
            features = run("vision", ready.vision)["features"]
            watch.done("vision")
            first = self._cached.prompt(run, ready, features).copy()
            watch.done("llm")
            guess = Draft(draft) if draft else no_guess
            answer = decode(self._cached.push, first, tokens, constrained=self.constrained, guess=guess)
            watch.done("decode")
        chunk = self.fast.decode(tokens.codes_of(answer.tokens), host.tag.horizon, host.tag.action_dim)
        normalized = self._padded(chunk)
        actions = host.actions(normalized)
        self.memory.remember(chunk, bool(draft), answer.accepted / len(answer.tokens))
        watch.done("finish")
        return Prediction(actions, normalized, watch.took, len(ready.ids), None, discrete=answer)

    def _draft(self) -> list[int]:
        """The whole answer, as guessed; empty: no guess."""
        chunk = self.memory.expected() if self.drafts else None
        if chunk is None:
            return []
        try:
            codes = [code + self._tokens.first for code in self.fast.encode(chunk)]
        except SpecError:  # a motion that no chunk of the fit makes: no guess
            return []
        end = [self._tokens.end] if self.constrained else [self._tokens.end, self._tokens.eos]
        return [self._tokens.start, *codes, *end]

    def _padded(self, chunk: Array) -> Float32:
        """[1, H, A] of [H, D]."""
        out = np.zeros((1, len(chunk), self.host.spec.max_action_dim), np.float32)
        out[0, :, : chunk.shape[1]] = chunk
        return out
