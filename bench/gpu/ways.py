"""The ways of a call over one model, and what is measured of them.

`eager` is the plain model; `flow graph` the same with the Euler steps as a CUDA graph, as the released code has it;
`ours` the whole call as one graph; `ours, compiled` that with its blocks through torch.compile first. Takes a Workload
and choices, gives a Result; times nothing before all ways agree.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.gpu import checks
from bench.gpu.machine import memory_gb
from bench.gpu.pieces import Pieces
from bench.gpu.plain import Plain, PlainCall
from bench.gpu.released import ReleasedCall, load, noise_of
from bench.gpu.stages import Setup
from bench.gpu.static_call import StaticCall
from bench.gpu.timing import Progress, Times, device_times, interleaved, timed
from bench.gpu.workload import TASKS, Workload
from policy_spec.pipeline import Pipeline
from train.model import MolmoAct2

EAGER, FLOW_GRAPH, OURS, COMPILED = "eager", "flow graph", "ours", "ours, compiled"
RELEASED, RELEASED_GRAPH = "released, eager", "released, flow graph"
TRUTH_GB = 30.0  # free on the GPU, or the float32 truth is computed by the processor


@dataclass(frozen=True, slots=True)
class Choices:
    """How to run."""

    device: torch.device
    dtype: torch.dtype
    rounds: int
    compiled: bool
    released: Path | None = None  # folder of the released modules


@dataclass(slots=True, eq=False)
class Result:
    """What came of a run."""

    checks: list[checks.Row]
    times: dict[str, Times] = field(default_factory=dict)
    stages: dict[str, dict[str, Times]] = field(default_factory=dict)  # of ours, each by itself
    memory: dict[str, dict[str, float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def rival(self) -> str:
        """The flow graph alone: by the released modules where they ran."""
        return RELEASED_GRAPH if RELEASED_GRAPH in self.times else FLOW_GRAPH

    @property
    def best(self) -> str:
        """The faster of ours."""
        return min((name for name in (OURS, COMPILED) if name in self.times), key=lambda name: self.times[name].p50)


def drawn_on(workload: Workload, device: torch.device) -> torch.device:
    """Where the float32 model is made: on the GPU if it has the room."""
    if device.type != "cuda":
        return device
    free, _ = torch.cuda.mem_get_info(device)
    small = workload.config.text.num_layers * workload.config.text.hidden_size < 36 * 2560
    return device if small or free > TRUTH_GB * 1e9 else torch.device("cpu")


def moved(model: MolmoAct2, choices: Choices) -> MolmoAct2:
    """In place: to the type that is computed in, then to the device."""
    model.to(choices.dtype).to(choices.device)
    gc.collect()
    if choices.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(choices.device)
    return model


def plain_ways(model: MolmoAct2, pipeline: Pipeline, choices: Choices) -> dict[str, PlainCall]:
    """Eager, and with the flow loop as a graph."""
    names = {EAGER: False, FLOW_GRAPH: True}
    return {n: PlainCall(Plain(model, pipeline, choices.device, choices.dtype, g)) for n, g in names.items()}


def released_ways(
    workload: Workload, model: MolmoAct2, pipeline: Pipeline, choices: Choices
) -> dict[str, ReleasedCall]:
    """By the released modules, over the same weights; none where no folder was named."""
    if choices.released is None:
        return {}
    names = {RELEASED: False, RELEASED_GRAPH: True}
    plains = {n: Plain(model, pipeline, choices.device, choices.dtype, g) for n, g in names.items()}
    made = load(choices.released, workload.json, plains[RELEASED])
    return {name: ReleasedCall(plain, made) for name, plain in plains.items()}


def our_ways(model: MolmoAct2, pipeline: Pipeline, choices: Choices) -> dict[str, StaticCall]:
    """As it is written and, where that was asked for, compiled."""
    return {
        name: StaticCall(Setup(model, pipeline, choices.device, choices.dtype, Pieces.made(compiled), pipeline.bracket))
        for name, compiled in our_names(choices).items()
    }


def our_names(choices: Choices) -> dict[str, bool]:
    """Name: compiled or not."""
    return {OURS: False, **({COMPILED: True} if choices.compiled else {})}


def continuous(workload: Workload, choices: Choices, progress: Progress) -> Result:
    """A plain call, the three ways. Raises SessionError where they disagree."""
    on = drawn_on(workload, choices.device)
    progress(f"drawing {workload.asked.preset} on {on}, and the float32 truth")
    pipeline, model = workload.pipeline(), workload.model(on)
    noise = noise_of(pipeline, choices.device, choices.dtype) if choices.released else None
    samples = checks.samples_of(pipeline, workload.observation(), TASKS, noise)
    truth = checks.truth_of(PlainCall(Plain(model, pipeline, on, torch.float32)), samples)
    model, memory = moved(model, choices), {}
    memory["weights"] = memory_gb(choices.device)
    ways: dict[str, Any] = plain_ways(model, pipeline, choices)
    ways |= released_ways(workload, model, pipeline, choices)
    progress("checking the plain ways, capturing ours")
    ours = our_ways(model, pipeline, choices)
    memory["with buffers and folded weights"] = memory_gb(choices.device)
    ways |= ours
    result = Result(checks.check(ways, truth, samples), memory=memory)
    memory["after all ways ran"] = memory_gb(choices.device)
    checks.refuse(result.checks, progress, choices.dtype == torch.float32)
    first = samples[0]
    calls = {name: timed(partial(call, first.prepared, first.noise)) for name, call in ways.items()}
    result.times = interleaved(calls, choices.rounds, progress)
    for name, call in ours.items():
        result.stages[name] = device_times(stages_of(call), choices.device, choices.rounds)
    result.facts = {
        "prompt_tokens": [len(s.prepared.ids) for s in samples],
        "bracket": pipeline.bracket,
        "captures": {name: call.graph.captures for name, call in ours.items()}
        | {FLOW_GRAPH: ways[FLOW_GRAPH].flow.captures},
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    return result


def stages_of(ours: StaticCall) -> dict[str, Callable[[], None]]:
    """Ours in its parts."""
    return {
        "vision": ours.vision.run,
        "prompt": lambda: ours.prompt.run(ours.vision.features),
        "context": lambda: ours.flow.context(ours.prompt.k, ours.prompt.v),
        "flow": ours.flow.run,
    }
