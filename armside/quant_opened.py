"""A checkpoint's float32 graphs on the disk and the pipeline that calls them: what samples are run through.

Joins export (graphs), policy_spec (pipelines) and quant (collectors, measurements). Always the graphs of mode
continuous: a mode that generates tokens has the same weights.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from armside.prove_bundle import RESERVE, ROOM, available_memory
from armside.stream_bundle import SPARE_BYTES, float_bytes, lazy_graphs, refuse_no_room
from export import build
from policy_spec.errors import QuantError, sentence
from policy_spec.graphs import Variant
from policy_spec.norm import NormTag
from policy_spec.pipeline import Pipeline

Progress = build.Progress


@dataclass(frozen=True, slots=True, eq=False)
class Float:
    """A folder of float32 graphs and who calls them."""

    folder: Path
    pipeline: Pipeline
    models: dict[str, ir.Model]  # without weights in memory


def continuous(job: build.Job) -> build.Job:
    """The same checkpoint in mode continuous."""
    return replace(job, sizes=replace(job.sizes, variant=Variant()))


def fits(models: dict[str, ir.Model]) -> bool:
    """Whether the float graphs can be run whole in the memory that is left."""
    return ROOM * float_bytes(models) + RESERVE < available_memory()


def write_float(job: build.Job, folder: Path, tag: NormTag, progress: Progress) -> Float:
    """The graphs in `folder`; those that are there whole are taken as they are. Raises BundleError (no room)."""
    job = continuous(job)
    done = folder / "done"
    if not done.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        models = lazy_graphs(job)
        refuse_no_room(folder, float_bytes(models) + SPARE_BYTES, "the float32 graphs")
        build.write_facts(job, folder)
        build.write_models(models, folder, "write float32", progress)
        done.touch()
    models = {name: ir.load(folder / f"{name}.onnx") for name in job.sizes.variant.graphs}
    return Float(folder, pipeline(job, folder, tag), models)


def pipeline(job: build.Job, facts: Path, tag: NormTag) -> Pipeline:
    """Of mode continuous. facts: a folder with tokenizer.json."""
    return Pipeline(
        job.spec,
        job.spec.tokenizer(facts / "tokenizer.json"),
        tag,
        cameras=job.sizes.cameras,
        bracket=job.sizes.bracket,
        horizon=job.sizes.horizon,
        image_attention=job.image_attention,
        allow_fewer_cameras=True,
    )


def refuse_large(models: dict[str, ir.Model]) -> None:
    """Raises QuantError where the float graphs do not fit in memory."""
    if not fits(models):
        need = ROOM * float_bytes(models) + RESERVE
        raise QuantError(
            sentence(
                "measuring sensitivity runs the float32 graphs whole",
                expected=f"{need / 1e9:.1f} GB of free memory",
                got=f"{available_memory() / 1e9:.1f} GB",
                do="measure on a larger computer: the JSON serves for exports everywhere",
            )
        )
