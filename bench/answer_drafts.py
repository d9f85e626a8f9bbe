"""How many passes a discrete answer takes with guesses from the chunk before, and without.

`python -m bench.answer_drafts [--json]`. The language model is one that always answers with the tokens of the motion
that really follows: no policy does, so the numbers bound what guesses can save. Motions are seeded reaches of six
joints with noise, some joints resting, 30 steps a chunk. A pass feeds the last settled token and the guesses. Where
reading the weights is the cost of a pass (a GPU), passes count; where arithmetic is (a CPU), tokens fed count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from policy_spec import answer_draft
from policy_spec.answer_draft import AnswerMemory, Draft
from policy_spec.errors import SpecError
from policy_spec.fast import FastTokenizer
from policy_spec.fast_fit import FitOptions, fit

HORIZON, DIMS, STEPS = 30, 6, 600
EVERY = (1, 5, 15, 30)  # steps between two answers
START, END = -1, -2


@dataclass(frozen=True, slots=True)
class Saved:
    """Passes and tokens fed, each per token of the plain order's answers."""

    every: int
    guesses: str
    passes: float
    fed: float


def motion(rng: np.random.Generator) -> np.ndarray:
    """[STEPS, DIMS] one joint after another reaches, rests, reaches."""
    out = np.zeros((STEPS, DIMS))
    for joint in range(DIMS):
        at, here = 0, float(rng.uniform(-0.8, 0.8))
        while at < STEPS:
            length = int(rng.integers(20, 90))
            there = float(rng.uniform(-0.8, 0.8)) if rng.random() < 0.7 else here
            t = np.linspace(0, 1, length)
            reach = here + (there - here) * (10 * t**3 - 15 * t**4 + 6 * t**5)
            out[at : at + length, joint] = reach[: STEPS - at]
            at, here = at + length, there
    return (out + rng.normal(0, 0.003, out.shape)).astype(np.float32)


def passes(truth: list[int], guess: Draft | None) -> tuple[int, int]:
    """Passes and tokens fed until `truth` is settled, by the rules of answer.decode."""
    settled, runs, fed = 1, 0, 0
    while settled < len(truth):
        guesses: Sequence[int] = guess(truth[:settled]) if guess else ()
        runs, fed = runs + 1, fed + 1 + len(guesses)
        for guessed in guesses:
            if settled >= len(truth) or guessed != truth[settled]:
                break
            settled += 1
        settled += 1
    return runs, fed


def run(clips: list[np.ndarray], fast: FastTokenizer, every: int, kind: str) -> Saved:
    """All clips, an answer every so many steps."""
    total = plain = fed = 0
    for clip in clips:
        memory = AnswerMemory()
        for start in range(0, STEPS - HORIZON, every):
            codes = fast.encode(clip[start : start + HORIZON])
            truth, guess = [START, *codes, END], None
            memory.passed = every if kind == "carried on" else 0
            if kind != "none" and memory.chunk is not None:
                with contextlib.suppress(SpecError):  # as DiscretePipeline: what has no tokens is not guessed
                    expected = answer_draft.continued(memory.chunk, memory.passed)
                    guess = Draft([START, *fast.encode(expected), END])
            one = passes(truth, guess)
            total, fed, plain = total + one[0], fed + one[1], plain + len(truth) - 1
            memory.remember(fast.decode(codes, HORIZON, DIMS), False, 0.0)
    return Saved(every, kind, total / plain, fed / plain)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    clips = [motion(rng) for _ in range(60)]
    chunks = np.stack([clip[i : i + HORIZON] for clip in clips[:50] for i in range(0, STEPS - HORIZON, 6)])
    fast = fit(chunks, FitOptions(dims=0))
    rows = [run(clips[50:], fast, every, kind) for every in EVERY for kind in ("none", "as it was", "carried on")]
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return 0
    print("steps between answers | guesses | passes per token | tokens fed per token")
    for row in rows:
        print(f"{row.every:21} | {row.guesses:10} | {row.passes:.2f} | {row.fed:.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
