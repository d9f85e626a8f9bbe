"""Every layer alone against the reference model's own: for checkpoints whose float model does not fit in memory.

Each layer of each graph is fed what the reference model hands it, and must give what the reference gives; so an error
names its layer. Done with the float32 graph, whose layers must agree, and with a written bundle, whose layers lose what
their schemes lose. Takes a Walk (the reference) and graphs opened by layer; gives rows. Knows nothing of schemes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from export.layer_runs import LayeredGraph, open_options
from export.layers import Layer, layer_model, mark_layers, split_layers
from policy_spec.compare import relative, worst

Arrays = Mapping[str, np.ndarray]
Once = Callable[[str, Callable[[], Any]], Any]  # export.journal.Journal.once
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One run of one graph: what it is fed, and what its layers and its outputs ought to be."""

    graph: str
    number: int  # of the runs of this graph
    feeds: Arrays
    expected: Callable[[str], np.ndarray]  # a value's name -> what it ought to be; KeyError: nobody knows
    cut: Callable[[str, np.ndarray], np.ndarray] = lambda _, value: value  # the part of a value that counts


@dataclass(frozen=True, slots=True)
class LayerError:
    """How far one layer's worst output is from the reference's."""

    layer: str
    output: str  # the one that the next number is of
    relative: float  # max|difference| / max|reference|
    rms: float  # root mean square of the difference, as a share of the reference's; of the output where it is most
    detail: str


class FloatGraph(LayeredGraph):
    """A graph that is not on the disk: a layer's weights are written when it is run, and removed."""

    def __init__(self, model: ir.Model, folder: Path) -> None:
        """folder: for the files of one layer at a time."""
        mark_layers(model)
        self.folder, self.name, self.threads = folder, str(model.graph.name), 0
        self.model, self.layers = model, split_layers(model)

    def _session(self, layer: Layer, inputs: Arrays) -> ort.InferenceSession:
        model = layer_model(self.model, layer, inputs)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            path = Path(folder) / "layer.onnx"
            ir.save(model, path, external_data="layer.data")
            return ort.InferenceSession(str(path), open_options(self.threads), providers=["CPUExecutionProvider"])


def check_layers(graph: LayeredGraph, case: Case, once: Once, told: Told) -> list[LayerError]:
    """Every layer of one graph, each from the reference's own inputs. `once`: what was found before an interruption is
    not found again.
    """
    values: dict[str, np.ndarray] = dict(case.feeds)
    found = []
    for layer in graph.layers:
        told(layer.name)

        known = [str(x.name) for x in layer.outputs if _known(case, str(x.name))]
        if known:
            found.append(_checked(graph, layer, case, values, once))
        if any(
            str(x.name) not in values for x in layer.outputs
        ):  # masks, tables: nobody knows them, and they are quick
            values.update({**_run(graph, layer, values), **{name: values[name] for name in known}})
    return found


def _run(graph: LayeredGraph, layer: Layer, values: Arrays) -> dict[str, np.ndarray]:
    return graph.run_layer(layer, {str(x.name): values[str(x.name)] for x in layer.inputs})


def _checked(graph: LayeredGraph, layer: Layer, case: Case, values: dict[str, np.ndarray], once: Once) -> LayerError:
    """One layer's error. `values` gets what it hands on: the reference's where that is known, in the graph's type."""

    def find() -> dict[str, Any]:
        out = _run(graph, layer, values)
        values.update({name: value for name, value in out.items() if not _known(case, name)})
        return _compare(case, {name: value for name, value in out.items() if _known(case, name)})

    fact = once(f"{layer.name}.{case.number}", find)
    values.update({name: case.expected(name).astype(kind) for name, kind in fact["outputs"].items()})
    return LayerError(layer.name, *fact["error"])


def _compare(case: Case, out: Arrays) -> dict[str, Any]:
    errors, most = [], 0.0
    for name, got in out.items():
        mine, truth = (case.cut(name, value).astype(np.float64) for value in (got, case.expected(name)))
        size = float(np.sqrt(np.mean(truth**2))) or 1.0
        most = max(most, float(np.sqrt(np.mean((mine - truth) ** 2))) / size)
        errors.append((relative(mine, truth), name, str(worst(mine, truth))))
    share, name, detail = max(errors)
    return {"error": [name, share, most, detail], "outputs": {name: value.dtype.name for name, value in out.items()}}


def _known(case: Case, name: str) -> bool:
    try:
        case.expected(name)
    except KeyError:
        return False
    return True
