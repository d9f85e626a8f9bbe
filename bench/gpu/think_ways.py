"""The ways of a Think call over one model, checked and measured: ours, ours in the released order, and eager.

Takes a Workload that thinks, gives the lines of think_bench and its checks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from bench.gpu import checks, think_bench
from bench.gpu.machine import memory_gb
from bench.gpu.pieces import Pieces
from bench.gpu.plain import Plain
from bench.gpu.plain_think import PlainThinkRun
from bench.gpu.stages import Setup
from bench.gpu.think_bench import Line, Side
from bench.gpu.think_run import ThinkRun, places_of
from bench.gpu.timing import Progress
from bench.gpu.ways import COMPILED, OURS, Choices, drawn_on, moved, our_names
from bench.gpu.workload import Workload
from policy_spec.depth_patches import grid_side
from policy_spec.errors import SessionError, sentence
from policy_spec.graphs import Variant, variant_of
from policy_spec.pipeline import Pipeline, Run
from policy_spec.think import ThinkPipeline
from train.model import MolmoAct2

EAGER, RELEASED = "eager, released order, flow graph", "ours, released order"
CHECKED = 3  # pictures


@dataclass(slots=True, eq=False)
class ThinkResult:
    """What came of a run."""

    checks: list[checks.Row]
    own_codes: dict[str, int]  # cells that differ from eager's where each speaks for itself
    cells: int  # of how many
    lines: list[Line] = field(default_factory=list)
    memory: dict[str, dict[str, float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> list[Line]:
        """For each kind of codes, the faster of ours."""
        ours = [line for line in self.lines if line.side in (OURS, COMPILED)]
        kinds = dict.fromkeys(line.codes for line in ours)
        return [min((line for line in ours if line.codes == kind), key=lambda line: line.ms.p50) for kind in kinds]


def thinking(workload: Workload, choices: Choices, share: float, progress: Progress) -> ThinkResult:
    """share: of the cells that change. Raises SessionError where the ways disagree."""
    spec, on = workload.spec, drawn_on(workload, choices.device)
    variant = variant_of(spec, "think", "", workload.asked.horizon)
    progress(f"thinking: drawing {workload.asked.preset} on {on}")
    host, model = workload.pipeline((think_bench.TASK,)), workload.model(on)
    seen, side = workload.observation(), grid_side(spec.depth_codes)
    clips = think_bench.sequences(share, choices.rounds + 1, side, spec.depth_tokens)
    checked = clips["unguessed"][: CHECKED + 1]
    plain = PlainThinkRun(Plain(model, host, on, torch.float32), variant)
    truth = Side("truth", policy(host, variant, "draft"), plain)
    progress("thinking: the float32 truth")
    expected = think_bench.think([truth], checked, seen)
    model = moved(model, choices)
    sides, ours = sides_of(model, host, variant, choices)
    progress("thinking: capturing")
    progress("thinking: checking")
    rows = think_bench.agree(expected, sides, checked, seen)
    checks.refuse(rows, progress, choices.dtype == torch.float32)
    differ = think_bench.own_codes(sides, checked, seen)
    cells = len(checked) * spec.depth_codes
    if choices.dtype == torch.float32 and any(differ.values()):
        raise SessionError(sentence("codes that differ from the plain model's, in float32", expected=0, got=differ))
    result = ThinkResult(rows, differ, cells)
    for codes, pictures in clips.items():
        progress(f"thinking: {codes}")
        result.lines += think_bench.lines(codes, think_bench.think(sides, pictures, seen, codes))
    result.memory["after all ways ran"] = memory_gb(choices.device)
    captures = {name: run.captures for name, run in ours.items()}
    result.facts = {"bracket": host.bracket, "places": places_of(host.bracket, variant), "captures": captures}
    return result


def policy(host: Pipeline, variant: Variant, order: str) -> ThinkPipeline:
    """With a memory of its own."""
    return ThinkPipeline(host, variant, order=order)


def sides_of(
    model: MolmoAct2, host: Pipeline, variant: Variant, choices: Choices
) -> tuple[list[Side], dict[str, ThinkRun]]:
    """Eager first, ours last; and the runs of ours."""
    eager: Run = PlainThinkRun(Plain(model, host, choices.device, choices.dtype, True), variant)
    sides, runs = [Side(EAGER, policy(host, variant, "released"), eager)], dict[str, ThinkRun]()
    for name, compiled in our_names(choices).items():
        places, pieces = places_of(host.bracket, variant), Pieces.made(compiled)
        runs[name] = ThinkRun(Setup(model, host, choices.device, choices.dtype, pieces, places), variant)
    sides.append(Side(RELEASED, policy(host, variant, "released"), runs[OURS]))
    return sides + [Side(name, policy(host, variant, "draft"), run) for name, run in runs.items()], runs
