"""onnxruntime's quantizers, optimum's and ours side by side, on the same products of the same graphs.

    python -m bench.quantizers [--preset mid | --checkpoint DIR] [--rounds 5] [--slow] [--only NAME...]
                               [--optimum-python PATH] [--rtx-python PATH] [--json FILE] [--markdown]

Of llm and flow: relative error of the outputs by themselves, of the actions with both quantized, bytes, and the time of
each graph in turn with its float32 form. optimum needs a Python of its own (its transformers is older than ours),
and so may TensorRT-RTX; without those paths the rows and the column say so. --slow: those that take minutes (HQQ,
k-quant, GPTQ of onnxruntime, which are loops in Python).
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx

from armside.compare_samples import Sample
from bench.float_graphs import FloatGraphs, action_error, open_float, samples_of, statistics_of, stored_bytes
from bench.precisions import write
from bench.quantizer_rows import GROUPS, OPTIMUM, ROWS, Given, Row, save
from bench.workbench import FOLDER, checkpoint_of, say
from export.runner import OrtRunner
from quant.groups import group_of

GRAPHS = ("llm", "flow")
RTX = Path(__file__).with_name("rtx_takes.py")
Result = dict[str, Any]
Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What all rows share."""

    graphs: FloatGraphs
    work: Path
    given: Mapping[str, Given]
    judged: list[Sample]
    full: list[np.ndarray]  # float32 actions
    feeds: Mapping[str, Feeds]  # of the first judged sample
    truth: Mapping[str, dict[str, np.ndarray]]  # what the float32 graphs answer to those
    options: argparse.Namespace


def prepare(args: argparse.Namespace) -> Bench:
    """Float32 graphs with one file of weights each, calibration feeds and statistics of them."""
    checkpoint = args.checkpoint or checkpoint_of(args.preset, args.folder)
    work = args.folder / f"quantizers-{checkpoint.name}"
    graphs = open_float(checkpoint, args.folder / f"precisions-{checkpoint.name}" / "float32")
    (work / "source").mkdir(parents=True, exist_ok=True)
    judged = samples_of(graphs, args.episodes, args.samples)
    calibration = samples_of(graphs, args.episodes, args.calibration, calibration=True)
    found = [graphs.feeds(sample) for sample in calibration]
    nodes = {name: products(graphs, name, work / "source") for name in GRAPHS}
    wanted = {name: dict.fromkeys(weights.values(), True) for name, weights in nodes.items()}
    stats = statistics_of(graphs, wanted, calibration)
    group = next(g for g in (128, 64, 32) if all(stats[w].largest.size % g == 0 for w in stats))
    given = {
        name: Given(work / "source" / f"{name}.onnx", tuple(nodes[name]), tuple(f[name] for f in found), stats, group)
        for name in GRAPHS
    }
    runner = OrtRunner(graphs.folder)
    full = [graphs.call(runner, sample) for sample in judged]
    feeds = graphs.feeds(judged[0])
    truth = {name: {k: np.array(v) for k, v in runner(name, feeds[name]).items()} for name in GRAPHS}
    return Bench(graphs, work, given, judged, full, feeds, truth, args)


def products(graphs: FloatGraphs, name: str, folder: Path) -> dict[str, str]:
    """Node -> weight of the products that are quantized; writes the graph with one file of weights, as the other
    quantizers want it.
    """
    model = onnx.load(graphs.folder / f"{name}.onnx")
    if not (folder / f"{name}.onnx").is_file():
        save(model, folder / f"{name}.onnx")
    model = onnx.load(folder / f"{name}.onnx", load_external_data=False)
    matrices = {t.name for t in model.graph.initializer if len(t.dims) == 2}
    found = [n for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in matrices]
    return {n.name: n.input[1] for n in found if group_of(name, n.input[1]).name in GROUPS}


def measure(bench: Bench, row: Row) -> Result:
    """One quantizer: made, run, compared."""
    folder = bench.work / "row"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    result: Result = {"name": row.name, "whose": row.whose}
    start = time.monotonic()
    try:
        for name in GRAPHS:
            make(bench, row, name, folder / f"{name}.onnx")
    except Exception as error:  # theirs raise anything at all: a row that fails is a result
        return result | {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:160]}
    result |= {"made_s": time.monotonic() - start, "bytes": stored_bytes(folder, *GRAPHS)}
    changed, plain = OrtRunner(folder), OrtRunner(bench.graphs.folder)

    def run(graph: str, feeds: Feeds, /) -> Mapping[str, np.ndarray]:
        return changed(graph, feeds) if graph in GRAPHS else plain(graph, feeds)

    actions = action_error([bench.graphs.call(run, sample) for sample in bench.judged], bench.full)
    result |= {"cosine": actions.cosine, "max_abs": actions.max_abs}
    for name in GRAPHS:
        got = changed(name, bench.feeds[name])
        result[name] = {"relative": relative(got, bench.truth[name])} | in_turn(changed, plain, name, bench)
    result["tensorrt"] = rtx(bench.options.rtx_python, [folder / f"{name}.onnx" for name in GRAPHS])
    shutil.rmtree(folder)
    return result


def make(bench: Bench, row: Row, name: str, target: Path) -> None:
    """The quantized graph, by this Python or optimum's."""
    if row.make is not None:
        with redirect_stdout(sys.stderr):  # theirs draw progress there
            row.make(bench.given[name], target)
        return
    nodes = target.with_suffix(".nodes.json")
    nodes.write_text(json.dumps(bench.given[name].nodes))
    command = [bench.options.optimum_python, OPTIMUM, bench.given[name].path, target, nodes]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    nodes.unlink()
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "failed without a word")


def relative(got: Feeds, truth: Feeds) -> float:
    """Root mean square of the difference over that of the truth, of the worst output."""
    return max(float(np.linalg.norm(got[name] - truth[name]) / np.linalg.norm(truth[name])) for name in truth)


def in_turn(changed: OrtRunner, plain: OrtRunner, name: str, bench: Bench) -> dict[str, float]:
    """Medians of one graph, quantized and float32 in turn, after one warm-up of each."""
    took: dict[str, list[float]] = {"ms": [], "float32_ms": []}
    for number in range(bench.options.rounds + 1):
        for key, runner in (("ms", changed), ("float32_ms", plain)):
            start = time.perf_counter()
            runner(name, bench.feeds[name])
            if number:
                took[key].append((time.perf_counter() - start) * 1e3)
    ratios = [a / b for a, b in zip(took["float32_ms"], took["ms"], strict=True)]
    return {key: median(values) for key, values in took.items()} | {"faster": median(ratios)}


def rtx(python: Path | None, paths: list[Path]) -> str:
    """What TensorRT-RTX says of all graphs."""
    if python is None:
        return "not asked"
    done = subprocess.run([str(part) for part in (python, RTX, *paths)], capture_output=True, text=True)
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1][:80]}" if done.stderr.strip() else "failed"
    told = json.loads(done.stdout.splitlines()[-1])
    return next((word for word in told.values() if word != "yes"), "yes")


def wanted_rows(args: argparse.Namespace) -> list[Row]:
    """Those that can be run; says which cannot, and why."""
    rows = []
    for row in ROWS:
        if args.only and row.name not in args.only:
            continue
        if row.make is None and args.optimum_python is None:
            say(f"left out: {row.name} (give --optimum-python, a Python with optimum-onnx)")
        elif row.slow and not (args.slow or args.only):
            say(f"left out: {row.name} (give --slow)")
        else:
            rows.append(row)
    return rows


def run(args: argparse.Namespace) -> Result:
    """All rows."""
    bench = prepare(args)
    found = []
    for row in wanted_rows(args):
        say(f"{row.whose}: {row.name}")
        found.append(measure(bench, row))
    facts = {"checkpoint": bench.graphs.folder.parent.name, "group": bench.given["llm"].group, "rounds": args.rounds}
    counts = {name: len(given.nodes) for name, given in bench.given.items()}
    float_bytes = stored_bytes(bench.work / "source", *GRAPHS)
    return {**facts, "products": counts, "bytes": float_bytes, "samples": args.samples, "rows": found}


def markdown(result: Result) -> str:
    """The table."""
    lines = [
        f"{sum(result['products'].values())} products of llm and flow, {result['bytes'] / 1e6:.0f} MB in float32; "
        f"INT4 in groups of {result['group']}; errors: outputs of one call, actions worst of "
        f"{result['samples']} samples",
        "",
        "| by | quantizer | llm error | flow error | action cosine | max abs | MB | llm | flow | made in | TensorRT |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [line(row) for row in result["rows"]])


def line(row: Result) -> str:
    """One row."""
    cells = [row["whose"], row["name"]]
    if "failed" in row:
        cells += [row["failed"], *[""] * 8]
    else:
        llm, flow = row["llm"], row["flow"]
        cells += [f"{llm['relative']:.2g}", f"{flow['relative']:.2g}", f"{row['cosine']:.6f}", f"{row['max_abs']:.2g}"]
        cells += [f"{row['bytes'] / 1e6:.1f}", f"{llm['faster']:.2f}x", f"{flow['faster']:.2f}x"]
        cells += [f"{row['made_s']:.0f} s", row["tensorrt"]]
    return f"| {' | '.join(cells)} |"


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--preset", default="mid")
    made.add_argument("--checkpoint", type=Path, help="one of your own, in place of a preset's random one")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--only", nargs="+", metavar="NAME", help="these rows alone")
    made.add_argument("--slow", action="store_true", help="those too that take minutes")
    made.add_argument("--samples", type=int, default=4, help="observations that actions are compared on")
    made.add_argument("--calibration", type=int, default=2, help="others, that quantizers are given")
    made.add_argument("--episodes", help="a dataset or recording to take them from (default: made-up ones)")
    made.add_argument("--optimum-python", type=Path, metavar="PATH", help="a Python with optimum-onnx")
    made.add_argument("--rtx-python", type=Path, metavar="PATH", help="a Python with tensorrt-rtx")
    made.add_argument("--folder", type=Path, default=FOLDER, help="where graphs are kept")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    made.add_argument("--markdown", action="store_true", help="only the table's own lines")
    return made


def main() -> None:
    """The command line."""
    args = parser().parse_args()
    logging.disable(logging.WARNING)  # theirs advise to pre-process, graph by graph
    result = run(args)
    if args.json:
        write(args.json, result)
    table = markdown(result)
    print(table.split("\n\n", 1)[1] if args.markdown else table)


if __name__ == "__main__":
    main()
