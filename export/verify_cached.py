"""Graphs with a cache against the reference model on the golden observation, each token's logits, then the chunk.

The tokens are those that the graphs choose by themselves, one at a time; the reference model is then asked about them
in one pass, and must have chosen the same. A graph is fed what the reference gives its predecessor, so that an error
names its own stage. Another content of the cache must change what comes after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from export.verify import CONTROL_FACTOR, TOLERANCE_ACTION, TOLERANCE_STAGE, refuse_short, refuse_still, relative_row
from policy_spec.compare import Row, relative, row
from policy_spec.errors import AnswerError
from policy_spec.pipeline import Observation, Prepared
from policy_spec.replay import Replay, Replayed
from policy_spec.think import ThinkPipeline

TOLERANCE_CHOICE = 1e-3  # a logit that falls short of the best by less may be the other kernel's best
STRIDE = 7  # between the tokens of a cache that is not the golden's
CHUNKS = (5, 1)  # tokens of the first passes; the others come in one more

Arrays = Mapping[str, np.ndarray]


class CachedRun(Protocol):
    """A runner that shows its caches, cache_k_00, ...: [kv_heads, places, d]."""

    @property
    def caches(self) -> Arrays: ...

    def __call__(self, graph: str, feeds: Arrays, /) -> Arrays: ...


@dataclass(frozen=True, slots=True, eq=False)
class CachedAnswer:
    """One observation with what a runner makes of it and of the tokens after it."""

    observation: Observation
    task: str
    seed: int
    tokens: np.ndarray  # int64 [n]
    features: np.ndarray
    replayed: Replayed
    caches: dict[str, np.ndarray]  # of prompt and tokens
    step: dict[str, np.ndarray]  # one Euler step in the middle of the flow: trajectory, step -> next; think only


def chosen_tokens(run: CachedRun, replay: Replay, observation: Observation, task: str) -> np.ndarray:
    """The tokens that a runner chooses by itself, int64 [n]."""
    prepared = replay.pipeline.prepare(observation, task)
    return replay.greedy(run, prepared, run("vision", prepared.vision)["features"].copy())


def cached_answer(
    run: CachedRun, replay: Replay, observation: Observation, task: str, seed: int, tokens: np.ndarray
) -> CachedAnswer:
    """Runs one whole call with given tokens and keeps what passes between the graphs, in arrays of its own."""
    step: dict[str, np.ndarray] = {}
    middle = replay.pipeline.spec.flow_steps // 2

    def keep(graph: str, feeds: Arrays, /) -> Arrays:
        out = run(graph, feeds)
        if graph == "flow" and feeds["step"][0] == middle:
            step.update({name: feeds[name].copy() for name in ("trajectory", "step")}, next=out["next"].copy())
        return out

    prepared = replay.pipeline.prepare(observation, task)
    features = run("vision", prepared.vision)["features"].copy()
    replayed = replay.whole(keep, prepared, features, tokens, seed)
    used = len(prepared.ids) + len(tokens)
    caches = {name: value[:, :used].copy() for name, value in run.caches.items()}
    return CachedAnswer(observation, task, seed, tokens, features, replayed, caches, step)


def verify_cached(run: CachedRun, replay: Replay, golden: CachedAnswer, progress: Callable[[str], None]) -> list[Row]:
    """The parity table. Raises ExportError if a row falls short, or if the comparison proves nothing.

    golden: the reference model's own answer.
    """
    prepared = replay.pipeline.prepare(golden.observation, golden.task)
    progress("vision")
    rows = [relative_row("vision: features", run("vision", prepared.vision)["features"], golden.features)]
    progress("llm")
    rows += _llm_rows(run, replay, prepared, golden)
    lost = replay.lost(golden.replayed.logits, golden.tokens)
    at = f"token {int(lost.argmax()) + 1} of {len(golden.tokens)}"
    rows.append(Row("chosen tokens: the reference's loss", float(lost.max()), TOLERANCE_CHOICE, at))
    if replay.variant.mode == "think":
        progress("context")
        rows += _context_rows(replay.context(run, prepared, golden.tokens), golden, len(prepared.ids))
        progress("flow")
        rows.append(_flow_row(run, replay, prepared, golden))
    progress("whole call")
    own = cached_answer(run, replay, golden.observation, golden.task, golden.seed, golden.tokens)
    if own.replayed.normalized is not None:
        chunk, expected = own.replayed.normalized, np.asarray(golden.replayed.normalized)
        rows.append(row("normalized actions", chunk, expected, TOLERANCE_ACTION))
    if replay.variant.mode == "think":
        rows += _call_rows(run, replay, golden)
    refuse_short(rows, "an exported graph does not agree with the reference model")
    control_cache(run, replay, golden)
    control_seed(run, replay, golden)
    return rows


def _llm_rows(run: CachedRun, replay: Replay, prepared: Prepared, golden: CachedAnswer) -> list[Row]:
    """The prompt at once; the tokens in passes of CHUNKS and the rest; and from the first again, all in one."""
    expected, count = golden.replayed.logits, len(golden.tokens)
    got = replay.cached.prompt(run, prepared, golden.features)
    rows = [relative_row("llm: logits after the prompt", got, expected[0])]
    used = len(prepared.ids)
    rows += [
        relative_row(f"llm: {name}", run.caches[name][:, :used], golden.caches[name][:, :used])
        for name in golden.caches
    ]
    start = 0
    for size in (*CHUNKS, count):
        part = golden.tokens[start : start + size]
        if len(part):
            got = replay.push(part, start)
            rows.append(relative_row(f"llm: logits, pass of {len(part)}", got, expected[start + 1 :][: len(part)]))
        start += len(part)
    rows.append(relative_row(f"llm: logits, all {count} again", replay.push(golden.tokens, 0), expected[1:]))
    # A cache is compared whole: by its largest element, as K and V of a prompt are.
    worst = max(golden.caches, key=lambda name: relative(run.caches[name][:, : used + count], golden.caches[name]))
    rows.append(
        relative_row(
            f"llm: {worst}, the worst with all tokens", run.caches[worst][:, : used + count], golden.caches[worst]
        )
    )
    return rows


def _context_rows(context: Arrays, golden: CachedAnswer, prompt: int) -> list[Row]:
    """The expert's K and V; what stands behind the last token is nobody's."""
    used, rows = prompt + len(golden.tokens), []
    for name, expected in golden.replayed.context.items():
        cut = (..., slice(0, used)) if name[0] == "k" else (..., slice(0, used), slice(None))
        rows.append(relative_row(f"context: {name}", context[name][cut], expected[cut]))
    return rows


def _flow_row(run: CachedRun, replay: Replay, prepared: Prepared, golden: CachedAnswer) -> Row:
    """One Euler step in the middle of the flow, from the reference's own trajectory."""
    feeds = replay.flow_feeds(prepared, golden.tokens, golden.replayed.context)
    got = run("flow", {**feeds, **{name: golden.step[name] for name in ("trajectory", "step")}})["next"]
    steps = slice(0, replay.pipeline.tag.horizon)  # further ones are padding
    return row("flow: next", got[:, steps], golden.step["next"][:, steps], TOLERANCE_ACTION)


def _call_rows(run: CachedRun, replay: Replay, golden: CachedAnswer) -> list[Row]:
    """A call as a robot makes it, which drafts its codes: they are those that were chosen one by one."""
    pipeline = ThinkPipeline(replay.pipeline, replay.variant)
    try:
        got = pipeline.predict(run, golden.observation, golden.task, seed=golden.seed)
    except AnswerError:  # the whole head may go on without an end: the release's own error, none of the graphs'
        return []
    assert got.depth is not None
    codes = golden.tokens[1:-1] - replay.pipeline.spec.token_ids["depth_0"]
    alike, cells = int((got.depth.codes == codes).sum()), len(codes)
    least = 1.0 - got.depth.small_margins / cells  # another kernel may decide a near tie the other way
    detail = f"{alike} of {cells}, in {got.depth.passes} passes"
    rows = [Row("call: codes chosen alike", alike / cells, least, detail, at_least=True)]
    if np.array_equal(got.depth.tokens, golden.tokens):
        expected = np.asarray(golden.replayed.normalized)[:, : got.normalized.shape[1]]
        rows.append(row("call: normalized actions", got.normalized, expected, TOLERANCE_ACTION))
    return rows


def control_cache(run: CachedRun, replay: Replay, golden: CachedAnswer) -> float:
    """Other tokens before the last one must change its logits. Returns by how much; raises ExportError where they do
    not.
    """
    before = len(golden.tokens) - 1
    replay.push(replay.choices[np.arange(before) * STRIDE % len(replay.choices)], 0)
    got = replay.push(golden.tokens[-1:], len(golden.tokens) - 1)
    moved = relative(got, golden.replayed.logits[-1:])
    return refuse_still(moved, CONTROL_FACTOR * TOLERANCE_STAGE, "other tokens in the cache give the same logits")


def control_seed(run: CachedRun, replay: Replay, golden: CachedAnswer) -> float:
    """Another noise seed must move the chunk, where there is one."""
    if golden.replayed.normalized is None:
        return 0.0
    other = cached_answer(run, replay, golden.observation, golden.task, golden.seed + 1, golden.tokens).replayed
    moved = float(np.abs(np.asarray(other.normalized) - golden.replayed.normalized).max())
    return refuse_still(moved, CONTROL_FACTOR * TOLERANCE_ACTION, "another noise seed gives the same chunk")
