"""checkpoint -> bundle: the road through export and quant, checked at each door, written whole or not at all.

Joins what may not know each other: export (float32 graphs that agree with the model), quant (a plan's schemes) and
the bundle.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from export import build, hub
from export.emit import OPSET
from export.runner import OrtRunner
from export.verify import Answer, answer, refuse_short
from policy_spec.arms import arms_of
from policy_spec.bundle import BundleWriter
from policy_spec.compare import Row, table
from policy_spec.golden import Golden
from policy_spec.graphs import graph_specs
from policy_spec.manifest import GraphFile, Manifest, PlanEntry, Source
from policy_spec.spec import PolicySpec
from quant.apply import GroupAccount, apply_plan
from quant.plan import make_plan
from quant.targets import check_target
from quant.verify import action_rows

Progress = Callable[[str, int, int], None]  # (stage, done, total)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What `armside export` was asked for."""

    checkpoint: str  # a directory or a hub id
    bundle: Path
    target: str = "x86-cpu"
    precision: str = "int8"
    revision: str | None = None
    graphs: build.GraphOptions = field(default_factory=build.GraphOptions)
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written."""

    path: Path
    manifest: Manifest
    seconds: float
    notes: tuple[str, ...]  # what a person should know of it beside the numbers


def export_bundle(options: ExportOptions, progress: Progress) -> ExportResult:
    """Makes the bundle. Raises ArmsideError; whatever is raised, no half bundle stays."""
    start = time.monotonic()
    check_target(options.target, options.precision)
    plan = make_plan(options.precision)
    progress("find checkpoint", 0, 1)
    resolved = hub.resolve_checkpoint(options.checkpoint, revision=options.revision)
    with BundleWriter(options.bundle, overwrite=options.overwrite) as out:
        full = out.directory / "float32"
        built = build.build_graphs(resolved.path, full, options.graphs, progress)
        accounts = apply_plan(full, out.directory, plan, progress)
        for name in ("spec.json", "tokenizer.json"):
            shutil.copyfile(full / name, out.directory / name)
        own, rows = verify_bundle(out.directory, built, options.precision, progress)
        shutil.rmtree(full)
        golden_of(built, own).save(out.directory)
        manifest = make_manifest(options, Source(resolved.source, resolved.revision), built, accounts, rows)
        notes = notes_on(built.spec)
        write_reports(out.directory, manifest, notes)
        progress("hash and flush", 0, 1)
        manifest = out.commit(manifest)
    return ExportResult(options.bundle, manifest, time.monotonic() - start, notes)


def verify_bundle(folder: Path, built: build.Built, precision: str, progress: Progress) -> tuple[Answer, list[Row]]:
    """The written graphs' own answer to the golden observation, and the whole parity table. Raises ExportError."""
    progress("verify the bundle", 0, 1)
    reference = built.reference
    own = answer(OrtRunner(folder), built.pipeline, reference.observation, reference.task, reference.seed)
    rows = action_rows(own.prediction, reference.prediction, built.pipeline.tag.action_dim, precision)
    refuse_short(rows, f"the {precision} graphs lose too much against full precision")
    named = [Row(f"{precision} {r.name}", r.error, r.tolerance, r.detail, r.at_least) for r in rows]
    return own, [*built.rows, *named]


def golden_of(built: build.Built, own: Answer) -> Golden:
    """What a session reproduces: the bundle's own answer, and a few stage values for boards that check graph by
    graph.
    """
    last = f"{built.spec.layers - 1:02d}"
    return Golden(
        tag=built.pipeline.tag.tag,
        task=own.task,
        seed=own.seed,
        images=own.observation.images,
        state=own.observation.state,
        actions=own.prediction.actions,
        normalized=own.prediction.normalized,
        reference_actions=built.reference.prediction.actions,
        reference_normalized=built.reference.prediction.normalized,
        stages={name: own.stages[name] for name in ("features", "k_00", "v_00", f"k_{last}", f"v_{last}")},
    )


def make_manifest(
    options: ExportOptions, source: Source, built: build.Built, accounts: list[GroupAccount], rows: list[Row]
) -> Manifest:
    """Everything but the hashes, which the writer adds."""
    sizes = built.sizes
    specs = graph_specs(built.spec, sizes.cameras, sizes.bracket, sizes.horizon)
    return Manifest(
        target=options.target,
        precision=options.precision,
        source=source,
        tags=tuple(built.spec.tags),
        cameras=sizes.cameras,
        bracket=sizes.bracket,
        horizon=sizes.horizon,
        image_attention=options.graphs.image_attention,
        graphs={name: GraphFile(spec, f"{name}.onnx", OPSET, data=f"{name}.onnx.data") for name, spec in specs.items()},
        arm=arms_of(built.spec.tags),
        plan=tuple(PlanEntry(a.group, a.tensors, a.scheme, a.reason, a.bytes) for a in accounts),
        parity=tuple(rows),
    )


def notes_on(spec: PolicySpec) -> tuple[str, ...]:
    """What the bundle leaves out of the checkpoint."""
    if not spec.depth:
        return ()
    return ("this checkpoint can predict a depth map before it acts; the bundle acts without one",)


def write_reports(folder: Path, manifest: Manifest, notes: tuple[str, ...]) -> None:
    """parity.json for programs, report.md for people."""
    (folder / "parity.json").write_text(json.dumps([r.to_json() for r in manifest.parity], indent=1) + "\n")
    lines = [
        f"# {manifest.source.name}",
        "",
        f"Target {manifest.target}, precision {manifest.precision}, {manifest.cameras} cameras, prompt bracket "
        f"{manifest.bracket} tokens, horizon {manifest.horizon} steps, image attention {manifest.image_attention}.",
        *(f"\nNote: {note}." for note in notes),
        "",
        "## Precision plan",
        "",
        "| group | scheme | tensors | MB | why |",
        "|---|---|---|---|---|",
        *(f"| {e.group} | {e.scheme} | {e.tensors} | {e.bytes / 1e6:.2f} | {e.reason} |" for e in manifest.plan),
        "",
        "## Parity",
        "",
        "Graphs against the reference model, then the bundle's own chunk against full precision: the golden case.",
        "",
        "```",
        table(manifest.parity),
        "```",
        "",
    ]
    (folder / "report.md").write_text("\n".join(lines), encoding="utf-8")
