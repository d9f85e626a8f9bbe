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

from armside.fast_files import copy_fast, fast_files
from armside.prove_bundle import Built, prove_bundle
from armside.variant_words import notes_on, variant_words
from export import build, hub
from export.emit import OPSET
from policy_spec.arms import arms_of
from policy_spec.bundle import BundleWriter
from policy_spec.compare import Row, table
from policy_spec.graphs import graph_specs
from policy_spec.manifest import GraphFile, Manifest, PlanEntry, Source
from quant.apply import GroupAccount, apply_plan
from quant.plan import make_plan
from quant.targets import check_target

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
    fast_tokenizer: Path | None = None  # a folder; mode discrete needs one, the others take none


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
    fast = fast_files(options)
    progress("find checkpoint", 0, 1)
    resolved = hub.resolve_checkpoint(options.checkpoint, revision=options.revision)
    with BundleWriter(options.bundle, overwrite=options.overwrite) as out:
        copy_fast(fast, resolved.path, out.directory)
        full = out.directory / "float32"
        built = build.build_graphs(resolved.path, full, options.graphs, progress)
        accounts = apply_plan(full, out.directory, plan, progress)
        for name in ("spec.json", "tokenizer.json"):
            shutil.copyfile(full / name, out.directory / name)
        golden, rows = prove_bundle(out.directory, built, options.precision, progress)
        shutil.rmtree(full)
        golden.save(out.directory)
        manifest = make_manifest(options, Source(resolved.source, resolved.revision), built, accounts, rows)
        notes = notes_on(built.spec, manifest, golden, out.directory)
        write_reports(out.directory, manifest, notes)
        progress("hash and flush", 0, 1)
        manifest = out.commit(manifest)
    return ExportResult(options.bundle, manifest, time.monotonic() - start, notes)


def make_manifest(
    options: ExportOptions, source: Source, built: Built, accounts: list[GroupAccount], rows: list[Row]
) -> Manifest:
    """Everything but the hashes, which the writer adds."""
    sizes = built.sizes
    variant = sizes.variant
    specs = graph_specs(built.spec, sizes.cameras, sizes.bracket, sizes.horizon, variant)
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
        mode=variant.mode,
        head=variant.head,
        new_tokens=variant.new_tokens,
        arm=arms_of(built.spec.tags),
        plan=tuple(PlanEntry(a.group, a.tensors, a.scheme, a.reason, a.bytes) for a in accounts),
        parity=tuple(rows),
    )


def write_reports(folder: Path, manifest: Manifest, notes: tuple[str, ...]) -> None:
    """parity.json for programs, report.md for people."""
    (folder / "parity.json").write_text(json.dumps([r.to_json() for r in manifest.parity], indent=1) + "\n")
    lines = [
        f"# {manifest.source.name}",
        "",
        f"Target {manifest.target}, precision {manifest.precision}, {manifest.cameras} cameras, prompt bracket "
        f"{manifest.bracket} tokens, horizon {manifest.horizon} steps, image attention {manifest.image_attention}.",
        "",
        f"Mode {'; '.join(variant_words(manifest))}.",
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
