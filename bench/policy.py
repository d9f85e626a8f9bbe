"""How fast a call is: eager torch, the float32 graphs and the INT8 graphs, stage by stage, interleaved in one run.

    python -m bench.policy [--preset mid] [--rounds 7] [--json]

The table's times are medians; ratios are of medians. The last rows show Amdahl's part: the products that the plan
quantizes, by ONNX Runtime's own profile, against the rest of the call.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from bench.products import product_times
from bench.workbench import FOLDER, TASK, bundle_of, checkpoint_of, say, scene
from edge.session import Session, make_pipeline
from edge.timing import WHOLE, rounds, timed
from policy_spec.image import pooling_index
from policy_spec.pipeline import Pipeline
from train.checkpoint import load_model
from train.model import MolmoAct2

STAGES = ("prepare", "vision", "llm", "flow", WHOLE)
Times = dict[str, list[float]]


def eager_call(model: MolmoAct2, pipeline: Pipeline, pooling: torch.Tensor) -> Callable[[], dict[str, float]]:
    """One call of train/model, unpadded; seconds per stage."""

    @torch.no_grad()
    def call() -> dict[str, float]:
        marks = [time.perf_counter()]
        prepared = pipeline.prepare(scene(pipeline), TASK)
        ids = torch.from_numpy(prepared.ids)[None]
        types = torch.from_numpy(prepared.token_type.astype(np.float32))[None]
        visible = torch.from_numpy(prepared.expert_mask)[None]
        marks.append(time.perf_counter())
        features = model.vision(torch.from_numpy(prepared.vision["patches"]), pooling)
        marks.append(time.perf_counter())
        context = model.context(model.llm(ids, features, types)[1], ids, visible)
        marks.append(time.perf_counter())
        noise = torch.from_numpy(pipeline.noise(0))
        model.sample(noise, context, visible, pipeline.tag.action_dim)
        marks.append(time.perf_counter())
        return stages(marks)

    return call


def session_call(session: Session) -> Callable[[], dict[str, float]]:
    """One call of a session, by its own timings."""
    seen = scene(make_pipeline(session.bundle, None))
    return lambda: timed(session, seen, TASK)[1]


def stages(marks: list[float]) -> dict[str, float]:
    """Differences of the marks by stage, and the whole."""
    parts = {name: marks[i + 1] - marks[i] for i, name in enumerate(STAGES[:-1])}
    return {**parts, WHOLE: marks[-1] - marks[0]}


def measure(calls: dict[str, Callable[[], dict[str, float]]], count: int) -> dict[str, Times]:
    """Interleaved rounds after one warm-up of each."""
    kept = rounds(calls, count, after=lambda number: say(f"round {number} of {count}"))
    return {name: {stage: [took[stage] for took in taken] for stage in STAGES} for name, taken in kept.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="mid")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where checkpoint and bundles are kept")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    checkpoint = checkpoint_of(args.preset, args.folder)
    bundles = {precision: bundle_of(checkpoint, precision) for precision in ("fp32", "int8")}
    sessions = {precision: Session.open(path) for precision, path in bundles.items()}
    pipeline = make_pipeline(sessions["fp32"].bundle, None)
    pooling = torch.from_numpy(pooling_index(pipeline.spec.grid, pipeline.spec.pool))
    calls = {"eager torch": eager_call(load_model(checkpoint), pipeline, pooling)}
    calls |= {precision: session_call(session) for precision, session in sessions.items()}
    times = measure(calls, args.rounds)
    engine = sessions["fp32"].engine.name
    for session in sessions.values():
        session.close()
    products = product_times(bundles["fp32"], bundles["int8"], pipeline)
    result = summary(times, products, args, pipeline.bracket, engine)
    print(json.dumps(result, indent=1) if args.json else text(result))


def summary(
    times: dict[str, Times], products: dict[str, float], args: argparse.Namespace, bracket: int, engine: str
) -> dict[str, object]:
    """Medians in ms and ratios."""
    medians = {name: {stage: median(t[stage]) * 1e3 for stage in STAGES} for name, t in times.items()}
    return {
        "preset": args.preset,
        "rounds": args.rounds,
        "prompt_tokens": bracket,
        "engine": engine,
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
        "ms": medians,
        "products_ms": products,
    }


def text(result: dict) -> str:  # type: ignore[type-arg]
    """The README's table."""
    ms, products = result["ms"], result["products_ms"]
    lines = [
        f"{result['preset']} preset, 2 cameras, prompt {result['prompt_tokens']} tokens, torch {result['torch']}; "
        f"{result['engine']}; median of {result['rounds']}",
        "",
        "| stage | eager torch ms | float32 graphs ms | INT8 ms | float32 vs eager | INT8 vs float32 |",
        "|---|---|---|---|---|---|",
    ]
    for stage in STAGES:
        a, b, c = (ms[name][stage] for name in ("eager torch", "fp32", "int8"))
        lines.append(f"| {stage} | {a:.0f} | {b:.0f} | {c:.0f} | {a / b:.2f}x | {b / c:.2f}x |")
    full, small = products["fp32"], products["int8"]
    whole, eager = ms["fp32"]["whole call"], ms["eager torch"]["whole call"]
    lines += [
        "",
        f"Amdahl: the products that INT8 takes are {full:.0f} of {whole:.0f} ms ({full / whole:.0%}) in float32 and "
        f"{small:.0f} ms in INT8, their quantization included: {full / small:.2f}x; with them free the call would be "
        f"{whole / max(whole - full, 1e-9):.2f}x.",
        f"Against eager torch the INT8 call is {eager / ms['int8']['whole call']:.1f} times faster.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
