"""What enters each product, collected while policies run on float graphs in ONNX Runtime: samples -> Statistics.

A Collector is a `run(graph, feeds)` like any other; it takes products' inputs out of the graph as extra outputs, a
bounded number of bytes at a time, and adds the rows that are not padding to an Accumulator. Whoever drives it (a
pipeline of any mode) decides what is run. For models whose float graphs do not fit in memory the reference model's own
layers tell the same (armside joins them). Knows nothing of schemes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from policy_spec.graphs import CACHE, NEXT
from quant.plan import Plan
from quant.samples import Sample
from quant.schemes import SCHEMES
from quant.statistics import Accumulator, Statistics

BUDGET = 256_000_000  # bytes of extra outputs of one run; what does not fit is computed again, in a further run
Arrays = Mapping[str, np.ndarray]
Progress = Callable[[str, int, int], None]


class Predicts(Protocol):
    """A policy's pipeline."""

    def predict(self, run: Any, observation: Any, task: str, *, seed: int) -> Any:
        """One call."""


class Collector:
    """`collector(graph, feeds) -> outputs`, which also tells an Accumulator what enters the wanted products."""

    def __init__(
        self,
        folder: Path,
        wanted: Mapping[str, Iterable[str]],
        told: Accumulator,
        pad: int,
        budget: int = BUDGET,
    ) -> None:
        """folder: float32 graphs as NAME.onnx; wanted: of each graph the weights whose products count; pad: the token
        that prompts are padded with.
        """
        self.folder, self.told, self.pad, self.budget = folder, told, pad, budget
        self.wanted = {graph: set(weights) for graph, weights in wanted.items()}
        self.caches: dict[str, np.ndarray] = {}
        self._open: dict[str, _Opened] = {}

    def __call__(self, graph: str, feeds: Arrays, /) -> dict[str, np.ndarray]:
        if graph not in self._open:
            self._open[graph] = _Opened(self.folder, graph, self.wanted.get(graph, set()))
        opened = self._open[graph]
        fed = {**feeds, **self._kept(opened.session)}
        used = rows_used(graph, feeds, self.pad)
        for name, weights in opened.doors.items():
            self._tell(weights, fed[name], used)
        out = self._run(opened, fed, used)
        for name in [name for name in out if name.startswith(CACHE)]:
            self.caches[name.removesuffix(NEXT)] = out.pop(name)
        return out

    def _run(self, opened: _Opened, feeds: Arrays, used: int | None) -> dict[str, np.ndarray]:
        """The graph's outputs; every tap is told on the way."""
        out: dict[str, np.ndarray] = {}
        names, left = opened.outputs, list(opened.taps)
        while left or not out:
            now = [] if not opened.sizes else _first(left, opened.sizes, self.budget)
            now = now or left[:1]  # before the first run nobody knows how large they are: one alone
            asked = [*([] if out else names), *now]
            found = dict(zip(asked, opened.session.run(asked, dict(feeds)), strict=True))
            out = out or {name: found[name] for name in names}
            for name in now:
                opened.sizes[name] = max(opened.sizes.get(name, 0), found[name].nbytes)
                self._tell(opened.taps[name], found[name], used)
            left = left[len(now) :]
        return out

    def _tell(self, weights: list[str], x: np.ndarray, used: int | None) -> None:
        rows = x if used is None or x.ndim < 3 else x[:, :used]
        for weight in weights:
            self.told.add(weight, rows)

    def _kept(self, session: ort.InferenceSession) -> dict[str, np.ndarray]:
        """The caches that a graph reads; zeros before there are any."""
        for node in session.get_inputs():
            if node.name.startswith(CACHE) and node.name not in self.caches:
                self.caches[node.name] = np.zeros(node.shape, np.float32)
        return {node.name: self.caches[node.name] for node in session.get_inputs() if node.name.startswith(CACHE)}


class _Opened:
    """A graph with taps: values that it gives out beside its outputs."""

    def __init__(self, folder: Path, graph: str, wanted: set[str]) -> None:
        model = ir.load(folder / f"{graph}.onnx")
        self.outputs = [str(value.name) for value in model.graph.outputs]
        self.taps: dict[str, list[str]] = {}  # value -> weights that it is multiplied with
        self.doors: dict[str, list[str]] = {}  # the same of values that the graph is fed
        self.sizes: dict[str, int] = {}  # bytes of a tap, at most
        for node in model.graph:
            x, weight = (*node.inputs, None)[:2] if node.op_type == "MatMul" else (None, None)
            if x is None or weight is None or str(weight.name) not in wanted:
                continue
            if x.is_graph_input():
                self.doors.setdefault(str(x.name), []).append(str(weight.name))
                continue
            if str(x.name) not in self.taps and not x.is_graph_output():
                x.type = x.type or ir.TensorType(ir.DataType.FLOAT)
                model.graph.outputs.append(x)
            self.taps.setdefault(str(x.name), []).append(str(weight.name))
        self.session = open_model(model, folder)


def open_model(model: ir.Model, folder: Path, threads: int = 0) -> ort.InferenceSession:
    """A session of a model in memory, whose large weights lie in files of `folder`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    data = ir.to_proto(model).SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def rows_used(graph: str, feeds: Arrays, pad: int) -> int | None:
    """Rows of [1, rows, K] that are no padding: tokens of the prompt, steps of the flow; None: all are real."""
    if graph == "llm":
        real = np.flatnonzero(feeds["input_ids"][0] != pad)
        return int(real[-1]) + 1 if len(real) else 1
    if graph == "context":
        return int(np.flatnonzero(feeds["visible"][0] > 0)[-1]) + 1
    return int((feeds["horizon_bias"].reshape(-1) == 0).sum()) if graph == "flow" else None


def _first(names: list[str], sizes: Mapping[str, int], budget: int) -> list[str]:
    """As many of the first as fit; those never seen count as the largest that was."""
    most, total, found = max(sizes.values()), 0, []
    for name in names:
        total += sizes.get(name, most)
        if total > budget:
            break
        found.append(name)
    return found


def collect(pipeline: Predicts, run: Collector, samples: Iterable[Sample], progress: Progress) -> Statistics:
    """Whole calls over the samples, each with the noise of its own seed, all steps of the flow."""
    chosen = list(samples)
    for number, sample in enumerate(chosen):
        progress("collect activations", number, len(chosen))
        pipeline.predict(run, sample.observation, sample.task, seed=sample.seed)
    return run.told.done()


def wanted_by(plan: Plan, models: Mapping[str, ir.Model]) -> dict[str, dict[str, bool]]:
    """Of each graph the weights whose scheme asks for activations, and whether it asks for their Gram matrix."""
    found: dict[str, dict[str, bool]] = {}
    for name, model in models.items():
        for weight in product_weights(model):
            scheme = SCHEMES[plan.choice(name, weight).scheme]
            if scheme.needs:
                found.setdefault(name, {})[weight] = scheme.gram
    return found


def product_weights(model: ir.Model) -> list[str]:
    """The right sides of a graph's products, as far as they are constants [K, N]."""
    rights = (node.inputs[1] for node in model.graph if node.op_type == "MatMul")
    named = [
        str(x.name) for x in rights if x is not None and x.const_value is not None and len(x.const_value.shape) == 2
    ]
    return list(dict.fromkeys(named))
