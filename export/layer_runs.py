"""Runs a graph one layer at a time on ONNX Runtime: never more than one layer's weights in memory.

Takes the files of a graph as `stream_graph` writes them, gives what the whole graph would, and each layer alone from
inputs that somebody else chose. The slow twin of runner.OrtRunner, for graphs that do not fit. Knows nothing of what
is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from export.layers import Layer, layer_model, split_layers
from policy_spec.graphs import CACHE, NEXT

Arrays = Mapping[str, np.ndarray]
# (layer, its inputs) -> its inputs, another layer's outputs replaced by what they ought to be
Before = Callable[[Layer, dict[str, np.ndarray]], dict[str, np.ndarray]]


class LayeredGraph:
    """One graph, opened without its weights."""

    def __init__(self, folder: Path, name: str, threads: int = 0) -> None:
        self.folder, self.name, self.threads = folder, name, threads
        self.model = ir.load(folder / f"{name}.onnx")
        self.layers = split_layers(self.model)

    def run(
        self, feeds: Arrays, before: Before | None = None, after: Callable[[Layer, Arrays], None] | None = None
    ) -> dict[str, np.ndarray]:
        """All layers in turn. Gives the graph's outputs."""
        values = dict(feeds)
        for layer in self.layers:
            inputs = {str(x.name): values[str(x.name)] for x in layer.inputs}
            out = self.run_layer(layer, before(layer, inputs) if before else inputs)
            values.update(out)
            if after:
                after(layer, out)
        return {str(x.name): values[str(x.name)] for x in self.model.graph.outputs}

    def run_layer(self, layer: Layer, inputs: Arrays) -> dict[str, np.ndarray]:
        """One layer from the given inputs."""
        wanted = [str(x.name) for x in layer.outputs]
        session = self._session(layer, inputs)
        return dict(zip(wanted, session.run(wanted, dict(inputs)), strict=True))

    def _session(self, layer: Layer, inputs: Arrays) -> ort.InferenceSession:
        model = ir.to_proto(layer_model(self.model, layer, inputs))
        options = open_options(self.threads)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(self.folder))
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def open_options(threads: int) -> ort.SessionOptions:
    """Of a session that is used once: nothing is kept for a next run, idle threads do not spin."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    return options


class LayeredRunner:
    """`runner(graph, feeds) -> outputs by name`, as OrtRunner; the caches are its own."""

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        self.folder, self.threads = Path(folder), threads
        self.caches: dict[str, np.ndarray] = {}
        self._graphs: dict[str, LayeredGraph] = {}

    def graph(self, name: str) -> LayeredGraph:
        """The graph, read once."""
        if name not in self._graphs:
            self._graphs[name] = LayeredGraph(self.folder, name, self.threads)
        return self._graphs[name]

    def __call__(self, graph: str, feeds: Arrays, /) -> dict[str, np.ndarray]:
        found = self.graph(graph)
        kept = {}
        for x in found.model.graph.inputs:
            name = str(x.name)
            if name.startswith(CACHE):
                kept[name] = self.caches.setdefault(name, np.zeros(x.shape.numpy(), np.float32))  # type: ignore[union-attr]
        out = found.run({**feeds, **kept})
        for name in [name for name in out if name.startswith(CACHE)]:
            self.caches[name.removesuffix(NEXT)] = out.pop(name)
        return out
