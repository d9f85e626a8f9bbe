"""checkpoint -> a bundle's graphs, through the plan, a layer's weights in memory at a time; room on the disk first.

Joins export (lazy graphs, the stream to the disk) and quant (the plan's rewrites). A file that an interrupted export
finished is not written again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx_ir as ir

from export import build
from export.journal import Journal
from export.stream import pieces
from export.trt_lint import Place, refuse
from policy_spec.errors import BundleError, sentence
from quant.apply import GroupAccount, count_groups
from quant.plan import Plan
from quant.precisions import BF16
from quant.rewrite import EMULATED, ORT, quantize_model
from quant.statistics import Statistics

Progress = Callable[[str, int, int], None]  # (stage, done, total)
SPARE_BYTES = 100_000_000  # beside the weights: graphs, what verification keeps, room for the system


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """What `write_bundle` wrote."""

    files: Mapping[str, list[str]]  # of each graph, its files of weights
    opsets: Mapping[str, int]  # of each graph: a scheme may need a newer one
    accounts: list[GroupAccount]


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """How the weights are stored, and which TensorRT is to take them."""

    plan: Plan
    stats: Statistics | None = None
    form: str = ORT
    place: Place = field(default_factory=Place)  # nowhere: other engines are not asked


def float_bytes(models: Mapping[str, ir.Model]) -> int:
    """Of all weights as they are now."""
    values = (value for model in models.values() for value in model.graph.initializers.values())
    return sum(value.const_value.nbytes for value in values if value.const_value is not None)


def lazy_graphs(job: build.Job) -> dict[str, ir.Model]:
    """The float32 graphs of a job by name; no large weight is read."""
    return {name: make() for name, make in build.graph_makers(job.checkpoint, job.spec, job.sizes).items()}


def write_bundle(
    models: dict[str, ir.Model], recipe: Recipe, folder: Path, journal: Journal, progress: Progress
) -> Written:
    """Quantizes and writes. The models are used up. Raises QuantError (the plan), ExportError (what TensorRT cannot
    take), BundleError (no room), OSError.
    """
    for name, model in models.items():
        progress("plan the graphs", list(models).index(name), len(models))
        quantize_model(model, recipe.plan, recipe.stats, recipe.form)
    refuse(models, recipe.place)
    _refuse_small_disk(folder, models)
    accounts = account_for(models, recipe.plan)
    opsets = {name: model.graph.opset_imports[""] for name, model in models.items()}
    return Written(build.write_models(models, folder, "write weights", progress, journal), opsets, accounts)


def write_twin(
    job: build.Job, recipe: Recipe, folder: Path, journal: Journal, progress: Progress
) -> tuple[Path, tuple[str, ...]] | None:
    """Where ONNX Runtime's CPU lacks the plan's float type: graphs that compute in float32 and round every value to it,
    and what a person should know of that. None where the bundle itself runs here.
    """
    if all(recipe.plan.base(graph) != BF16 for graph in job.sizes.variant.graphs):
        return None
    build.write_facts(job, folder)
    write_bundle(lazy_graphs(job), replace(recipe, form=EMULATED, place=Place()), folder, journal, progress)
    return folder, (f"no processor runs {BF16}: verified in float32 with every value rounded to {BF16}",)


def account_for(models: Mapping[str, ir.Model], plan: Plan) -> list[GroupAccount]:
    """What became of every tensor group."""
    tally: dict[str, list[int]] = {choice.group: [0, 0] for choice in plan.choices}
    for model in models.values():
        count_groups(model, plan, tally)
    return [
        GroupAccount(choice.group, choice.scheme, choice.reason, *tally[choice.group])
        for choice in plan.choices
        if tally[choice.group][0]
    ]


def refuse_no_room(folder: Path, need: int, what: str) -> None:
    """Raises BundleError where the disk has less than `need` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise BundleError(
            sentence(
                f"not enough room under {folder.parent} for {what}",
                expected=f"{need / 1e9:.2f} GB free",
                got=f"{free / 1e9:.2f} GB",
                do="free some room, choose another disk, or a precision that takes less (armside plan)",
            )
        )


def _refuse_small_disk(folder: Path, models: Mapping[str, ir.Model]) -> None:
    parts = [piece for model in models.values() for piece in pieces(model)]
    missing = sum(p.nbytes for p in parts if not _is_there(folder / p.file, p.nbytes))
    refuse_no_room(folder, missing + SPARE_BYTES, "the bundle")


def _is_there(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size
