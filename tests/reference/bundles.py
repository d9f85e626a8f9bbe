"""A case through the exported bundles: float32 within the model's tolerances, INT8 and float16 within their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from armside.make_bundle import ExportOptions, export_bundle
from edge.ort_engine import OrtEngine, open_engine
from export.build import GraphOptions
from policy_spec.bundle import open_bundle
from policy_spec.compare import cosine, max_abs
from policy_spec.graphs import GRAPHS, kv_names
from policy_spec.pipeline import Pipeline
from policy_spec.spec import PolicySpec
from quant.apply import apply_plan
from quant.plan import make_plan
from quant.rewrite import EMULATED
from tests.quant.graphs_by_hand import plan_of
from tests.reference.inputs import observation
from tests.reference.model_truth import check_units
from tests.reference.quantities import FP16_ABS, INT8_ABS, Case
from train.model.expert import KV

Arrays = Mapping[str, np.ndarray]
HELD = ("fp32", "int8", "fp16")  # bundles, as a user makes them
# Only reported: float16 and bfloat16 with every value rounded, as ONNX Runtime's CPU does not; INT4 rounded to nearest.
REPORTED = {
    "fp16, emulated": make_plan("fp16"),
    "bf16, emulated": make_plan("bf16"),
    "int4-g32, LLM": plan_of("int4-g32", "llm.attention", "llm.ffn"),
}


def make(checkpoint: Path, folder: Path, cameras: int, longest: int) -> dict[str, OrtEngine]:
    """The bundles of a checkpoint, with room for its cases' cameras and longest prompt."""
    runners = {}
    spec = PolicySpec.from_checkpoint(checkpoint)
    # An export refuses less than the longest empty prompt: another tag's, or the depth style's, may exceed every case.
    longest = max(longest, spec.empty_prompt(spec.tokenizer(checkpoint / "tokenizer.json"), cameras))
    for precision in HELD:
        options = ExportOptions(
            str(checkpoint),
            folder / precision,
            precision=precision,
            graphs=GraphOptions(cameras=cameras, prompt_tokens=longest),
        )
        export_bundle(options, lambda *_: None)
        bundle = open_bundle(folder / precision)
        runners[precision] = open_engine({graph: bundle.graph_path(graph) for graph in GRAPHS})
    for name, plan in REPORTED.items():
        apply_plan(folder / "fp32", folder / name, plan, lambda *_: None, form=EMULATED)
        runners[name] = open_engine({graph: folder / name / f"{graph}.onnx" for graph in GRAPHS})
    return runners


def check(case: Case, runners: Mapping[str, OrtEngine], pipeline: Pipeline, data: Arrays, context: KV) -> None:
    """The whole call by each bundle, from the case's own noise; the float32 stages too."""
    seen, task, dims = observation(data), str(data["task"]), pipeline.tag.action_dim
    kept: dict[str, np.ndarray] = {}

    def keep(graph: str, feeds: Arrays, /) -> Arrays:
        out = runners["fp32"].run(graph, feeds)
        if graph != "flow":
            kept.update(out)
        return out

    expected = data["actions_normalized"][..., :dims]
    got = pipeline.predict(keep, seen, task, noise=data["noise"])
    rows, tokens = len(data["visual_features"]), data["input_ids"].shape[1]
    case.relative("fp32: visual_features", kept["features"][:rows], data["visual_features"])
    names = kv_names(len(context))
    for layer in (0, len(context) - 1):
        k, v = (t.numpy() for t in context[layer])
        k_name, v_name = names[2 * layer : 2 * layer + 2]
        case.relative(f"fp32: {k_name}", kept[k_name][..., :tokens].swapaxes(2, 3), k)
        case.relative(f"fp32: {v_name}", kept[v_name][..., :tokens, :], v)
    case.absolute("fp32: actions_normalized", got.normalized[..., :dims], expected)
    check_units(case, "fp32: actions", pipeline, got.actions, data)
    small = pipeline.predict(runners["int8"].run, seen, task, noise=data["noise"]).normalized[..., :dims]
    case.cosine("int8: cosine", small, expected)
    case.absolute("int8: max abs", small, expected, INT8_ABS)
    half = pipeline.predict(runners["fp16"].run, seen, task, noise=data["noise"]).normalized[..., :dims]
    case.absolute("fp16: max abs", half, expected, FP16_ABS)
    for name in REPORTED:
        got_so = pipeline.predict(runners[name].run, seen, task, noise=data["noise"]).normalized[..., :dims]
        case.report(f"{name}: max abs", max_abs(got_so, expected), f"cosine {cosine(got_so, expected):.6f}")


def sized(pipeline: Pipeline, cameras: int, bracket: int) -> Pipeline:
    """The same policy with the sizes of an export."""
    return replace(pipeline, cameras=cameras, bracket=bracket)
