"""Builds one engine: network, configuration, profiles, progress; gives the serialized engine.

Takes the imported library and an EngineRow. What is written into the graph decides every type: the network is strongly
typed, and TF32 is off, so that float32 islands stay float32. Knows nothing of where engines are kept.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.trt.libraries import Library, ahead_of
from edge.trt.network import keep_block, parse
from edge.trt.plan import SHARE, EngineRow
from policy_spec.errors import SessionError, sentence
from policy_spec.graphs import DYNAMIC

Tell = Callable[[int, int], None]  # steps done, of all that are known
LEAST_WORKSPACE = 512 << 20  # of plan.FIXED: attention scores of two pictures are 70 MB, and are fused with more


@dataclass(frozen=True, slots=True)
class Job:
    """What all engines of one build share."""

    library: Library
    trt: Any  # the imported library
    capability: str  # "" builds for the GPU at hand
    free: int  # bytes
    stop: threading.Event  # set: the build ends at its next step


class Interrupted(Exception):
    """The build was asked to stop; nothing is left of the engine."""


def build_engine(job: Job, row: EngineRow, onnx: Path, timings: bytes, tell: Tell) -> tuple[Any, bytes]:
    """The serialized engine (a buffer) and the timing cache. Raises SessionError and Interrupted."""
    trt = job.trt
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    network = parse(trt, builder, logger, onnx)
    if row.block is not None:
        keep_block(network, row.block)
    config = configure(job, builder, row)
    add_profiles(builder, config, network, row)
    cache = timing_cache(config, timings) if job.library.timing_cache else None
    config.progress_monitor = make_monitor(trt, job.stop, tell)
    engine = builder.build_serialized_network(network, config)
    if job.stop.is_set():
        raise Interrupted
    if engine is None:
        raise SessionError(
            sentence(
                f"{trt.__name__} {trt.__version__} parsed {row.onnx} and cannot build it",
                got="; ".join(logger.said[-3:]) or "no reason given",
                do="free memory or cut the language model (--blocks), or export the bundle again for this computer",
            )
        )
    return engine, b"" if cache is None else bytes(cache.serialize())


def configure(job: Job, builder: Any, row: EngineRow) -> Any:
    """Flags, workspace and GPU."""
    trt, config = job.trt, builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # the islands are float32 because they need it
    for flag in job.library.flags:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    config.max_aux_streams = 0  # everything runs on one stream
    room = int(SHARE * job.free) - row.build_bytes + LEAST_WORKSPACE
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, max(LEAST_WORKSPACE, room))
    if job.capability:
        name = ahead_of(job.library, job.capability)
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)
    return config


def timing_cache(config: Any, kept: bytes) -> Any:
    """The cache that the builder reads and adds to: an empty one where the kept one is damaged, or of another GPU or
    version; None where the builder takes none.
    """
    for timings in (kept, b""):
        cache = config.create_timing_cache(timings)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None


def add_profiles(builder: Any, config: Any, network: Any, row: EngineRow) -> None:
    """The row's shapes for every input with a dynamic side, a cut's included."""
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    for profile in row.profiles:
        made = builder.create_optimization_profile()
        for tensor in inputs:
            if DYNAMIC in (shape := tuple(tensor.shape)):
                made.set_shape(tensor.name, *profile.shapes(tensor.name, shape))
        config.add_optimization_profile(made)


def make_logger(trt: Any) -> Any:
    """A logger that keeps errors in `said` and shows nothing. Its class is made of the library's own."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.said: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.said.append(message.strip())

    return Logger()


def make_monitor(trt: Any, stop: threading.Event, tell: Tell) -> Any:
    """Adds up the steps of all phases, and ends the build at the next step once `stop` is set.

    Called from the builder's own threads: nothing may be raised there, so a Ctrl-C is an event and not an exception.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.lock = threading.Lock()
            self.steps: dict[str, tuple[int, int]] = {}  # of each phase: done, of
            self.most = 0.0

        def phase_start(self, phase: str, parent: str | None, count: int) -> None:
            with self.lock:
                self.steps[phase] = (0, count)

        def step_complete(self, phase: str, step: int) -> bool:
            with self.lock:
                self.steps[phase] = (step + 1, self.steps.get(phase, (0, step + 1))[1])
                self.say()
            return not stop.is_set()

        def phase_finish(self, phase: str) -> None:
            with self.lock:
                count = self.steps.get(phase, (0, 1))[1]
                self.steps[phase] = (count, count)
                self.say()

        def say(self) -> None:
            done, total = (sum(pair[i] for pair in self.steps.values()) for i in (0, 1))
            self.most = max(self.most, done / max(1, total))  # phases that begin later never move the bar back
            try:
                tell(int(1000 * self.most), 1000)
            except OSError as error:  # a terminal that was closed is no reason to end a build
                print(error, file=sys.stderr)

    return Monitor()
