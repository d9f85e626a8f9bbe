"""`armside inspect BUNDLE`: its spec, graphs, precision plan with reasons, parity, sizes and hashes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from policy_spec.bundle import Bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="the folder that armside export wrote")
    parser.add_argument("--verify", action="store_true", help="hash every file again, trusting no earlier check")
    parser.add_argument("--json", action="store_true", help="for programs: manifest and spec")


def run(args: argparse.Namespace) -> int:
    """Opens the bundle, which checks it, and prints it."""
    from policy_spec.bundle import open_bundle

    bundle = open_bundle(args.bundle, verify=args.verify)
    if args.json:
        both = {"manifest": json.loads(bundle.manifest.to_json()), "spec": json.loads(bundle.spec.to_json())}
        print(json.dumps(both, indent=1))
        return 0
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    for table in (facts(bundle), tags(bundle), graphs(bundle), plan(bundle), parity(bundle), files(bundle)):
        console.print(table)
        console.print()
    return 0


def _table(title: str, *columns: str) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    """A row whose brackets are text: rich would take them for styles."""
    from rich.markup import escape

    table.add_row(*(escape(cell) for cell in cells))


def facts(bundle: Bundle) -> Table:
    """What it is and where it came from."""
    from armside.say import size
    from armside.variant_words import variant_words

    m, s = bundle.manifest, bundle.spec
    table = _table(str(bundle.path), "", "")
    for name, value in (
        ("source", m.source.name + (f" at {m.source.revision}" if m.source.revision else "")),
        ("target, precision", f"{m.target}, {m.precision}"),
        ("size", size(m.total_bytes)),
        ("arms", ", ".join(m.arm) or "it does not say"),
        (
            "pictures",
            f"{m.cameras} of {s.image_size[0]} x {s.image_size[1]}, image attention {m.image_attention}",
        ),
        ("prompt", f"{m.bracket} tokens, {s.vocab_size} in the vocabulary"),
        (
            "model",
            f"{s.layers} layers, hidden {s.hidden_size}, expert {s.expert_heads} x {s.expert_head_dim}",
        ),
        (
            "actions",
            f"{m.horizon} steps, {s.flow_steps} flow steps, mode {s.action_mode}, norm {s.norm_mode}",
        ),
        *(("mode" if not line else "", words) for line, words in enumerate(variant_words(m))),
        ("written by", f"armside {m.armside_version}, bundle format {m.format}"),
    ):
        _row(table, name, value)
    return table


def tags(bundle: Bundle) -> Table:
    """The norm tags: `armside run --norm-tag` takes one of them."""
    table = _table("norm tags", "tag", "setup", "control", "camera slots", "dims", "steps")
    for name, tag in bundle.spec.tags.items():
        slots = ", ".join(tag.camera_slots)
        _row(table, name, tag.setup_type, tag.control_mode, slots, str(tag.action_dim), str(tag.horizon))
    return table


def graphs(bundle: Bundle) -> Table:
    """Each graph with its tensors; the K and V of the layers are one line."""
    table = _table("graphs", "graph", "file", "opset", "inputs", "outputs")
    for name, graph in bundle.manifest.graphs.items():
        sides = (graph.graph.inputs, graph.graph.outputs)
        _row(table, name, graph.file, str(graph.opset), *("\n".join(_tensors(side)) for side in sides))
    return table


def _tensors(side: tuple) -> list[str]:
    """`name dtype [shape]`; of the K and the V of all layers the first and the count, `any` for a run's own choice."""
    from policy_spec.graphs import DYNAMIC, NEXT

    lines = []
    for tensor in side:
        end = NEXT if tensor.name.endswith(NEXT) else ""
        kind, _, number = tensor.name.removesuffix(end).rpartition("_")
        layered = kind in ("k", "v", "cache_k", "cache_v") and number.isdigit()
        if layered and int(number):
            continue
        count = sum(other.name.startswith(f"{kind}_") for other in side) if layered else 1
        name = f"{kind}_00..{count - 1:02d}{end}" if count > 1 else tensor.name
        shape = ", ".join("any" if length == DYNAMIC else str(length) for length in tensor.shape)
        lines.append(f"{name} {tensor.dtype} [{shape}]")
    return lines


def plan(bundle: Bundle) -> Table:
    """The precision of each tensor group and why."""
    from armside.say import size

    table = _table("precision plan", "group", "scheme", "tensors", "size", "why")
    for entry in bundle.manifest.plan:
        _row(table, entry.group, entry.scheme, str(entry.tensors), size(entry.bytes), entry.reason)
    return table


def parity(bundle: Bundle) -> Table:
    """What was compared with full precision when it was exported."""
    table = _table("parity at export", "quantity", "measured", "allowed", "ok", "where")
    for row in bundle.manifest.parity:
        sign = "at least" if row.at_least else "at most"
        ok = "yes" if row.ok else "NO"
        _row(table, row.name, f"{row.error:.6g}", f"{sign} {row.tolerance:g}", ok, row.detail)
    return table


def files(bundle: Bundle) -> Table:
    """Every file, its size and its hash; opening has just checked them."""
    from armside.say import size

    table = _table("files", "file", "size", "sha256")
    for name, entry in bundle.manifest.files.items():
        _row(table, name, size(entry.bytes), entry.sha256)
    return table
