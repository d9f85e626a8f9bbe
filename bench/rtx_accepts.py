"""Every graph of a preset in every precision of a TensorRT target, parsed and built by TensorRT-RTX, without a GPU.

    python -m bench.rtx_accepts --rtx-python PATH [--preset molmoact2-full] [--precision int4 ...] [--mode think ...]
                                [--layers N] [--memory GB] [--parse] [--folder FOLDER] [--json FILE]

True shapes at any size, made-up numbers: no checkpoint is read, weights are a random block repeated (what is accepted
does not depend on them), one graph at a time on the disk. A graph is built where four times its weights fit in
--memory (measured, docs/sources.md), else only parsed; --layers cuts the language model, the expert and the ViT to
their first N layers at their true widths, so that every form is built too. Each graph is a process of its own, which is
ended where it outgrows --memory. PATH is a Python with tensorrt-rtx. Precisions that are fitted to samples (AWQ, GPTQ)
are written as int4 is and are tried on small presets by the tests.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from armside.plan_stages import count_checkpoint
from bench.workbench import FOLDER, say
from export.build import GraphOptions, Sizes
from export.shape_only import ShapeOnly, empty_graphs, sizes_of
from export.stream import stream_graph
from policy_spec.graphs import MODES, MOST_NEW_TOKENS
from quant.fit import fitted
from quant.plan import make_plan
from quant.rewrite import QDQ, quantize_model
from quant.targets import TARGETS
from train.init_checkpoint import InitOptions, plan

TAKES = Path(__file__).with_name("rtx_takes.py")
PRECISIONS = ("fp32", "fp16", "bf16", "int8-weight", "int8", "int8-fast", "int4")
BUILD_FACTOR = 4.0  # memory of a build, in weights (docs/sources.md, memory: 3.8 measured)
SPARE_BYTES = 2_000_000_000  # left free on the disk
BLOCK = 1 << 20  # made-up numbers, repeated
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line."""

    python: Path
    preset: str
    layers: int
    memory: float  # GB
    folder: Path
    parse: bool = False  # build nothing


def facts_of(asked: Asked, depth: bool, folder: Path) -> Path:
    """A checkpoint's small files, without its numbers."""
    files = plan(InitOptions(folder, asked.preset, "so101", 0, False, depth))[0]
    config = files["config.json"]
    if asked.layers:
        config["text_config"]["num_hidden_layers"] = asked.layers
        config["action_expert_config"]["num_layers"] = asked.layers
        config["vit_config"]["num_hidden_layers"] = asked.layers
        config["adapter_config"]["vit_layers"] = [-1, -2]
    folder.mkdir(parents=True)
    for name, value in files.items():
        (folder / name).write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return folder


def graphs_of(checkpoint: Path, mode: str, precision: str) -> tuple[Sizes, dict[str, ir.Model]]:
    """The graphs of a mode, quantized for TensorRT; nothing in them is read."""
    shapes, options = ShapeOnly(checkpoint), GraphOptions(mode=mode)
    spec, sizes = sizes_of(shapes, options)
    target = TARGETS["agx-orin-64"]
    recipe = fitted(make_plan(precision, target.float_type), count_checkpoint(checkpoint, options).graphs)
    models = empty_graphs(shapes, spec, sizes)
    for model in models.values():
        quantize_model(model, recipe, None, QDQ)
        make_up(model)
    return sizes, models


def make_up(model: ir.Model) -> None:
    """Every weight that would be computed gets numbers from one random block: small, positive, never all the same."""
    rng = np.random.default_rng(0)
    floats = rng.uniform(1e-3, 2e-2, BLOCK).astype(np.float32)
    integers = rng.integers(-7, 8, BLOCK, dtype=np.int8)
    for number, value in enumerate(model.graph.initializers.values()):
        if isinstance(value.const_value, ir.LazyTensor):
            value.const_value = _made_up(value.const_value, floats, integers, 7919 * number)


def _made_up(old: ir.LazyTensor, floats: np.ndarray, integers: np.ndarray, shift: int) -> ir.LazyTensor:
    dtype, name, shape = old.dtype, str(old.name), tuple(int(side) for side in old.shape.numpy())

    def load() -> ir.TensorProtocol:
        whole = dtype in (ir.DataType.INT4, ir.DataType.INT8)
        block = np.roll(integers if whole else floats, shift).astype(dtype.numpy())
        return ir.tensor(np.resize(block, shape), dtype=dtype, name=name)

    return ir.LazyTensor(load, dtype=dtype, shape=ir.Shape(shape), name=name)


def profiles_of(name: str, sizes: Sizes, model: ir.Model) -> list[dict[str, list[list[int]]]]:
    """Of a cached `llm`: the whole prompt, and the passes after it."""
    if not (sizes.variant.cached and name == "llm"):
        return []
    whole, most = sizes.bracket, MOST_NEW_TOKENS
    each = {"K": ([whole] * 3, [1, 16, most]), "M": ([1] * 3, [1, 16, most])}
    made: list[dict[str, list[list[int]]]] = [{}, {}]
    for value in model.graph.inputs:
        sides = list(value.shape or ())
        for number in range(2):
            if any(not isinstance(side, int) for side in sides):
                made[number][str(value.name)] = [
                    [side if isinstance(side, int) else each[str(side.value)][number][i] for side in sides]
                    for i in range(3)
                ]
    return made


def weights_of(model: ir.Model) -> int:
    """Bytes."""
    return sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value is not None)


def ask(asked: Asked, name: str, model: ir.Model, sizes: Sizes) -> Result:
    """One graph: written, handed to TensorRT-RTX, removed."""
    size = weights_of(model)
    build = not asked.parse and BUILD_FACTOR * size < asked.memory * 1e9
    result: Result = {"graph": name, "weights_gb": size / 1e9, "opset": model.graph.opset_imports[""]}
    if size + SPARE_BYTES > shutil.disk_usage(asked.folder).free:  # parsed, they are mapped, not read
        return result | {"answer": "not asked: no room on the disk"}
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        profiles = json.dumps(profiles_of(name, sizes, model))
        stream_graph(model, Path(folder))
        command = [str(asked.python), str(TAKES), "--numbers", "--profiles", profiles, f"{folder}/{name}.onnx"]
        done, peak = watched(command if build else [*command, "--parse"], asked.memory * 1e9)
    return result | done | {"built": build and done.get("engine_bytes", 0) > 0, "peak_gb": peak / 1e9}


def watched(command: list[str], most: float) -> tuple[Result, float]:
    """What a process says, and its largest memory in bytes; it is ended where that passes `most`."""
    peak = 0.0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, text=True)
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            if peak > most:
                process.kill()
                process.wait()
                return {"answer": f"ended at {most / 1e9:g} GB"}, peak
            time.sleep(0.2)
        out.seek(0)
        lines = out.read().splitlines()
        if process.returncode or not lines:
            err.seek(0)
            said = err.read().strip().splitlines()
            return {"answer": f"failed: {said[-1][:200] if said else process.returncode}"}, peak
    found: Result = next(iter(json.loads(lines[-1]).values()))
    return found, peak


def resident(pid: int) -> float:
    """Bytes of a process's own memory, pages of files not counted: they can be given back."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon", "RssShmem")))


def all_rows(asked: Asked, precisions: list[str], modes: list[str]) -> Iterator[Result]:
    """A graph that an earlier mode had in the same shape is not asked about again."""
    for depth in (False, True):
        mine = [mode for mode in modes if (mode == "think") == depth]
        if not mine:
            continue
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            checkpoint = facts_of(asked, depth, Path(folder) / "facts")
            for precision in precisions:
                for mode in mine:
                    sizes, models = graphs_of(checkpoint, mode, precision)
                    for name, model in models.items():
                        if name == "vision" and mode != modes[0]:
                            continue
                        row = {"mode": mode, "precision": precision} | ask(asked, name, model, sizes)
                        say(line(row))
                        yield row


def line(row: Result) -> str:
    """A row of the table."""
    done = "built" if row.get("built") else "parsed" if row["answer"] == "yes" else row["answer"]
    return (
        f"| {row['mode']} | {row['precision']} | {row['graph']} | {row['opset']} | {row['weights_gb']:.2f} | {done} | "
        f"{row.get('parse_s', 0):.0f} | {row.get('build_s', 0):.0f} | {row.get('engine_bytes', 0) / 1e9:.2f} | "
        f"{row.get('peak_gb', 0):.1f} |"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rtx-python", type=Path, required=True, metavar="PATH", help="a Python with tensorrt-rtx")
    parser.add_argument("--preset", default="molmoact2-full")
    parser.add_argument("--precision", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--mode", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--layers", type=int, default=0, metavar="N", help="the first N layers only; 0: all")
    parser.add_argument("--memory", type=float, default=10.0, metavar="GB", help="that one process may take")
    parser.add_argument("--parse", action="store_true", help="build nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there, row by row")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if shutil.which(args.rtx_python) is None:
        parser.error(f"--rtx-python {args.rtx_python}: expected a Python with tensorrt-rtx")
    asked = Asked(args.rtx_python, args.preset, args.layers, args.memory, args.folder, args.parse)
    rows = []
    for row in all_rows(asked, args.precision, args.mode):
        rows.append(row)
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1) + "\n")
    print("| mode | precision | graph | opset | weights GB | | parse s | build s | engine GB | peak GB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    print("\n".join(line(row) for row in rows))
    if any(row["answer"].startswith(("no", "failed")) and "not asked" not in row["answer"] for row in rows):
        raise SystemExit("TensorRT-RTX refused graphs")


if __name__ == "__main__":
    main()
