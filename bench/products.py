"""The products that a plan quantizes, timed by ONNX Runtime's profiler: float32 MatMul against the whole W8A8 form.

A product's nodes carry its weight's name, so that the scaling, rounding and rescaling around an integer product
count with it.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import onnx
import onnxruntime as ort

from bench.workbench import TASK, scene
from edge.engine import physical_cores
from export.runner import OrtRunner
from policy_spec.graphs import GRAPHS
from policy_spec.pipeline import Pipeline

CALLS = 5  # the first warms up and is not counted
# What stands around a product, and what ONNX Runtime calls a product that it has merged with its bias.
SUFFIX = re.compile(r"(\.(abs|max|nonzero|unit|q|row|dq|rescale)|/MatMulAddFusion)$")


def quantized_names(bundle: Path) -> set[str]:
    """Node names of the quantized products of every graph."""
    names = set()
    for graph in GRAPHS:
        model = onnx.load(bundle / f"{graph}.onnx", load_external_data=False)
        names |= {node.name.removesuffix(".rescale") for node in model.graph.node if node.name.endswith(".rescale")}
    return names


def product_times(full: Path, small: Path, pipeline: Pipeline) -> dict[str, float]:
    """ms per call spent in those products, by each bundle."""
    names = quantized_names(small)
    return {"fp32": profile(full, pipeline, names), "int8": profile(small, pipeline, names)}


def profile(bundle: Path, pipeline: Pipeline, names: set[str]) -> float:
    """ms per call of the nodes that belong to `names`."""
    with tempfile.TemporaryDirectory() as folder:
        runner = OrtRunner(bundle, physical_cores())
        runner.options.enable_profiling = True
        runner.options.profile_file_prefix = str(Path(folder) / "profile")
        seen = scene(pipeline)
        for _ in range(CALLS):
            pipeline.predict(runner, seen, TASK, seed=0)
        times = [graph_times(runner.session(graph), names) for graph in GRAPHS]
    missing = names - {SUFFIX.sub("", node) for took in times for node in took}
    if missing:  # a product that the profile calls otherwise would be counted as free
        raise SystemExit(f"{bundle}: no time found for {len(missing)} products, such as {min(missing)}")
    return sum(sum(t[len(t) // CALLS :]) for took in times for t in took.values()) / (CALLS - 1) / 1e3


def graph_times(session: ort.InferenceSession, names: set[str]) -> dict[str, list[float]]:
    """Microseconds of each run of each node that belongs to `names`."""
    events = json.loads(Path(session.end_profiling()).read_text())
    took: dict[str, list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            node = event["name"].removesuffix("_kernel_time")
            if node in names or SUFFIX.sub("", node) in names:
                took.setdefault(node, []).append(event["dur"])
    return took
