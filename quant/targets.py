"""The computers that a bundle can be made for, as rows: what they are made of, what runs there, what they refuse.

Numbers are of the whole computer at its highest power mode; each row names its line of docs/sources.md. Processors
vary, so their rows describe one machine each, and say which. Knows nothing of graphs: quant.roofline puts the two
together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from policy_spec.errors import UsageError, sentence
from quant.groups import nearest
from quant.precisions import AUTO, BF16, FP16, FULL, PRECISIONS
from quant.refusals import ADA_REFUSES, CPU_REFUSES, ORIN_REFUSES, THOR_REFUSES

INT8 = "int8"  # a product of integers, whatever its scheme
BLOCKS = "int8-blocks"  # of ONNX Runtime: integer weights, the activation rounded to INT8 block by block on the way
GB = 1e9


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Shares of the data sheet's numbers that the best kernels reach."""

    floats: float
    int8: float
    bandwidth: float


@dataclass(frozen=True, slots=True)
class Slowdown:
    """How much longer than the achievable floor real calls took: the calibration of a prediction."""

    least: float
    most: float
    source: str  # what was measured, in a few words; docs/sources.md has the rest


@dataclass(frozen=True, slots=True)
class Software:
    """What a bundle's engines meet there."""

    system: str  # JetPack 7.2, ...
    python: str
    cuda: str = ""
    tensorrt: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One row."""

    name: str
    about: str
    engine: str  # what opens the graphs there: onnxruntime or tensorrt
    form: str  # how quantized products are written: onnxruntime or qdq
    float_type: str  # what it computes in where nothing is quantized
    memory_gb: float
    usable_gb: tuple[float, float]  # left of it for a policy: least (a desktop runs), most (headless)
    bandwidth_gbs: float  # GB/s
    tera: Mapping[
        str, float
    ]  # dense operations per second / 1e12 by type of product: fp32, fp16, bf16, int8, int8-blocks
    ceilings: Ceilings
    slowdown: Slowdown
    software: tuple[Software, ...]
    refused: Mapping[str, str]  # start of a scheme's or precision's name -> why
    source: str  # anchor in docs/sources.md
    capability: str = ""  # compute capability of its GPU
    fp8_tera: float = 0.0  # of the data sheet; no scheme of Armside's uses it
    cores: int = 0  # of a processor; its operations per second go with them

    def why_refused(self, scheme: str) -> str | None:
        """The reason, or None where the scheme is taken."""
        return next((why for start, why in self.refused.items() if scheme.startswith(start)), None)

    def with_cores(self, cores: int | None) -> Target:
        """A processor with other cores than its row's, as fast each; itself where it is none, or for None. Raises
        UsageError.
        """
        if cores is None or not self.cores:
            return self
        if cores < 1:
            raise UsageError(sentence("cores", expected="at least 1", got=cores))
        tera = {kind: value * cores / self.cores for kind, value in self.tera.items()}
        return replace(self, cores=cores, tera=tera, about=f"{self.about}; {cores} cores of it")


# Measured on Orin with hand-written kernels, applied to all GPUs (docs/sources.md, ceilings).
_GPU = Ceilings(0.70, 0.73, 0.85)
_CPU = Ceilings(0.85, 0.85, 0.70)
_TENSORRT = Slowdown(1.9, 2.2, "MolmoAct2 in TensorRT on AGX Orin and Thor (docs/sources.md, calibration)")
_ORT_CPU = Slowdown(1.0, 1.6, "the mid preset on two x86 cores (docs/sources.md, calibration on a CPU)")
_JETPACK_7 = Software("JetPack 7.2 (Ubuntu 24.04)", "3.12", "13.2", "10.16.2")
_JETPACK_6 = Software("JetPack 6.2 (Ubuntu 22.04)", "3.10", "12.6", "10.3")


def _gpu(fp16: float, int8: float) -> dict[str, float]:
    """TF32, in which TensorRT multiplies what is float32, runs at half the rate of float16."""
    return {FULL: fp16 / 2, FP16: fp16, BF16: fp16, INT8: int8}


def _cpu(fp32: float) -> dict[str, float]:
    """Shares of float32 as ONNX Runtime's kernels reach them (docs/sources.md, kernels on a CPU)."""
    return {FULL: fp32, FP16: 0.66 * fp32, INT8: 2.4 * fp32, BLOCKS: 1.85 * fp32}


def _orin(
    name: str, about: str, memory: tuple[float, tuple[float, float]], speed: tuple[float, float, float]
) -> Target:
    """memory: GB, usable GB. speed: float16 and int8 in tera, GB/s."""
    fp16, int8, bandwidth = speed
    return Target(
        name=name,
        about=about,
        engine="tensorrt",
        form="qdq",
        float_type=FP16,
        memory_gb=memory[0],
        usable_gb=memory[1],
        bandwidth_gbs=bandwidth,
        tera=_gpu(fp16, int8),
        ceilings=_GPU,
        slowdown=_TENSORRT,
        software=(_JETPACK_7, _JETPACK_6),
        refused=ORIN_REFUSES,
        source="boards",
        capability="8.7",
    )


TARGETS: dict[str, Target] = {
    row.name: row
    for row in (
        _orin("agx-orin-64", "Jetson AGX Orin 64 GB, MAXN", (64, (57.0, 61.0)), (42.6, 85.0, 204.8)),
        _orin("orin-nx-16", "Jetson Orin NX 16 GB, Super mode", (16, (12.5, 14.5)), (19.0, 38.0, 102.4)),
        _orin("orin-nano-8", "Jetson Orin Nano 8 GB, Super mode", (8, (5.2, 7.0)), (16.7, 33.4, 102.0)),
        Target(
            name="thor",
            about="Jetson AGX Thor (T5000), 128 GB",
            engine="tensorrt",
            form="qdq",
            float_type=FP16,
            memory_gb=128,
            usable_gb=(115.0, 122.0),
            bandwidth_gbs=273,
            tera=_gpu(258.0, 500.0),
            ceilings=_GPU,
            slowdown=_TENSORRT,
            software=(_JETPACK_7,),
            refused=THOR_REFUSES,
            source="boards",
            capability="11.0",
            fp8_tera=500.0,
        ),
        Target(
            name="rtx",
            about="a PC with an RTX 4090, 24 GB",
            engine="tensorrt",
            form="qdq",
            float_type=FP16,
            memory_gb=24,
            usable_gb=(21.5, 23.5),
            bandwidth_gbs=1008,
            tera=_gpu(165.2, 660.6),
            ceilings=_GPU,
            slowdown=_TENSORRT,
            software=(Software("Linux", "3.10 to 3.13", "13", "10.16"),),
            refused=ADA_REFUSES,
            source="boards",
            capability="8.9",
            fp8_tera=330.3,
        ),
        Target(
            name="x86-cpu",
            about="a PC's processor: 8 cores with AVX512-VNNI, 0.11 TFLOPS each, 16 GB",
            engine="onnxruntime",
            form="onnxruntime",
            float_type=FULL,
            memory_gb=16,
            usable_gb=(11.0, 14.5),
            bandwidth_gbs=50,
            tera=_cpu(0.88),
            ceilings=_CPU,
            slowdown=_ORT_CPU,
            software=(Software("Linux, ONNX Runtime", "3.10 to 3.13"),),
            refused=CPU_REFUSES,
            source="cpus",
            cores=8,
        ),
        Target(
            name="arm-cpu",
            about="a Raspberry Pi 5: 4 cores at 2.4 GHz, 8 GB",
            engine="onnxruntime",
            form="onnxruntime",
            float_type=FULL,
            memory_gb=8,
            usable_gb=(6.0, 7.5),
            bandwidth_gbs=17,
            tera=_cpu(0.154),
            ceilings=_CPU,
            slowdown=_ORT_CPU,
            software=(Software("Linux, ONNX Runtime", "3.10 to 3.13"),),
            refused=CPU_REFUSES,
            source="cpus",
            cores=4,
        ),
    )
}


def target_row(name: str) -> Target:
    """The row. Raises UsageError listing what there is, with the nearest."""
    if name not in TARGETS:
        raise UsageError(
            sentence("unknown target", expected=f"one of {', '.join(TARGETS)}", got=name, do=nearest(name, TARGETS))
        )
    return TARGETS[name]


def check_target(name: str, precision: str) -> Target:
    """The row, once it is known to take the precision. Raises UsageError with the reason, and what it takes instead."""
    target = target_row(name)
    taken = [p for p in PRECISIONS if target.why_refused(p) is None]
    if why := target.why_refused(precision):
        raise UsageError(
            sentence(
                f"{name} cannot take {precision}: {why}",
                expected=f"one of {', '.join((*taken, AUTO))}",
                got=precision,
                do="choose one of these, or let --precision auto choose",
            )
        )
    return target
