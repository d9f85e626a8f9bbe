"""What each part of a policy loses when only that part is quantized: K and V, the flow's velocity, the action.

Takes float32 graphs on the disk, calibration samples and parts of the precision plan; gives a Measured for each part
and scheme. Only the graph that holds the part is made anew; what the float graphs before it gave is kept per sample.
Modes that generate tokens have the same weights and are measured by one continuous call. Knows no checkpoint, and
nothing of pages.

The flow-matching error: with x_t = (1 - t) noise + t target, the mean of (v(x_t, t) - (target - noise))^2, as a policy
is trained (docs/sources.md, sensitivity); the target is the recorded chunk, or, where nobody recorded one, the float
model's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from policy_spec.compare import cosine
from policy_spec.graphs import GRAPHS, kv_names
from policy_spec.pipeline import Pipeline
from quant.collect import open_model
from quant.loss import Loss, Measured, gathered
from quant.plan import Plan
from quant.precisions import BF16
from quant.rewrite import EMULATED, ORT, quantize_model
from quant.samples import Sample
from quant.statistics import Statistics

TIMES = (0.0, 0.3, 0.6, 0.9)  # of the flow, at which its velocity is compared; the nearest step is taken
Arrays = dict[str, np.ndarray]


@dataclass(slots=True, eq=False)
class Truth:
    """What the float graphs say of one sample."""

    sample: Sample
    tokens: int  # of the prompt, without padding
    feeds: dict[str, Arrays]  # of each graph, but what other graphs give
    features: np.ndarray
    context: Arrays  # k_00, v_00, ...
    chunk: np.ndarray  # [1, horizon, A] normalised
    target: np.ndarray  # [1, H, A] normalised chunk that the flow's velocity should lead to
    counted: np.ndarray  # [1, H, A] bool, where the target counts
    velocities: list[np.ndarray] = field(default_factory=list)  # at TIMES
    flow_loss: float = 0.0


class Bench:
    """Float graphs and samples, and what becomes of these when a graph is replaced."""

    def __init__(self, folder: Path, pipeline: Pipeline, threads: int = 0) -> None:
        self.folder, self.pipeline, self.threads = folder, pipeline, threads
        self.float = {name: open_model(ir.load(folder / f"{name}.onnx"), folder, threads) for name in GRAPHS}
        self.steps = sorted({min(round(t * self.spec_steps), self.spec_steps - 1) for t in TIMES})

    @property
    def spec_steps(self) -> int:
        """Euler steps of a call."""
        return self.pipeline.spec.flow_steps

    def truth(self, sample: Sample) -> Truth:
        """One sample through the float graphs."""
        ready = self.pipeline.prepare(sample.observation, sample.task)
        feeds = {"vision": ready.vision, "llm": ready.llm, "flow": ready.flow}
        features = _run(self.float["vision"], ready.vision)["features"]
        context = _run(self.float["llm"], {**ready.llm, "features": features})
        chunk = self._denoise(self.float["flow"], {**ready.flow, **context}, sample.seed)
        target, counted = self._target(sample, chunk)
        found = Truth(sample, len(ready.ids), feeds, features, context, chunk, target, counted)
        found.velocities = self._velocities(self.float["flow"], found, context)
        found.flow_loss = self._flow_loss(found, found.velocities)
        return found

    def changed(self, graph: str, plan: Plan, stats: Statistics | None) -> ort.InferenceSession:
        """One graph with a plan in it; its other weights stay where they are. Raises QuantError."""
        model = ir.load(self.folder / f"{graph}.onnx")
        quantize_model(model, plan, stats, EMULATED if plan.base(graph) == BF16 else ORT)
        return open_model(model, self.folder, self.threads)

    def loss(self, graph: str, session: ort.InferenceSession, truth: Truth) -> Loss:
        """What one sample loses when `session` stands for the float graph."""
        features, context, flow = truth.features, truth.context, self.float["flow"]
        if graph == "vision":
            features = _run(session, truth.feeds["vision"])["features"]
        if graph in ("vision", "llm"):
            llm = session if graph == "llm" else self.float["llm"]
            context = _run(llm, {**truth.feeds["llm"], "features": features})
        if graph == "flow":
            flow = session
        velocities = self._velocities(flow, truth, context)
        chunk = self._denoise(flow, {**truth.feeds["flow"], **context}, truth.sample.seed)
        dims = self.pipeline.tag.action_dim
        got, full = chunk[..., :dims], truth.chunk[..., :dims]
        return Loss(
            kv=self._context_errors(context, truth),
            velocity=_mean(velocities, truth.velocities, truth.counted),
            flow=self._flow_loss(truth, velocities),
            action=tuple(float(value) for value in np.abs(got - full).max(axis=(0, 1))),
            cosine=cosine(got, full),
        )

    def other_seed(self, truth: Truth) -> float:
        """The control: how far the float model's own chunk moves with other noise, normalised."""
        shared = {**truth.feeds["flow"], **truth.context}
        other = self._denoise(self.float["flow"], shared, truth.sample.seed + 1_000_000)
        dims = self.pipeline.tag.action_dim
        return float(np.abs(other - truth.chunk)[..., :dims].max(initial=0.0))

    def _denoise(self, flow: ort.InferenceSession, feeds: Arrays, seed: int) -> np.ndarray:
        chunk: np.ndarray = self.pipeline.denoise(lambda _, now: _run(flow, now), feeds, self.pipeline.noise(seed))
        return chunk

    def _target(self, sample: Sample, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The chunk that the flow should lead to, in the flow graph's shape, and which of its numbers count."""
        tag = self.pipeline.tag
        target = np.zeros((1, self.pipeline.horizon, self.pipeline.spec.max_action_dim), np.float32)
        counted = np.zeros(target.shape, bool)
        counted[:, : tag.horizon, : tag.action_dim] = True
        if sample.chunk is None or sample.padded is None:
            target[:, : tag.horizon] = chunk
        else:
            target[0, : tag.horizon, : tag.action_dim] = tag.action.normalize(sample.chunk)
            counted[0, : tag.horizon][sample.padded] = False
        return target * counted, counted

    def _velocities(self, flow: ort.InferenceSession, truth: Truth, context: Arrays) -> list[np.ndarray]:
        """[1, H, A] at each of `steps`, on the straight line from the sample's noise to its target."""
        noise, found = self.pipeline.noise(truth.sample.seed), []
        for step in self.steps:
            t = np.float32(step / self.spec_steps)
            now: Arrays = {"trajectory": (1 - t) * noise + t * truth.target, "step": np.array([step], np.int32)}
            after = _run(flow, {**truth.feeds["flow"], **context, **now})["next"]
            found.append((after - now["trajectory"]) * self.spec_steps)
        return found

    def _flow_loss(self, truth: Truth, velocities: list[np.ndarray]) -> float:
        wanted = truth.target - self.pipeline.noise(truth.sample.seed)
        return _mean(velocities, [wanted] * len(velocities), truth.counted)

    def _context_errors(self, context: Arrays, truth: Truth) -> tuple[float, ...]:
        """Of each layer the larger of K's and V's error: root mean square, as a share of the truth's."""
        names = kv_names(self.pipeline.spec.layers)
        errors = []
        for name in names:
            part = (..., slice(0, truth.tokens)) if name[0] == "k" else (..., slice(0, truth.tokens), slice(None))
            errors.append(_rms(context[name][part], truth.context[name][part]))
        return tuple(max(pair) for pair in zip(errors[::2], errors[1::2], strict=True))


@dataclass(frozen=True, slots=True)
class Trial:
    """One part of the plan in one scheme, everything else as trained."""

    part: str  # llm.ffn, llm.ffn@3
    scheme: str
    graph: str  # that holds it
    plan: Plan
    tensors: int
    saved: int  # bytes that it stores less than in float32


def measure(
    bench: Bench, truths: list[Truth], trial: Trial, stats: Statistics | None, told: Callable[[], None]
) -> Measured:
    """A trial over all samples."""
    session = bench.changed(trial.graph, trial.plan, stats)
    losses = []
    for truth in truths:
        losses.append(bench.loss(trial.graph, session, truth))
        told()
    return gathered((trial.part, trial.scheme), losses, (trial.tensors, trial.saved))


def _run(session: ort.InferenceSession, feeds: Mapping[str, np.ndarray]) -> Arrays:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def _mean(got: list[np.ndarray], expected: list[np.ndarray], counted: np.ndarray) -> float:
    """Mean squared difference where it counts, over all pairs."""
    if not counted.any():
        return 0.0
    pairs = zip(got, expected, strict=True)
    return float(np.mean([np.square((a - b)[counted], dtype=np.float64).mean() for a, b in pairs]))


def _rms(got: np.ndarray, expected: np.ndarray) -> float:
    scale = float(np.sqrt(np.mean(np.square(expected, dtype=np.float64)))) or 1.0
    return float(np.sqrt(np.mean(np.square(got.astype(np.float64) - expected)))) / scale
