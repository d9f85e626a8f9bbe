"""What TensorRT cannot take fails an export: every row has a graph that breaks it, and every exported graph passes."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from export.build import GraphOptions
from export.emit import OPERATORS as WRITTEN
from export.shape_only import ShapeOnly, empty_graphs, sizes_of
from export.trt_lint import Place, lint, refuse, told
from export.trt_operators import NOT_TAKEN, TAKEN
from export.trt_rules import RULES, WRONG
from policy_spec.errors import ExportError
from quant.count import count_graph
from quant.fit import fitted
from quant.plan import make_plan
from quant.precisions import AWQ, GPTQ, PRECISIONS
from quant.rewrite import OPERATORS, ORT, QDQ, quantize_model
from quant.targets import TARGETS
from tests.export.trt_cases import CASES, RAGGED, attention, one, quantized
from tests.quant.graphs_by_hand import mlp, plan_of
from train.init_checkpoint import InitOptions, plan

ORIN, OLD = Place(("10.3", "10.16.2"), "8.7"), Place(("10.3", "10.16.2"), "7.5")
TENSORRT = [row for row in TARGETS.values() if row.engine == "tensorrt"]
FITTED = {name for name, row in PRECISIONS.items() if {AWQ, GPTQ} & {scheme for scheme, _ in row.groups.values()}}


def names(model: ir.Model, place: Place = OLD) -> set[str]:
    return {finding.rule.name for finding in lint({"graph": model}, place)}


def test_every_row_has_its_case() -> None:
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_row_finds_what_breaks_it_and_nothing_beside_it(name: str) -> None:
    breaks, holds = CASES[name]
    assert name in names(breaks())
    assert names(holds()) == set()


@pytest.mark.parametrize("name", RAGGED)
def test_other_ragged_blocks(name: str) -> None:
    assert names(RAGGED[name]()) == {"blocks"}


def test_scales_that_are_not_positive() -> None:
    assert names(quantized(np.array(0, np.float32), np.array(0))) == {"scale"}


def test_a_fused_projection_alone_is_taken() -> None:
    """What is computed wrong is the scale on the key, and norms by head: each alone is enough, neither is fine."""
    assert names(attention("q", fused=True)) == set()
    assert names(attention("", fused=True)) == set()
    assert names(attention("k")) == {"scaled key"}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_operators_that_are_not_taken_say_what_to_write(name: str) -> None:
    found = [finding for finding in lint({"graph": one(name)}, ORIN) if finding.rule.name == "operator"]
    old = [finding for finding in found if finding.version == "10.3"]
    assert NOT_TAKEN[name].do in old[0].got and name in old[0].where
    assert bool(NOT_TAKEN[name].since) == (len(old) == len(found))  # known to 10.16 where a version is named


def test_what_graphs_are_written_in_is_taken() -> None:
    assert WRITTEN | OPERATORS[QDQ] == TAKEN
    assert not TAKEN & NOT_TAKEN.keys()


def test_rows_hold_for_the_versions_and_gpus_that_they_name() -> None:
    large = CASES["large"][0]()
    assert names(large, Place(("10.3",))) == {"large"} and not names(large, Place(("10.16",)))
    brain = CASES["bf16"][0]()
    assert names(brain) == {"bf16"} and not names(brain, ORIN)
    newer = one("RMSNormalization")
    assert "operator" in names(newer, Place(("10.3",))) and not names(newer, Place(("10.16.2",)))
    assert not names(CASES["operator"][0](), Place(()))  # a target without TensorRT


def test_a_refusal_names_graph_node_rule_version_and_what_to_do() -> None:
    with pytest.raises(ExportError) as refused:
        refuse({"graph": CASES["scaled key"][0]()}, ORIN)
    text = str(refused.value)
    assert re.search(r"TensorRT 10\.3, graph graph, Mul it: computed wrong \(scaled key\)", text)
    assert "multiply the query" in text and "docs/sources.md#trt103" in text
    assert RULES["scaled key"].kind == WRONG


def test_sources_are_in_the_docs() -> None:
    text = Path("docs/sources.md").read_text(encoding="utf-8")
    sources = {rule.source for rule in RULES.values()} | {row.source for row in NOT_TAKEN.values()}
    assert not [name for name in sources if f'<a id="{name}"></a>' not in text]


def rows() -> list[str]:
    """The table of docs/tensorrt.md."""
    made = []
    for rule in RULES.values():
        bounds = [f"from {rule.since}" if rule.since else "", f"until {rule.fixed}" if rule.fixed else ""]
        bounds.append(f"GPUs below {rule.below}" if rule.below else "")
        held = ", ".join(word for word in bounds if word) or "all"
        source = f"[{rule.source}](sources.md#{rule.source})"
        made.append(f"| {rule.name} | {rule.kind} | {held} | {rule.why} | {rule.do} | {source} |")
    return made


def test_the_page_shows_the_table() -> None:
    text = Path("docs/tensorrt.md").read_text(encoding="utf-8")
    assert not [row for row in rows() if row not in text]


@cache
def facts(folder: Path, preset: str, mode: str) -> Path:
    """A checkpoint without its numbers."""
    files = plan(InitOptions(folder, preset, "so101", 0, False, mode == "think"))[0]
    path = folder / f"{preset}-{mode}"
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text if isinstance(text, str) else json.dumps(text))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("facts")


def graphs(folder: Path, preset: str, mode: str) -> dict[str, ir.Model]:
    checkpoint = ShapeOnly(facts(folder, preset, mode))
    spec, sizes = sizes_of(checkpoint, GraphOptions(mode=mode))
    return empty_graphs(checkpoint, spec, sizes)


CHEAP = [name for name in PRECISIONS if name not in FITTED]  # the others are written as int4 is, from samples
WRITTEN_AS = [("sim", mode, name) for mode in ("continuous", "think", "discrete") for name in CHEAP]
WHOLE = [("molmoact2-full", "continuous", "int4"), ("molmoact2-full", "think", "int8")]


@pytest.mark.parametrize("preset,mode,precision", [*WRITTEN_AS, *WHOLE])
def test_exported_graphs_pass(folder: Path, preset: str, mode: str, precision: str) -> None:
    """True shapes, no weights: of small presets every mode and precision, of the released size two."""
    models = graphs(folder, preset, mode)
    small = [] if preset == "molmoact2-full" else models.values()  # its sides are multiples of every group
    counted = [count_graph(model, {"K": 1, "M": 1}) for model in small]
    for model in models.values():
        quantize_model(model, fitted(make_plan(precision, "fp16"), counted), form=QDQ)
    for target in TENSORRT:
        found = lint(models, Place(tuple(row.tensorrt for row in target.software), target.capability))
        assert not found, told(found)


def test_the_other_form_does_not_pass(folder: Path) -> None:
    """The control: what ONNX Runtime alone takes is found."""
    model = mlp()
    quantize_model(model, plan_of("int4-g32", "llm.ffn"), form=ORT)
    assert {"domain"} <= names(model)
