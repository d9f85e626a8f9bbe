"""What every precision and every scheme costs and loses: whole call, memory, error, size, in turn with eager torch.

    python -m bench.precisions [--preset mid | --checkpoint DIR] [--rounds 5] [--only NAME...] [--episodes SOURCE]
                               [--json FILE] [--markdown] [--png FILE] [--fresh]

Each row's graphs are quantized from the same float32 graphs, measured and deleted; its result is kept, so that an
interrupted run goes on at the next row. Ratios are to eager float32 torch, called in turn with the row. Errors are of
normalised actions against the float32 graphs over samples that no scheme was fitted to. bfloat16 has no time:
ONNX Runtime's CPU has no such products, so every value is rounded to see its error.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from armside.compare_samples import Sample
from armside.plan_stages import count_checkpoint
from bench.float_graphs import FloatGraphs, action_error, open_float, samples_of, statistics_of, stored_bytes
from bench.policy import eager_call
from bench.precision_page import markdown, write_png
from bench.precision_rows import Row, rows_of
from bench.precision_time import memory, shares, speed, times
from bench.workbench import FOLDER, checkpoint_of, prompt_tokens, say
from export.build import GraphOptions
from export.runner import OrtRunner
from policy_spec.graphs import GRAPHS
from policy_spec.image import pooling_index
from quant.apply import apply_plan
from quant.collect import wanted_by
from quant.statistics import Statistics
from train.checkpoint import load_model

Result = dict[str, Any]
CONTROL = "another noise seed"  # not a precision: how far a policy's own choices lie from each other


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What all rows share."""

    graphs: FloatGraphs
    work: Path
    judged: list[Sample]
    full: list[np.ndarray]  # the float32 graphs' chunks
    calibration: list[Sample]
    rounds: int
    eager: Callable[[], Any]


def measure(bench: Bench, row: Row) -> Result:
    """One row, from quantizing to its numbers."""
    folder = bench.work / "row"
    shutil.rmtree(folder, ignore_errors=True)
    start = time.monotonic()
    apply_plan(bench.graphs.folder, folder, row.plan, lambda *_: None, statistics(bench, row), row.form)
    took = time.monotonic() - start
    runner = OrtRunner(folder)
    error = action_error([bench.graphs.call(runner, sample) for sample in bench.judged], bench.full)
    runner.close()
    result: Result = {"name": row.name, "kind": row.kind, "cosine": error.cosine, "max_abs": error.max_abs}
    result |= {"quantize_s": took, "timed": row.timed, "plan": plan_of(row)}
    if row.timed:
        first = bench.judged[0]
        found = times(bench.graphs, folder, bench.eager, first, bench.rounds)
        result |= speed(found) | {"bytes": stored_bytes(folder), "s": found}
        result |= memory(bench.graphs, folder, first, bench.work) | {"where": shares(bench.graphs, folder, first)}
    shutil.rmtree(folder)
    return result


def statistics(bench: Bench, row: Row) -> Statistics | None:
    """What the row's schemes ask for; None where they ask for nothing. Kept on the disk between rows."""
    models = {name: ir.load(bench.graphs.folder / f"{name}.onnx") for name in GRAPHS}
    wanted = wanted_by(row.plan, models)
    if not wanted:
        return None
    gram = any(gram for weights in wanted.values() for gram in weights.values())
    kept = bench.work / f"statistics{'-gram' if gram else ''}-{'-'.join(wanted)}.npz"
    if not kept.is_file():
        statistics_of(bench.graphs, wanted, bench.calibration).save(kept)
    return Statistics.load(kept)


def prepare(args: argparse.Namespace) -> tuple[Bench, Path]:
    """Checkpoint, float32 graphs, samples and their true actions."""
    checkpoint = args.checkpoint or checkpoint_of(args.preset, args.folder)
    work = args.folder / f"precisions-{checkpoint.name}"
    graphs = open_float(checkpoint, work / "float32")
    judged = samples_of(graphs, args.episodes, args.samples)
    runner = OrtRunner(graphs.folder)
    full = [graphs.call(runner, sample) for sample in judged]
    runner.close()
    spec = graphs.pipeline.spec
    pooling = torch.from_numpy(pooling_index(spec.grid, spec.pool))
    eager = eager_call(load_model(checkpoint), graphs.pipeline, pooling)
    calibration = samples_of(graphs, args.episodes, args.calibration, calibration=True)
    return Bench(graphs, work, judged, full, calibration, args.rounds, eager), checkpoint


def control(bench: Bench) -> Result:
    """The float32 graphs with other noise."""
    runner = OrtRunner(bench.graphs.folder)
    other = [Sample(s.observation, s.task, s.seed + 100, s.where) for s in bench.judged]
    error = action_error([bench.graphs.call(runner, sample) for sample in other], bench.full)
    return {"name": CONTROL, "kind": "control", "cosine": error.cosine, "max_abs": error.max_abs, "timed": False}


def run(args: argparse.Namespace) -> Result:
    """All rows that were asked for: those that an earlier run with the same options measured are taken as they are."""
    bench, checkpoint = prepare(args)
    counts = count_checkpoint(checkpoint, GraphOptions(prompt_tokens=prompt_tokens(checkpoint))).graphs
    rows = [row for row in rows_of(counts) if not args.only or row.name in args.only]
    if not rows:
        raise SystemExit(f"--only: expected some of {', '.join(row.name for row in rows_of(counts))}")
    asked = [args.rounds, args.samples, args.calibration, args.episodes, str(checkpoint.resolve()), version(checkpoint)]
    kept = bench.work / "results.json"
    found: Result = {} if args.fresh or not kept.is_file() else json.loads(kept.read_text())
    if found.get("asked") != asked:
        found = {"asked": asked, "rows": {}}
    for number, row in enumerate(rows, 1):
        if found["rows"].get(row.name, {}).get("plan") != plan_of(row):
            say(f"{number} of {len(rows)}: {row.name}")
            found["rows"][row.name] = measure(bench, row)
            write(kept, found)
    facts = {
        "checkpoint": checkpoint.name,
        "rounds": args.rounds,
        "samples": args.samples,
        "prompt_tokens": bench.graphs.pipeline.bracket,
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
    }
    return {**facts, "rows": [found["rows"][row.name] for row in rows] + [control(bench)]}


def plan_of(row: Row) -> list[str]:
    """What each group gets: a row of another plan is measured again."""
    return [row.form, *(f"{choice.group} {choice.scheme}" for choice in row.plan.choices)]


def version(checkpoint: Path) -> float:
    """When its weights were last written."""
    return max(path.stat().st_mtime for path in checkpoint.glob("*.safetensors"))


def write(path: Path, data: object) -> None:
    """JSON, whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(data, indent=1) + "\n")
    temporary.replace(path)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--preset", default="mid")
    made.add_argument("--checkpoint", type=Path, help="one of your own, in place of a preset's random one")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--only", nargs="+", metavar="NAME", help="these rows alone, such as int8-fast 'llm: int4-g64'")
    made.add_argument("--samples", type=int, default=4, help="observations that errors are measured on")
    made.add_argument("--calibration", type=int, default=4, help="others, that schemes are fitted to")
    made.add_argument("--episodes", help="a dataset or recording to take them from (default: made-up ones)")
    made.add_argument("--folder", type=Path, default=FOLDER, help="where graphs and results are kept")
    made.add_argument("--fresh", action="store_true", help="measure again what an earlier run has measured")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    made.add_argument("--markdown", action="store_true", help="the README's table (default: all rows)")
    made.add_argument("--png", type=Path, metavar="FILE", help="draw error against speed and size")
    return made


def main() -> None:
    """The command line."""
    args = parser().parse_args()
    result = run(args)
    if args.json:
        write(args.json, result)
    if args.png:
        write_png(args.png, result)
    print(markdown(result, short=args.markdown))


if __name__ == "__main__":
    main()
