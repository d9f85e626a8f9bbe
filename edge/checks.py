"""What an opened engine is checked for before a session is ready: its tensors, and the bundle's golden answer.

The golden is reproduced on this very board, stage by stage (edge/stages.py) and then whole. A bundle that generates
tokens is given the golden's, so that near-equal logits, which another processor may rank otherwise, do not decide
(policy_spec/replay.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.engine import Engine
from edge.policies import make_pipeline
from edge.runner import Looping, runner
from edge.stages import Watched, limit_of
from policy_spec.bundle import Bundle
from policy_spec.compare import Row, Worst, worst
from policy_spec.errors import SessionError, sentence
from policy_spec.golden import Golden
from policy_spec.graphs import graph_specs
from policy_spec.norm import NormTag
from policy_spec.replay import Replay

# The largest difference from the golden chunk that another processor's arithmetic explains, in normalised
# units (a joint's whole range is 2). Quantized graphs round to steps, and a step may fall to the other side.
# Logits are held to the same, as a share of the largest one.
TOLERANCE = {"fp32": 2e-3}
TOLERANCE_LOWER = 6e-2
BEST = "best"  # golden stage: the largest logit after the prompt and after each token
_DO = "check the copy with --verify; if its files are whole, export for this board, or in fp32"


def check_tensors(bundle: Bundle, engine: Engine) -> None:
    """Names, types and shapes of all inputs and outputs are those that the spec asks for. SessionError."""
    manifest = bundle.manifest
    wanted = graph_specs(bundle.spec, manifest.cameras, manifest.bracket, manifest.horizon, manifest.variant)
    for graph, spec in wanted.items():
        expected = {t.name: (t.dtype, t.shape) for t in (*spec.inputs, *spec.outputs)}
        got = {info.name: (info.dtype.name, info.shape) for info in engine.tensors(graph)}
        for name in expected.keys() | got.keys():
            if expected.get(name) != got.get(name):
                raise SessionError(
                    sentence(
                        f"graph {graph}: tensor {name}",
                        expected=expected.get(name, "no such tensor"),
                        got=got.get(name, "no such tensor"),
                        do="export the bundle again",
                    )
                )


@dataclass(frozen=True, slots=True)
class Proof:
    """What the golden call showed."""

    worst: Worst  # of the whole, normalised units, or logits where there is no chunk
    tolerance: float
    stages: tuple[Row, ...]  # in the order in which they ran, the whole last

    @property
    def rows(self) -> tuple[Row, ...]:
        """Stages, and the whole."""
        return (*self.stages, Row("whole: normalized chunk", self.worst.error, self.tolerance, str(self.worst)))


def check_golden(bundle: Bundle, engine: Engine) -> Proof:
    """Runs the golden observation, and compares stage by stage, then the whole. SessionError names what is beyond."""
    golden = Golden.load(bundle.path)
    pipeline = make_pipeline(bundle, golden.tag)
    tolerance = TOLERANCE.get(bundle.manifest.precision, TOLERANCE_LOWER)
    run = Watched(runner(engine, bundle), golden.stages, limit_of(bundle.manifest.precision), str(bundle.path))
    if not bundle.manifest.variant.cached:
        got = pipeline.predict(run, golden.observation, golden.task, seed=golden.seed)
        return Proof(_check_chunk(bundle, pipeline.tag, got.normalized, golden, tolerance), tolerance, tuple(run.rows))
    prepared = pipeline.prepare(golden.observation, golden.task)
    features = run("vision", prepared.vision)["features"]
    replay = Replay(pipeline, bundle.manifest.variant)
    again = replay.whole(run, prepared, features, golden.tokens, golden.seed)
    found = _check_logits(bundle, again.logits.max(axis=-1), golden, tolerance)
    run.rows.append(Row("llm: largest logits", found.error, tolerance, str(found)))
    if isinstance(engine, Looping):
        run.rows.append(_check_sizes(bundle, replay, engine.pass_sizes, golden, tolerance))
    if again.normalized is not None:
        found = _check_chunk(bundle, pipeline.tag, again.normalized, golden, tolerance)
    return Proof(found, tolerance, tuple(run.rows))


def _check_sizes(bundle: Bundle, replay: Replay, sizes: tuple[int, ...], golden: Golden, tolerance: float) -> Row:
    """The golden's tokens again, in two passes of each size that was captured: each is a run of its own."""
    expected, best = np.asarray(golden.stages[BEST])[1:], list[np.ndarray]()
    wanted = list[np.ndarray]()
    for size in sizes:
        for start in (0, size):
            tokens = golden.tokens[start : start + size]
            if len(tokens):
                best.append(replay.cached.push(tokens, start, np.arange(len(tokens))).max(axis=-1).copy())
                wanted.append(expected[start : start + size])
    scale = float(np.abs(expected).max()) or 1.0
    found = worst(np.concatenate(best) / scale, np.concatenate(wanted) / scale)
    row = Row("llm: passes of every size", found.error, tolerance, str(found))
    if not row.ok:
        what = f"{bundle.path}: stage llm, passes of {sizes} tokens, does not compute its golden values on this board"
        raise SessionError(sentence(what, expected=f"at most {tolerance:g}", got=str(found), do=_DO))
    return row


def _check_logits(bundle: Bundle, got: np.ndarray, golden: Golden, tolerance: float) -> Worst:
    expected = np.asarray(golden.stages[BEST])
    scale = float(np.abs(expected).max()) or 1.0
    found = worst(got / scale, expected / scale)
    if not found.error <= tolerance:
        raise SessionError(
            sentence(
                f"{bundle.path} does not reproduce its golden logits on this board",
                expected=f"a difference of at most {tolerance * scale:.3g}",
                got=f"{found.error * scale:.3g} after token {found.index[0]}",
                do=_DO,
            )
        )
    return found


def _check_chunk(bundle: Bundle, tag: NormTag, got: np.ndarray, golden: Golden, tolerance: float) -> Worst:
    found = worst(got[..., : tag.action_dim], golden.normalized[..., : tag.action_dim])
    if not found.error <= tolerance:
        raise SessionError(_golden_text(bundle, tag, found, tolerance))
    return found


def _golden_text(bundle: Bundle, tag: NormTag, found: Worst, tolerance: float) -> str:
    """Where the board differs most, in that joint's own unit: half of the joint's range is 1 normalised."""
    _, step, joint = found.index
    ends = tag.action.unnormalize(np.outer([-1.0, 1.0], np.ones(tag.action_dim)).astype(np.float32))
    unit = float(ends[1, joint] - ends[0, joint]) / 2
    return sentence(
        f"{bundle.path} does not reproduce its golden chunk on this board",
        expected=f"a difference of at most {tolerance * abs(unit):.3g} in joint {joint}",
        got=f"{found.error * abs(unit):.3g} at step {step}, in that joint's own unit; "
        f"normalised {found.got:.4g} instead of {found.expected:.4g}",
        do=_DO,
    )
