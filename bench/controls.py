"""What must fail, and does: float16 without islands and INT8 with one grid for a whole activation, beside ours.

    python -m bench.controls [--folder FOLDER] [--json FILE]

On a small checkpoint whose activations reach what the released ones do (image features of 1.7e4 in one channel, which
stay in the residual stream; pooling scores of 8e4). Errors are of the normalised actions and, for INT8, of the
features' other channels, against float32. float16 is emulated, every value rounded: ONNX Runtime's CPU computes much of
a float16 graph in float32.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from bench.precision_rows import one_scheme
from bench.workbench import say
from export.runner import OrtRunner
from policy_spec.compare import cosine, max_abs
from policy_spec.errors import ArmsideError
from policy_spec.graphs import GRAPHS
from quant.apply import apply_plan
from quant.lowfloat import lower
from quant.plan import Plan, make_plan
from quant.rewrite import EMULATED
from quant.statistics import Statistics
from tests.checkpoints import tiny
from tests.quant.planted import CHANNEL, Policy, naive, planted

GROUPS = ("vision.projector", "llm.attention", "llm.ffn")
INT8 = {
    "INT8, one grid per tensor": "int8-w8a8-static",  # the control
    "INT8 per token": "int8-w8a8",
    "INT8 per token, smoothed": "int8-w8a8-smooth",
    "INT8, one grid, smoothed": "int8-w8a8-static-smooth",
}
Result = dict[str, Any]


def without_islands(policy: Policy, folder: Path) -> None:
    """float16 as a converter would do it."""
    folder.mkdir()
    for name in GRAPHS:
        model = ir.load(policy.folder / f"{name}.onnx")
        lower(model.graph, ir.DataType.FLOAT16, naive, emulate=True)
        ir.save(model, folder / f"{name}.onnx", external_data=f"{name}.data")


def by_plan(plan: Plan, stats: Statistics | None = None) -> Callable[[Policy, Path], None]:
    """The graphs of a plan."""

    def make(policy: Policy, folder: Path) -> None:
        apply_plan(policy.folder, folder, plan, lambda *_: None, stats, EMULATED)

    return make


def row(name: str, outlier: str, policy: Policy, make: Callable[[Policy, Path], None]) -> Result:
    """One way to quantize, on one policy."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "graphs"
        make(policy, folder)
        result: Result = {"outlier": outlier, "name": name, "features": lost(policy, folder)}
        try:
            chunk, full = policy.chunk(folder), policy.chunk(policy.folder)
        except ArmsideError as error:
            return result | {"failed": str(error).splitlines()[0]}
    return result | {"cosine": cosine(chunk, full), "max_abs": max_abs(chunk, full)}


def lost(policy: Policy, folder: Path) -> float:
    """Of the features but for the large channel, which would hide them: relative to them."""
    full = np.delete(policy.values("vision", "features")["features"], CHANNEL, axis=1)
    with np.errstate(invalid="ignore"):
        got = np.delete(OrtRunner(folder, 1)("vision", policy.feeds()["vision"])["features"], CHANNEL, axis=1)
        return float(np.linalg.norm(got - full) / np.linalg.norm(full))


def run(folder: Path) -> list[Result]:
    """All rows."""
    checkpoint = tiny(folder / "tiny")
    found = []
    for outlier, features in (("features of 1.7e4", True), ("pooling scores of 8e4", False)):
        say(f"planting {outlier}")
        root = folder / outlier.replace(" ", "-")
        root.mkdir()
        policy = planted(checkpoint, root, features, not features)
        found.append(row("float16 without islands", outlier, policy, without_islands))
        found.append(row("fp16", outlier, policy, by_plan(make_plan("fp16"))))
        found.append(row("bf16", outlier, policy, by_plan(make_plan("bf16"))))
        if features:
            stats = policy.statistics("vision", "llm")
            for name, scheme in INT8.items():
                found.append(row(name, outlier, policy, by_plan(one_scheme(scheme, *GROUPS), stats)))
    return found


def markdown(rows: list[Result]) -> str:
    """The table."""
    lines = ["| outlier | | features' other channels | action cosine | max abs |", "|---|---|---|---|---|"]
    for r in rows:
        actions = f"{r['failed']} | |" if "failed" in r else f"{r['cosine']:.6f} | {r['max_abs']:.2g} |"
        lines.append(f"| {r['outlier']} | {r['name']} | {r['features']:.2%} | {actions}")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep the checkpoints and graphs there (default: nowhere)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = args.folder or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        rows = run(folder)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
