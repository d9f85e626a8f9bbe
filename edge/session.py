"""A policy that is ready to act: `Session.open(bundle)`, then `predict(observation, task, seed)`.

Opening checks the bundle's files, opens the engine and reproduces the bundle's golden chunk on this very
board; one that computes something else is refused before anything moves. Knows nothing of arms and cameras.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from edge.engine import Engine, EngineOptions
from edge.ort_engine import open_engine
from policy_spec.bundle import Bundle, open_bundle
from policy_spec.compare import Worst, worst
from policy_spec.errors import SessionError, SpecError, sentence
from policy_spec.golden import Golden
from policy_spec.graphs import GRAPHS, graph_specs
from policy_spec.norm import NormTag
from policy_spec.pipeline import Observation, Pipeline, Prediction

# The largest difference from the golden chunk that another processor's arithmetic explains, in normalised
# units (a joint's whole range is 2). Quantized graphs round to steps, and a step may fall to the other side.
TOLERANCE = {"fp32": 2e-3}
TOLERANCE_LOWER = 6e-2


@dataclass(frozen=True, slots=True)
class Ready:
    """What opening found out."""

    open_s: float  # the whole of it
    bundle_s: float  # checking files
    engine_s: float  # opening graphs
    first_call_s: float  # the golden call, cold: the first guess of a prediction's latency
    golden: Worst  # worst difference from golden.npz, normalised units
    tolerance: float


class Session:
    """An opened bundle. Safe to share between threads: calls take turns. A context manager."""

    def __init__(self, bundle: Bundle, engine: Engine, pipeline: Pipeline, ready: Ready) -> None:
        self.bundle = bundle
        self.engine = engine
        self.ready = ready
        self._pipeline: Pipeline | None = pipeline
        self._lock = threading.Lock()
        self.tag: NormTag = pipeline.tag
        self.slots = camera_slots(pipeline.tag, bundle.manifest.cameras)

    @classmethod
    def open(
        cls,
        bundle_path: Path | str,
        *,
        norm_tag: str | None = None,
        threads: int | None = None,
        verify: bool = False,
    ) -> Session:
        """Opens a bundle for one robot. `verify` hashes every file again; else remembered hashes count.

        `norm_tag` may be left out where the checkpoint has one. Raises BundleError, SpecError, SessionError.
        """
        started = time.monotonic()
        bundle = open_bundle(bundle_path, verify=verify)
        pipeline = make_pipeline(bundle, norm_tag)
        opened = time.monotonic()
        files = {graph: bundle.graph_path(graph) for graph in GRAPHS}
        engine = open_engine(files, EngineOptions(threads or 0))
        try:
            check_tensors(bundle, engine)
            warm = time.monotonic()
            golden, tolerance = check_golden(bundle, engine)
        except BaseException:
            engine.close()
            raise
        now = time.monotonic()
        ready = Ready(now - started, opened - started, warm - opened, now - warm, golden, tolerance)
        return cls(bundle, engine, pipeline, ready)

    def predict(self, observation: Observation, task: str, seed: int) -> Prediction:
        """One chunk in policy units, with seconds per stage. The same seed gives the same chunk.

        Raises ObservationError (pictures, state), PromptError (the task), SessionError.
        """
        with self._lock:
            if self._pipeline is None:
                raise SessionError(sentence("this session is closed", do="open the bundle again"))
            return self._pipeline.predict(self.engine.run, observation, task, seed=seed)

    def close(self) -> None:
        """Frees the graphs; waits for a call that is running."""
        with self._lock:
            self._pipeline = None
            self.engine.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def camera_slots(tag: NormTag, cameras: int) -> tuple[str, ...]:
    """What a user calls the policy's cameras; numbered where the tag does not name them."""
    return tag.camera_slots or tuple(f"cam{number}" for number in range(cameras))


def make_pipeline(bundle: Bundle, norm_tag: str | None) -> Pipeline:
    """The host's half for one tag. SpecError: an unknown tag, or one with more cameras than exported."""
    manifest = bundle.manifest
    tag = bundle.spec.tag(norm_tag)
    wanted = len(camera_slots(tag, manifest.cameras))
    if wanted > manifest.cameras:
        raise SpecError(
            sentence(
                f"cameras of tag {tag.tag!r}",
                expected=f"at most {manifest.cameras}, which the bundle was exported for",
                got=wanted,
                do="export with as many cameras as the tag has",
            )
        )
    return Pipeline(
        bundle.spec,
        bundle.tokenizer(),
        tag,
        cameras=manifest.cameras,
        bracket=manifest.bracket,
        horizon=manifest.horizon,
        image_attention=manifest.image_attention,
        allow_fewer_cameras=wanted < manifest.cameras,
    )


def check_tensors(bundle: Bundle, engine: Engine) -> None:
    """Names, types and shapes of all inputs and outputs are those that the spec asks for. SessionError."""
    manifest = bundle.manifest
    wanted = graph_specs(bundle.spec, manifest.cameras, manifest.bracket, manifest.horizon)
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


def check_golden(bundle: Bundle, engine: Engine) -> tuple[Worst, float]:
    """Runs the golden observation; gives the worst difference and what is allowed. SessionError beyond."""
    golden = Golden.load(bundle.path)
    pipeline = make_pipeline(bundle, golden.tag)
    got = pipeline.predict(engine.run, golden.observation, golden.task, seed=golden.seed)
    tolerance = TOLERANCE.get(bundle.manifest.precision, TOLERANCE_LOWER)
    width = pipeline.tag.action_dim
    found = worst(got.normalized[..., :width], golden.normalized[..., :width])
    if not found.error <= tolerance:
        raise SessionError(_golden_text(bundle, pipeline.tag, found, tolerance))
    return found, tolerance


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
        do="check the copy with --verify; if its files are whole, export for this board, or in fp32",
    )
