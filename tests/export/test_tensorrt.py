"""The TensorRT family's own parser and builder take every graph, for the GPU generation of the Jetson Orin's siblings.

TensorRT-RTX runs without a GPU and has no Orin target (sm_87), so this stands in for the Jetson's own TensorRT; it is
proprietary and optional: `pip install tensorrt-rtx`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from bench.rtx_accepts import PRECISIONS, Asked, facts_of, graphs_of, profiles_of
from bench.rtx_takes import takes
from export.build import Built, BuiltCached
from export.stream import stream_graph
from policy_spec.graphs import GRAPHS, MODES, MOST_NEW_TOKENS
from policy_spec.graphs import graphs_of as names_of
from quant.apply import apply_plan
from quant.plan import Plan, make_plan
from quant.rewrite import QDQ
from quant.schemes import SCHEMES
from quant.statistics import Accumulator, Statistics
from tests.export.trt_cases import CASES
from tests.quant.graphs_by_hand import plan_of

Profile = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

trt: Any = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: pip install tensorrt-rtx")


LLM, EXPERT = ("llm.attention", "llm.ffn"), ("expert.attention", "expert.mlp", "expert.context")
INT8 = [name for name in SCHEMES if name.startswith("int8-")]
INT4 = ["int4-g32", "int4-g32-awq", "int4-g32-gptq"]  # 64 columns: of the tiny preset's hidden size
PLANS: dict[str, Plan] = {
    **{name: make_plan(name) for name in ("fp32", "fp16", "bf16", "int8", "int8-fast", "int8-weight")},
    "int8 in fp16": make_plan("int8", "fp16"),
    **{name: plan_of(name, *LLM, *EXPERT) for name in INT8},
    **{name: plan_of(name, *LLM, base="fp16") for name in INT4},
}
PRESETS = ("tiny", "sim")
OPEN = [{"x": [[1, 1], [1, 4], [1, 8]]}]
REFUSED_HERE_TOO = {
    "computed axes",
    "domain",
    "fp8",
    "norm outputs",
    "open side",
    "operator",
    "quantized constant",
    "type",
    "uint8",
    "zero point",
}
CACHED = ("fp32", "fp16", "int8", "int8-w8a8-hadamard", "int4-g32")


def made_up(folder: Path) -> Statistics:
    """Statistics of random rows for every product: what is built does not depend on them, but schemes want some."""
    import onnx

    made, rng = Accumulator(gram=True), np.random.default_rng(0)
    for path in folder.glob("*.onnx"):
        graph = onnx.load(path, load_external_data=False).graph
        sides = {t.name: list(t.dims) for t in graph.initializer}
        for name in {node.input[1] for node in graph.node if node.op_type == "MatMul" and node.input[1] in sides}:
            made.add(name, rng.standard_normal((8, sides[name][0])).astype(np.float32))
    return made.done()


@pytest.fixture(scope="module", params=list(PLANS))
def graphs(built: Built, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path_factory.mktemp("trt") / request.param.replace(" ", "-")
    apply_plan(built.folder, folder, PLANS[request.param], lambda *_: None, made_up(built.folder), QDQ)
    return folder


@pytest.fixture(scope="module", params=CACHED)
def cached(thought: BuiltCached, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path_factory.mktemp("trt-cached") / request.param
    apply_plan(thought.folder, folder, PLANS[request.param], lambda *_: None, made_up(thought.folder), QDQ)
    return folder


def build(path: Path, profiles: tuple[Profile, ...] = ()) -> tuple[list[str], int]:
    """Parser's errors, and the size of the engine. profiles: least, usual and most tokens and rows."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network()
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(path)):
        return [str(parser.get_error(i)) for i in range(parser.num_errors)], 0
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    for sizes in profiles:
        profile = builder.create_optimization_profile()
        for name in ("input_ids", "image_row", "token_type", "positions"):
            profile.set_shape(name, *((1, tokens) for tokens, _ in sizes))
        profile.set_shape("rows", *((1, rows) for _, rows in sizes))
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    return [], 0 if engine is None else engine.nbytes


@pytest.mark.parametrize("name", GRAPHS)
def test_parsed_and_built(graphs: Path, name: str) -> None:
    errors, size = build(graphs / f"{name}.onnx")
    assert not errors and size > 10_000


@pytest.mark.parametrize("name", names_of("think"))
def test_graphs_with_a_cache_are_parsed_and_built(thought: BuiltCached, cached: Path, name: str) -> None:
    """`llm` with two profiles over one set of weights: the whole prompt at once, and the passes after it."""
    bracket, most = thought.sizes.bracket, MOST_NEW_TOKENS
    passes: Profile = ((1, 1), (16, 16), (most, most))
    prompt: Profile = ((bracket, 1), (bracket, 1), (bracket, 1))
    errors, size = build(cached / f"{name}.onnx", (prompt, passes) if name == "llm" else ())
    assert not errors and size > 10_000


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], Path]:
    """Facts of each preset, with and without depth."""
    root = tmp_path_factory.mktemp("facts")
    asked = {preset: Asked(Path("none"), preset, 0, 10.0, root) for preset in PRESETS}
    return {
        (preset, depth): facts_of(asked[preset], depth, root / f"{preset}-{depth}")
        for preset in PRESETS
        for depth in (False, True)
    }


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("preset", PRESETS)
def test_whole_bundles(
    places: dict[tuple[str, bool], Path], tmp_path: Path, preset: str, mode: str, precision: str
) -> None:
    """Every graph of every mode in every named precision, the embedding table among them, as a board gets it; with
    made-up numbers.
    """
    sizes, models = graphs_of(places[preset, mode == "think"], mode, precision)
    for name, model in models.items():
        stream_graph(model, tmp_path)
        profiles = json.dumps(profiles_of(name, sizes, model))
        answer = takes(str(tmp_path / f"{name}.onnx"), json.loads(profiles))
        assert answer["answer"] == "yes" and answer["engine_bytes"] > 10_000, (name, answer)


@pytest.mark.parametrize("name", CASES)
def test_what_the_lint_passes_is_built(tmp_path: Path, name: str) -> None:
    """The graph beside each row's, which breaks nothing."""
    model = CASES[name][1]()
    ir.save(model, tmp_path / "holds.onnx")
    answer = takes(str(tmp_path / "holds.onnx"), OPEN if name == "open side" else None)
    assert answer["answer"] == "yes", answer


@pytest.mark.parametrize("name", CASES)
def test_what_the_lint_refuses(tmp_path: Path, name: str) -> None:
    """TensorRT-RTX is newer than the boards' TensorRT: it takes some of what they do not, and never says what it
    computes wrong. These it refuses too.
    """
    ir.save(CASES[name][0](), tmp_path / "breaks.onnx")
    answer = takes(str(tmp_path / "breaks.onnx"))
    assert (answer["answer"] != "yes") == (name in REFUSED_HERE_TOO), answer


def test_an_operator_outside_the_table_is_refused(tmp_path: Path) -> None:
    """The negative control: the parser does say no."""
    import onnx

    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("NonZero", ["x"], ["y"])],
        "refused",
        [value("x", 1, [4])],
        [value("y", 7, [1, None])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "refused.onnx")
    errors, size = build(tmp_path / "refused.onnx")
    assert errors or not size
