"""One plan's graphs, measured: time beside eager torch, where it goes, peak memory of a process of its own.

Takes folders of graphs and a pipeline; gives numbers. Knows nothing of plans.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from armside.compare_samples import Sample
from bench.float_graphs import FloatGraphs
from bench.products import SUFFIX
from edge.engine import physical_cores
from edge.ort_engine import open_engine
from export.runner import OrtRunner
from policy_spec.graphs import GRAPHS

Numbers = dict[str, Any]
PRODUCTS = {
    *("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "MatMulNBits", "MatMulInteger", "MatMulIntegerToFloat"),
    *("DynamicQuantizeMatMul", "QLinearMatMul", "QGemm", "TransposeMatMul"),
}
CONVERSIONS = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast"}
RUNS = 3  # under the profiler; the first warms up and is not counted
GB = 1e9

# Only what a robot's process imports; the pipeline is built from the folder's own facts.
CHILD = """
import json, sys
from pathlib import Path
import numpy as np
from edge.ort_engine import open_engine
from policy_spec.golden import Golden
from policy_spec.graphs import GRAPHS
from policy_spec.pipeline import Pipeline
from policy_spec.spec import PolicySpec

def peak():
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    return int(lines["VmHWM"].split()[0]) * 1024

folder, facts, sizes = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
spec = PolicySpec.from_json((facts / "spec.json").read_text())
tag = next(iter(spec.tags.values()))
pipeline = Pipeline(spec, spec.tokenizer(facts / "tokenizer.json"), tag, **sizes)
with np.load(sys.argv[4]) as seen:
    from policy_spec.pipeline import Observation
    observation = Observation(tuple(seen[f"image_{i}"] for i in range(sizes["cameras"])), seen["state"])
before = peak()
engine = open_engine({name: folder / f"{name}.onnx" for name in GRAPHS})
pipeline.predict(engine.run, observation, sys.argv[5], seed=0)
print(json.dumps({"before_gb": before / 1e9, "peak_gb": peak() / 1e9}))
"""


def paths(folder: Path) -> dict[str, Path]:
    """Graph -> file."""
    return {name: folder / f"{name}.onnx" for name in GRAPHS}


def times(
    graphs: FloatGraphs, folder: Path, eager: Callable[[], Any], sample: Sample, rounds: int
) -> dict[str, list[float]]:
    """Seconds of whole calls, eager torch and these graphs in turn, after one warm-up of each."""
    engine = open_engine(paths(folder))
    found: dict[str, list[float]] = {"eager": [], "graphs": []}
    calls = {"eager": eager, "graphs": lambda: graphs.call(engine.run, sample)}
    for number in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number:
                found[name].append(time.perf_counter() - start)
    engine.close()
    return found


def speed(found: dict[str, list[float]]) -> Numbers:
    """Medians in ms, and the median of the rounds' own ratios, which a busy machine disturbs less."""
    ratios = [a / b for a, b in zip(found["eager"], found["graphs"], strict=True)]
    return {
        "eager_ms": median(found["eager"]) * 1e3,
        "call_ms": median(found["graphs"]) * 1e3,
        "faster": median(ratios),
        "faster_least": min(ratios),
        "faster_most": max(ratios),
    }


def shares(graphs: FloatGraphs, folder: Path, sample: Sample) -> Numbers:
    """Of the time in the graphs: products, what converts for them, and the operators that take most of the rest."""
    with tempfile.TemporaryDirectory() as place:
        runner = OrtRunner(folder, physical_cores())
        runner.options.enable_profiling = True
        runner.options.profile_file_prefix = str(Path(place) / "profile")
        for _ in range(RUNS):
            graphs.call(runner, sample)
        took: Counter[str] = Counter()
        for graph in GRAPHS:
            took += by_operator(json.loads(Path(runner.session(graph).end_profiling()).read_text()))
    total = sum(took.values())
    rest = [[name, t / total] for name, t in took.most_common() if name not in ("products", "conversions")]
    return {"products": took["products"] / total, "conversions": took["conversions"] / total, "rest": rest[:5]}


def by_operator(events: list[dict[str, Any]]) -> Counter[str]:
    """Microseconds by operator; products and conversions by those names. The first of RUNS is left out."""
    nodes = [e for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")]
    took: Counter[str] = Counter()
    for event in nodes[len(nodes) // RUNS :]:
        operator, node = event["args"]["op_name"], event["name"].removesuffix("_kernel_time")
        if operator in PRODUCTS:
            operator = "products"
        elif operator in CONVERSIONS or (SUFFIX.search(node) and not node.endswith("/MatMulAddFusion")):
            operator = "conversions"
        took[operator] += event["dur"]
    return took


def memory(graphs: FloatGraphs, folder: Path, sample: Sample, scratch: Path) -> Numbers:
    """Peak resident GB of a fresh process that opens the graphs and makes one call, and before it opened them."""
    import numpy as np

    pipeline = graphs.pipeline
    sizes = {name: getattr(pipeline, name) for name in ("cameras", "bracket", "horizon", "image_attention")}
    seen = scratch / "observation.npz"
    images = {f"image_{i}": image for i, image in enumerate(sample.observation.images)}
    np.savez(seen, state=sample.observation.state, **images)
    command = [str(folder), str(graphs.folder), json.dumps(sizes), str(seen), sample.task]
    done = subprocess.run([sys.executable, "-c", CHILD, *command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: Numbers = json.loads(done.stdout)
    return found
