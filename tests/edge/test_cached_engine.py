"""Graphs with a cache on a real engine: any number of tokens at once, and a cache that is written in place."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.ort_engine import OrtEngine, open_engine
from policy_spec.errors import SessionError
from policy_spec.graphs import Variant, cache_names
from policy_spec.spec import PolicySpec
from tests.edge.onnx_bytes import GraphWriter
from tests.edge.small_graphs import write_graphs
from train.init_checkpoint import InitOptions, init_checkpoint

ROOT = Path(__file__).parents[2]
CAMERAS, BRACKET, HORIZON = 2, 64, 10
VARIANT = Variant("think", "depth", 48)
LENGTH = BRACKET + VARIANT.new_tokens


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> PolicySpec:
    checkpoint = tmp_path_factory.mktemp("tiny") / "checkpoint"
    init_checkpoint(InitOptions(checkpoint, "tiny", "so101", 0, False))
    return dataclasses.replace(PolicySpec.from_checkpoint(checkpoint), depth=True)


@pytest.fixture(scope="module")
def files(spec: PolicySpec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_graphs(tmp_path_factory.mktemp("graphs"), spec, CAMERAS, BRACKET, HORIZON, VARIANT)


@pytest.fixture
def engine(files: dict[str, Path]) -> OrtEngine:
    return open_engine(files)


class Words:
    """Random tokens for one `llm`, fed in pieces of any size."""

    def __init__(self, spec: PolicySpec, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.ids = random.integers(0, spec.vocab_size, LENGTH).astype(np.int32)
        self.kind = np.zeros(LENGTH, np.float32)
        self.kind[3:11] = 1  # a picture
        rows = CAMERAS * spec.tokens_per_image
        self.features = random.standard_normal((rows, spec.hidden_size)).astype(np.float32)

    def feed(self, engine: OrtEngine, start: int, stop: int, rows: list[int]) -> np.ndarray:
        """Logits [M, V] of the given rows of tokens start..stop, in an array of its own."""
        new = slice(start, stop)
        feeds = {
            "input_ids": self.ids[None, new],
            "image_row": self.kind[None, new].cumsum(1).astype(np.int32) * self.kind[None, new].astype(np.int32),
            "token_type": self.kind[None, new],
            "positions": np.arange(start, stop, dtype=np.int32)[None],
            "key_type": self.kind[None],
            "features": self.features,
            "rows": np.array([rows], np.int32),
        }
        out = engine.run("llm", feeds)
        assert list(out) == ["logits"]  # caches are the engine's own
        return out["logits"][0].copy()


def caches(engine: OrtEngine, spec: PolicySpec) -> dict[str, np.ndarray]:
    return {name: engine._graphs["llm"].caches[name].array for name in cache_names(spec.layers)}


@pytest.mark.parametrize("cuts", [(1,) * 12, (5, 1, 6), (3, 9), (12,)])
def test_tokens_in_any_pieces_give_what_they_give_at_once(
    engine: OrtEngine, files: dict[str, Path], spec: PolicySpec, cuts: tuple[int, ...]
) -> None:
    """The slow truth: everything at once, on a fresh engine."""
    words, prompt = Words(spec), 40
    wanted = words.feed(open_engine(files), 0, prompt + 12, list(range(prompt, prompt + 12)))
    words.feed(engine, 0, BRACKET, [prompt - 1])  # padded: what follows is overwritten
    got, start = [], prompt
    for cut in cuts:
        got.append(words.feed(engine, start, start + cut, list(range(cut))))
        start += cut
    assert np.abs(np.concatenate(got) - wanted).max() < 1e-4
    other = Words(spec, seed=1)  # the control: another prompt in the cache
    other.feed(engine, 0, BRACKET, [0])
    assert np.abs(words.feed(engine, prompt, prompt + 12, list(range(12))) - wanted).max() > 0.1


def test_what_a_cache_held_before_a_prompt_does_not_matter(engine: OrtEngine, spec: PolicySpec) -> None:
    words = Words(spec)
    words.feed(engine, 0, BRACKET, [0])
    wanted = words.feed(engine, 40, 45, [0, 4])
    for cache in caches(engine, spec).values():
        cache[...] = 7.0
    words.feed(engine, 0, BRACKET, [0])
    assert np.array_equal(words.feed(engine, 40, 45, [0, 4]), wanted)
    caches(engine, spec)["cache_v_00"][:, 20] += 1.0  # the control: a place that is seen
    assert not np.array_equal(words.feed(engine, 40, 45, [0, 4]), wanted)


def test_a_cache_that_is_not_a_number_is_forgotten(engine: OrtEngine, spec: PolicySpec) -> None:
    words = Words(spec)
    wanted = words.feed(engine, 0, BRACKET, [39])
    caches(engine, spec)["cache_k_00"][:, BRACKET:] = np.nan
    assert np.isnan(words.feed(engine, 0, BRACKET, [39])).all()  # hidden, and yet it spreads
    engine.forget()
    assert np.array_equal(words.feed(engine, 0, BRACKET, [39]), wanted)


def test_all_graphs_have_one_cache_and_k_and_v_go_to_flow_uncopied(engine: OrtEngine, spec: PolicySpec) -> None:
    llm, context, flow = (engine._graphs[name] for name in ("llm", "context", "flow"))
    for name in cache_names(spec.layers):
        assert llm.caches[name] is context.caches[name] is llm.caches[f"{name}_next"]
        assert llm.caches[name].array.ctypes.data % 64 == 0
        assert context.outputs[name.removeprefix("cache_")] is flow.inputs[name.removeprefix("cache_")]
    assert llm.inputs["features"] is engine._graphs["vision"].outputs["features"]


def test_a_pass_writes_the_rows_of_its_tokens_and_no_other(engine: OrtEngine, spec: PolicySpec) -> None:
    words = Words(spec)
    words.feed(engine, 0, BRACKET, [0])
    before = {name: cache.copy() for name, cache in caches(engine, spec).items()}
    Words(spec, seed=1).feed(engine, 50, 53, [2])
    for name, cache in caches(engine, spec).items():
        moved = np.flatnonzero((cache != before[name]).any(axis=(0, 2)))
        assert moved.tolist() == [50, 51, 52], name


def test_passes_of_few_tokens_allocate_no_buffer(engine: OrtEngine, spec: PolicySpec) -> None:
    words = Words(spec)
    words.feed(engine, 0, BRACKET, list(range(20)))
    buffers = [*engine._graphs["llm"].inputs.values(), *engine._graphs["llm"].outputs.values()]
    before = [buffer._memory.ctypes.data for buffer in buffers]
    for count in (1, 7, 20, 2):
        words.feed(engine, 40, 40 + count, list(range(count)))
    assert [buffer._memory.ctypes.data for buffer in buffers] == before
    words.feed(engine, 0, LENGTH, [0])  # the control: more tokens than ever need more room
    assert [buffer._memory.ctypes.data for buffer in buffers] != before


def test_shapes_that_do_not_agree_are_refused_and_nothing_is_broken(engine: OrtEngine, spec: PolicySpec) -> None:
    words = Words(spec)
    wanted = words.feed(engine, 0, BRACKET, [5])
    feeds = {name: buffer.array.copy() for name, buffer in engine._graphs["llm"].inputs.items()}
    with pytest.raises(SessionError, match=r"graph llm: shape of positions; expected: \[1, 64\]; got: \[1, 63\]"):
        engine.run("llm", {**feeds, "positions": feeds["positions"][:, 1:]})
    with pytest.raises(SessionError, match=r"graph llm: shape of rows; expected: \[1, 'M'\]; got: \[3\]"):
        engine.run("llm", {**feeds, "rows": np.zeros(3, np.int32)})
    with pytest.raises(SessionError, match="graph llm: its inputs"):
        engine.run("llm", {**feeds, "cache_k_00": np.zeros(1, np.float32)})
    assert np.array_equal(words.feed(engine, 0, BRACKET, [5]), wanted)


def _graph(path: Path, inputs: dict[str, list[int | str]], outputs: dict[str, list[int | str]]) -> Path:
    """Each output is a copy of the input that is named like its beginning."""
    g = GraphWriter()
    for name in outputs:
        g.op("Identity", next(given for given in inputs if name.startswith(given)), name=name)
    io = [{name: ("float32", shape) for name, shape in side.items()} for side in (inputs, outputs)]
    path.write_bytes(g.model(*io))
    return path


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        ({"cache_a_n": [3], "cache_a": [2]}, {"cache_a_next": [3]}, r"an input cache_a of its type .* got: \(2,\)"),
        ({"cache_b": [2, 4]}, {"cache_b_other": [2, 4]}, "expected: an input cache_b_other of its type .* got: none"),
        ({"x": ["K"]}, {"x_twice": ["N"]}, r"graph g: x_twice; expected: sides that its inputs choose; got: \['N'\]"),
        ({"cache_c": ["K"]}, {"cache_c_next": ["K"]}, "graph g: cache_c; expected: .* the same for all graphs"),
    ],
)
def test_a_graph_that_cannot_be_bound_is_refused(
    tmp_path: Path, inputs: dict[str, list[int | str]], outputs: dict[str, list[int | str]], said: str
) -> None:
    with pytest.raises(SessionError, match=said):
        open_engine({"g": _graph(tmp_path / "g.onnx", inputs, outputs)})


def test_graphs_that_disagree_about_a_cache_are_refused(tmp_path: Path) -> None:
    one = _graph(tmp_path / "one.onnx", {"cache_a": [2, 4]}, {"cache_a_next": [2, 4]})
    same = _graph(tmp_path / "same.onnx", {"cache_a": [2, 4]}, {"cache_a_next": [2, 4]})
    open_engine({"one": one, "same": same})
    other = _graph(tmp_path / "other.onnx", {"cache_a": [2, 8]}, {"cache_a_next": [2, 8]})
    with pytest.raises(SessionError, match=r"graph other: cache_a; expected: float32 \(2, 4\), the same for all"):
        open_engine({"one": one, "other": other})


WRITES = """
import ctypes, mmap, sys
from pathlib import Path
import numpy as np
from edge import ort_buffers
from tests.edge.onnx_bytes import GraphWriter

HEADS, LENGTH, SIZE, PAGE = 2, 256, mmap.PAGESIZE // 4, mmap.PAGESIZE  # a row of the cache is a page
g = GraphWriter()
places = np.array([[[head, 100]] for head in range(HEADS)], np.int64)
rows = g.op("Add", "x", g.const(np.ones((HEADS, 1, SIZE), np.float32)))
if sys.argv[2] == "scatter":
    g.op("ScatterND", "cache_a", g.const(places), rows, name="cache_a_next")
else:
    g.op("Add", "cache_a", g.op("ReduceSum", rows), name="cache_a_next")
shape = ("float32", [HEADS, LENGTH, SIZE])
Path(sys.argv[1]).write_bytes(g.model({"x": ("float32", [HEADS, 1, SIZE]), "cache_a": shape}, {"cache_a_next": shape}))
ort_buffers.ALIGNMENT = PAGE
from edge.ort_engine import open_engine
engine = open_engine({"g": Path(sys.argv[1])})
x = {"x": np.full((HEADS, 1, SIZE), 2.0, np.float32)}
if sys.argv[2] == "scatter":
    engine.run("g", x)  # warm
cache = engine._graphs["g"].caches["cache_a"].array
assert cache.ctypes.data % PAGE == 0
for head in range(HEADS):
    for first, last in ((0, 100), (101, LENGTH)):
        at = cache.ctypes.data + (head * LENGTH + first) * PAGE
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(at), ctypes.c_size_t((last - first) * PAGE), 1) == 0
engine.run("g", x)
print(cache[0, 100, 0], cache[1, 99, 0])
"""


def test_a_pass_over_a_cache_touches_no_page_but_its_own_rows(tmp_path: Path) -> None:
    """All other pages are read-only for the processor itself: a copy, even of equal numbers, would end the process."""

    def run(how: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WRITES, str(tmp_path / "g.onnx"), how]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)

    done = run("scatter")
    assert (done.returncode, done.stdout) == (0, "3.0 0.0\n"), done.stderr
    assert run("all").returncode < 0  # the control: a graph that writes everything dies of it
