"""Two bundles on the same observations: what each graph gives, whole chunks, and latency side by side.

A is the reference, usually in full precision. Each graph of B is also fed what A's graph before it gave, so that an
error belongs to one graph. Knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from armside.compare_samples import Sample
from edge.engine import Engine, EngineOptions
from edge.ort_engine import open_engine
from edge.policies import Policy, make_pipeline, make_policy
from policy_spec.bundle import Bundle, open_bundle
from policy_spec.errors import UsageError, sentence
from policy_spec.pipeline import Observation, Pipeline, Prediction

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One bundle, opened."""

    path: Path
    bundle: Bundle
    host: Pipeline
    policy: Policy
    engine: Engine

    @property
    def cached(self) -> bool:
        """Whether its calls generate tokens."""
        return self.bundle.manifest.variant.cached


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One whole call with what passed between its graphs."""

    prediction: Prediction
    stages: dict[str, np.ndarray]  # features, k_00, v_00, ...
    path: list[np.ndarray] = field(default_factory=list)  # trajectories that the flow graph was fed
    velocity: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StageError:
    """Root mean square of the difference over that of A."""

    name: str  # features, k_00, ..., velocity 0, ...
    whole: float  # end to end
    own: float | None  # fed what A's graphs gave; None where calls generate tokens


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One sample."""

    where: str
    stages: tuple[StageError, ...]
    actions: tuple[np.ndarray, np.ndarray]  # [steps, D] policy units, A and B
    normalized: tuple[np.ndarray, np.ndarray]  # [h, D], A and B
    tokens_alike: float | None  # share of generated tokens; None where there are none
    seconds: tuple[dict[str, float], dict[str, float]]  # by stage, A and B
    other_seed: float | None = None  # how far A's own chunk moves with other noise, normalised: a control


def open_side(path: Path, norm_tag: str | None, options: EngineOptions) -> Side:
    """Opens a bundle. Raises BundleError, SpecError, SessionError."""
    bundle = open_bundle(path)
    host = make_pipeline(bundle, norm_tag)
    files = {graph: bundle.graph_path(graph) for graph in bundle.manifest.variant.graphs}
    return Side(path, bundle, host, make_policy(bundle, host), open_engine(files, options))


def refuse_different(a: Side, b: Side) -> None:
    """Raises UsageError where the two cannot be asked the same question."""
    for what, one, other in (
        ("mode", a.bundle.manifest.mode, b.bundle.manifest.mode),
        ("cameras", a.bundle.manifest.cameras, b.bundle.manifest.cameras),
        ("norm tag", a.host.tag.tag, b.host.tag.tag),
        ("joints", a.host.tag.action_dim, b.host.tag.action_dim),
        ("steps of a chunk", a.host.tag.horizon, b.host.tag.horizon),
        ("layers", a.bundle.spec.layers, b.bundle.spec.layers),
    ):
        if one != other:
            raise UsageError(
                sentence(f"{a.path} and {b.path} are of different policies: {what}", expected=one, got=other)
            )


def call(side: Side, sample: Sample) -> Call:
    """One call from a clean start, all that passes between graphs kept."""
    kept = Call(prediction=None, stages={})  # type: ignore[arg-type]
    steps = side.bundle.spec.flow_steps

    def keep(graph: str, feeds: Arrays, /) -> Arrays:
        out = side.engine.run(graph, feeds)
        if graph == "flow":
            kept.path.append(feeds["trajectory"].copy())
            kept.velocity.append((out["next"] - feeds["trajectory"]) * steps)
        else:  # copied: the next call of the graph overwrites them; of an llm's passes the last one counts
            kept.stages.update({name: value.copy() for name, value in out.items() if name != "logits"})
        return out

    side.policy.reset()
    prediction = side.policy.predict(keep, sample.observation, sample.task, seed=sample.seed)
    return Call(prediction, kept.stages, kept.path, kept.velocity)


def compare(a: Side, b: Side, sample: Sample, control: bool = False) -> Result:
    """One sample through both. control: also A with another noise seed."""
    first, second = call(a, sample), call(b, sample)
    dims, horizon = a.host.tag.action_dim, a.host.tag.horizon
    chunks = tuple(c.prediction.normalized[0, :horizon, :dims] for c in (first, second))
    moved = None
    if control:
        other = call(a, Sample(sample.observation, sample.task, sample.seed + 1, sample.where))
        moved = float(np.abs(other.prediction.normalized[0, :horizon, :dims] - chunks[0]).max(initial=0.0))
    return Result(
        where=sample.where,
        stages=_stages(a, b, (first, second), sample),
        actions=(first.prediction.actions, second.prediction.actions),
        normalized=(chunks[0], chunks[1]),
        tokens_alike=_alike(first.prediction, second.prediction),
        seconds=(first.prediction.timings, second.prediction.timings),
        other_seed=moved,
    )


def _stages(a: Side, b: Side, calls: tuple[Call, Call], sample: Sample) -> tuple[StageError, ...]:
    first, second = calls
    tokens = first.prediction.prompt_tokens
    own = None if b.cached else _own(b, first, sample.observation, sample.task)
    rows = []
    for name, value in first.stages.items():
        cut = _cut(name, tokens)
        alone = None if own is None else rms(own[name][cut], value[cut])
        rows.append(StageError(name, rms(second.stages[name][cut], value[cut]), alone))
    part = (slice(None), slice(0, a.host.tag.horizon), slice(0, a.host.tag.action_dim))
    for step, (one, other) in enumerate(zip(first.velocity, second.velocity, strict=True)):
        name = f"velocity {step}"
        alone = None if own is None else rms(own[name][part], one[part])
        rows.append(StageError(name, rms(other[part], one[part]), alone))
    return tuple(rows)


def _own(b: Side, first: Call, observation: Observation, task: str) -> dict[str, np.ndarray]:
    """What each of B's graphs gives where A's graphs gave what comes before it."""
    prepared, run = b.host.prepare(observation, task), b.engine.run
    out = {name: value.copy() for name, value in run("vision", prepared.vision).items()}
    context = run("llm", {**prepared.llm, "features": first.stages["features"]})
    out.update({name: value.copy() for name, value in context.items()})
    shared = {**prepared.flow, **{name: v for name, v in first.stages.items() if name != "features"}}
    for step, trajectory in enumerate(first.path):
        feeds = {**shared, "trajectory": trajectory, "step": np.array([step], np.int32)}
        out[f"velocity {step}"] = (run("flow", feeds)["next"] - trajectory) * b.bundle.spec.flow_steps
    return out


def _cut(name: str, tokens: int) -> Any:
    """K lies [1, h, d, S], V [1, h, S, d]: only tokens of the prompt count."""
    if name[:2] == "k_":
        return (..., slice(0, tokens))
    return (..., slice(0, tokens), slice(None)) if name[:2] == "v_" else (...,)


def rms(got: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the difference over that of the truth."""
    scale = float(np.sqrt(np.mean(np.square(expected, dtype=np.float64))))
    return float(np.sqrt(np.mean(np.square(got.astype(np.float64) - expected)))) / (scale or 1.0)


def _alike(first: Prediction, second: Prediction) -> float | None:
    for one, other in ((first.depth, second.depth), (first.discrete, second.discrete)):
        if one is not None and other is not None:
            count = min(len(one.tokens), len(other.tokens))
            return float((one.tokens[:count] == other.tokens[:count]).sum()) / max(len(one.tokens), len(other.tokens))
    return None


def interleaved(
    sides: tuple[Side, Side], sample: Sample, rounds: int
) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Seconds by stage of plain calls, A and B in turn, which of them first alternating; one round unmeasured."""
    measured = []
    for number in range(rounds + 1):
        took: list[dict[str, float]] = [{}, {}]
        for which in (0, 1) if number % 2 else (1, 0):
            side = sides[which]
            side.policy.reset()
            prediction = side.policy.predict(side.engine.run, sample.observation, sample.task, seed=sample.seed)
            took[which] = prediction.timings
        if number:
            measured.append((took[0], took[1]))
    return measured
