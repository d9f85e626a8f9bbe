"""Graphs streamed to the disk: a file per layer, one weight in memory at a time, and gone on with where it stopped."""

from __future__ import annotations

import weakref
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from export.build import GraphOptions, graph_makers, open_job
from export.emit import Emit, layer_name
from export.journal import Journal
from export.layers import split_layers
from export.stream import pieces, stream_graph
from policy_spec.errors import UsageError

SIDE, LAYERS = 64, 5


class Counted(np.ndarray):
    """An array whose life can be watched."""


class Weights:
    """Makes the weights of a graph and counts how many of them live at once, and how many were made."""

    def __init__(self) -> None:
        self.alive = self.most = self.made = 0

    def __call__(self, number: int) -> np.ndarray:
        array = np.random.default_rng(number).standard_normal((SIDE, SIDE), np.float32).view(Counted)
        self.made += 1
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(array, self._gone)
        return array

    def _gone(self) -> None:
        self.alive -= 1


def chain(weights: Weights) -> ir.Model:
    """A layer of one product, and LAYERS of two each."""
    emit = Emit("chain")
    x = emit.input("x", ir.DataType.FLOAT, (1, SIDE))
    with emit.layer("chain.embed"):
        x = emit.out(emit.op("MatMul", x, emit.weight("first", (SIDE, SIDE), lambda: weights(0))))
    for i in range(LAYERS):
        with emit.layer(layer_name("chain.blocks", i)):
            for half in range(2):
                number = 1 + 2 * i + half
                x = emit.op("MatMul", x, emit.weight(f"w{number}", (SIDE, SIDE), partial(weights, number)))
            x = emit.out(x)
    return emit.model([(emit.op("Mul", x, emit.scalar(1.0)), "y", ir.DataType.FLOAT, (1, SIDE))])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_file_for_each_layer_and_one_weight_in_memory(tmp_path: Path) -> None:
    weights = Weights()
    files = stream_graph(chain(weights), tmp_path)
    assert files == [
        "weights/chain.embed.data",
        *(f"weights/{layer_name('chain.blocks', i)}.data" for i in range(LAYERS)),
    ]
    assert weights.made == 1 + 2 * LAYERS and weights.most == 1 and weights.alive == 0
    held = Weights()  # the control: what is held is counted
    arrays = [held(i) for i in range(3)]
    assert held.most == len(arrays)


def test_the_written_graph_computes_what_its_weights_say(tmp_path: Path) -> None:
    stream_graph(chain(Weights()), tmp_path)
    x = np.random.default_rng(99).standard_normal((1, SIDE), np.float32)
    expected = x
    for number in range(1 + 2 * LAYERS):
        expected = expected @ np.asarray(Weights()(number))
    (got,) = ort.InferenceSession(str(tmp_path / "chain.onnx"), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    assert np.abs(got - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("stop", range(1, LAYERS + 2))
def test_an_export_interrupted_at_any_layer_goes_on_to_the_same_bytes(tmp_path: Path, stop: int) -> None:
    stream_graph(chain(Weights()), tmp_path / "whole")
    told: list[int] = []

    def interrupt(_: int) -> None:
        told.append(1)
        if len(told) == stop:
            raise KeyboardInterrupt

    (tmp_path / "work").mkdir()
    with pytest.raises(KeyboardInterrupt):
        journal = Journal(tmp_path / "work", tmp_path / "cut", {"precision": "fp32"})
        stream_graph(chain(Weights()), tmp_path / "cut", journal, interrupt)
    weights = Weights()
    journal = Journal(tmp_path / "work", tmp_path / "cut", {"precision": "fp32"})
    assert journal.found == stop
    stream_graph(chain(weights), tmp_path / "cut", journal)
    assert weights.made == 2 * (LAYERS + 1 - stop)  # what was finished is not computed again
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_weight_that_fails_leaves_finished_files_only(tmp_path: Path) -> None:
    class Failing(Weights):
        def __call__(self, number: int) -> np.ndarray:
            if number == 6:
                raise OSError("the shard is gone")
            return super().__call__(number)

    with pytest.raises(OSError, match="the shard is gone"):
        stream_graph(chain(Failing()), tmp_path)
    finished = {name for name in contents(tmp_path) if name.endswith(".data")}
    assert finished == {"weights/chain.embed.data", "weights/chain.blocks.00.data", "weights/chain.blocks.01.data"}
    assert not (tmp_path / "chain.onnx").exists()


def test_a_file_that_changed_since_is_written_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path, tmp_path, {})
    files = stream_graph(chain(Weights()), tmp_path, journal)
    before = contents(tmp_path / "weights")
    damaged = tmp_path / files[2]
    damaged.write_bytes(b"\0" + damaged.read_bytes()[1:])
    weights = Weights()
    stream_graph(chain(weights), tmp_path, Journal(tmp_path, tmp_path, {}))
    assert weights.made == 2 and contents(tmp_path / "weights") == before


def test_a_journal_of_another_export_is_refused_and_left_alone(tmp_path: Path) -> None:
    Journal(tmp_path, tmp_path, {"precision": "int4", "mode": "think"})
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"expected: precision int4; got: precision int8; what to do: .* --fresh"):
        Journal(tmp_path, tmp_path, {"precision": "int8", "mode": "think"})
    assert contents(tmp_path) == before
    Journal(tmp_path, tmp_path, {"precision": "int4", "mode": "think"})  # the control


def test_a_line_that_a_kill_cut_short_counts_as_not_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path, tmp_path, {})
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        journal.note(tmp_path / name)
    assert journal.once("fact", lambda: {"error": 0.1 + 0.2}) == {"error": 0.1 + 0.2}
    text = journal.path.read_text()
    journal.path.write_text(text[:-5])
    again = Journal(tmp_path, tmp_path, {})
    assert again.found == 2 and again.has(tmp_path / "b") and not again.has(tmp_path / "c")
    assert again.once("fact", lambda: 7) == 7 and Journal(tmp_path, tmp_path, {}).once("fact", lambda: 8) == 7


def test_every_large_weight_of_the_true_graphs_lies_in_its_own_layer(tiny_checkpoint: Path) -> None:
    job = open_job(tiny_checkpoint, GraphOptions(), lambda *_: None)
    for name, make in graph_makers(job.checkpoint, job.spec, job.sizes).items():
        model = make()
        for piece in pieces(model):
            for value in piece.weights:
                owner = str(value.name).split(".")
                number = next((int(part) for part in owner if part.isdigit()), None)
                if "blocks" in piece.layer:
                    assert number == int(piece.layer[-2:]), (piece.layer, value.name)
                elif "blocks" in owner:
                    pytest.fail(f"{value.name} lies in {piece.layer}")
        names = [layer.name for layer in split_layers(model)]
        assert len(names) == len(set(names))
        assert {piece.layer.split(".")[0] for piece in pieces(model)} == {name}
