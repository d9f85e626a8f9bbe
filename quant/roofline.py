"""A plan's cost on a computer: the floor that arithmetic sets, the range that real calls took, and what fits in memory.

The floor of a stage is the longer of computing and reading, stages one after the other; once with the data sheet's
numbers, once with the shares of them that the best kernels reach. The expected range is that floor times what calls of
this model took elsewhere. All of it is prediction; nothing here was timed. docs/quantization.md says how it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from quant.cost import Cost, StageCost
from quant.precisions import FP16, FULL
from quant.targets import BLOCKS, GB, INT8, Ceilings, Target

_WHOLE = Ceilings(1.0, 1.0, 1.0)
WORKSPACE = {
    "tensorrt": 0.25e9,
    "onnxruntime": 0.30e9,
}  # bytes beside weights and activations (docs/sources.md, memory)
PACKED = {"tensorrt": 0.0, "onnxruntime": 0.1}  # of the weights: what loading packs for its kernels beside them
BUILD = {"tensorrt": 3.8, "onnxruntime": 1.3}  # peak of making an engine / bytes of its graph (docs/sources.md, memory)
SPARE = 1.05  # an estimate's own error
FITS, TIGHT, TOO_BIG = "fits", "tight", "does not fit"


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage of one call. Seconds."""

    name: str
    runs: int
    compute: float  # achievable
    reading: float  # achievable
    floor: float  # achievable: the longer of both
    spec: float  # the same by the data sheet

    @property
    def bound(self) -> str:
        """What it waits for."""
        return "compute" if self.compute >= self.reading else "bandwidth"


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes."""

    weights: int
    wider: int  # copies of float16 weights in float32, where the engine makes them (docs/sources.md, float16 on a CPU)
    kv: int  # K, V, caches and the other inputs and outputs
    between: int
    workspace: int
    build: int  # the most while engines are made, one graph after the other; not there if it is too much
    fits: str  # FITS, TIGHT (only with nothing else running) or TOO_BIG

    @property
    def run(self) -> int:
        """All graphs loaded, one call under way."""
        return self.weights + self.wider + self.kv + self.between + self.workspace


@dataclass(frozen=True, slots=True)
class Prediction:
    """One plan on one target. Seconds and bytes."""

    target: str
    precision: str
    stages: tuple[StageTime, ...]
    least: float  # of the expected range of a call
    most: float
    memory: Memory

    @property
    def floor(self) -> float:
        """Achievable: what the best kernels would take."""
        return sum(stage.floor for stage in self.stages)

    @property
    def spec(self) -> float:
        """By the data sheet: a measurement below it is a mistake."""
        return sum(stage.spec for stage in self.stages)


def predict(target: Target, precision: str, cost: Cost) -> Prediction:
    """The whole prediction of one plan's cost."""
    stages = tuple(stage_time(target, stage) for stage in cost.stages)
    floor = sum(stage.floor for stage in stages)
    slow = target.slowdown
    return Prediction(target.name, precision, stages, slow.least * floor, slow.most * floor, memory_of(target, cost))


def stage_time(target: Target, stage: StageCost) -> StageTime:
    """The floor of one stage, all its runs."""
    compute, reading = _seconds(target, target.ceilings, stage)
    spec = max(_seconds(target, _WHOLE, stage))
    runs = stage.runs
    return StageTime(stage.name, runs, runs * compute, runs * reading, runs * max(compute, reading), runs * spec)


def _seconds(target: Target, ceilings: Ceilings, stage: StageCost) -> tuple[float, float]:
    """Computing and reading of one run."""
    compute = sum(
        count / (rate(target.tera, kind) * 1e12 * (ceilings.int8 if kind in (INT8, BLOCKS) else ceilings.floats))
        for kind, count in stage.operations.items()
    )
    return compute, stage.streamed / (target.bandwidth_gbs * GB * ceilings.bandwidth)


def rate(tera: Mapping[str, float], kind: str) -> float:
    """Operations per second / 1e12 of a type of product; one that the row does not name runs as float16, or float32."""
    return tera.get(kind) or tera.get(FP16) or tera[FULL]


def memory_of(target: Target, cost: Cost) -> Memory:
    """What a call needs while it runs, and engines while they are made, against what is left on the target."""
    workspace = int(WORKSPACE[target.engine] + PACKED[target.engine] * cost.stored)
    build = int(BUILD[target.engine] * max(cost.weights.values()))
    wider = 2 * cost.half if target.float_type == FULL else 0  # a processor keeps them in float32 too
    memory = Memory(cost.stored, wider, cost.doors, cost.between, workspace, build, FITS)
    return replace(memory, fits=room(target, memory.run))


def room(target: Target, need: int) -> str:
    """FITS with SPARE beside a desktop, TIGHT with nothing else running, or TOO_BIG."""
    least, most = (gb * GB for gb in target.usable_gb)
    return FITS if need * SPARE <= least else TIGHT if need <= most else TOO_BIG
