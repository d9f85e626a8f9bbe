"""The full-size model on a small machine: export time and memory, bundle size, one call with all graphs and in turn.

    python -m bench.full_size [--precision int4] [--folder FOLDER] [--export] [--json FILE]

Writes a random checkpoint of the released shapes (11 GB) and exports it (INT4: 3.3 GB) where they are not there yet;
`--export` exports again. Each row is a process of its own. Peak memory is the process's high-water mark (VmHWM): what
it allocated and what of its files was mapped in. A call is the golden one, Python and its libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.workbench import FOLDER, checkpoint_of, say
from edge.engine import RESIDENT
from policy_spec.bundle import open_bundle

PRESET = "molmoact2-full"
Row = dict[str, Any]

CHILD = """
import json, sys, time
from edge.engine import EngineOptions
from edge.session import Session
from policy_spec.golden import Golden
path, resident = sys.argv[1], sys.argv[2]

def status():
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    return {k: int(lines[k].split()[0]) * 1024 / 1e9 for k in ("VmHWM", "VmRSS", "RssAnon", "RssFile")}  # GB

start = time.perf_counter()
with Session.open(path, engine=EngineOptions(resident=resident)) as session:
    opened = time.perf_counter() - start
    ready = session.ready
    golden = Golden.load(session.bundle.path)
    begun = time.perf_counter()
    made = session.predict(golden.observation, golden.task, golden.seed)
    call = time.perf_counter() - begun
    now = status()
print(json.dumps({"graphs": resident, "open_s": opened, "open_graphs_s": ready.engine_s, "call_s": call,
    "stages_s": made.timings, "peak_gb": now["VmHWM"], "after_gb": now["VmRSS"], "after_anon_gb": now["RssAnon"],
    "after_file_gb": now["RssFile"], "golden": ready.golden.error}))
"""


def export(checkpoint: Path, bundle: Path, precision: str) -> Row:
    """The export in a process of its own: wall time, time of the processor, high-water mark."""
    command = [sys.executable, "-m", "armside", "export", str(checkpoint), str(bundle), "--precision", precision]
    start = time.monotonic()
    process = subprocess.Popen([*command, "--overwrite"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the export failed with status {status}; the same command goes on where it stopped")
    return {
        "what": "export",
        "wall_s": time.monotonic() - start,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_gb": used.ru_maxrss * 1024 / 1e9,
        "said": [line for line in said.splitlines() if line.startswith(("worst layer", "verified"))],
    }


def call(bundle: Path, resident: str) -> Row:
    """One process: opens the bundle, which runs its golden call, and makes one call more."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(bundle), resident], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    row: Row = json.loads(done.stdout)
    return row


def text(result: Row) -> str:
    """The README's tables."""
    made = result.get("export")
    lines = []
    if made:
        lines += [
            "| export | wall | processor time | peak memory | bundle |",
            "|---|---|---|---|---|",
            f"| {result['precision']} | {made['wall_s'] / 60:.0f} min | {made['cpu_s'] / 60:.0f} min | "
            f"{made['peak_gb']:.2f} GB | {result['bundle_gb']:.2f} GB |",
            "",
        ]
    lines += ["| graphs in memory | open | one call | peak memory | after the call |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['graphs']} | {row['open_s']:.0f} s | {row['call_s']:.0f} s | {row['peak_gb']:.2f} GB | "
        f"{row['after_gb']:.2f} GB |"
        for row in result["calls"]
    ]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--precision", default="int4")
    parser.add_argument("--export", action="store_true", help="export again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    args = parser.parse_args()
    checkpoint = checkpoint_of(PRESET, args.folder)
    bundle = checkpoint.with_name(f"{checkpoint.name}-{args.precision}.bundle")
    result: Row = {"precision": args.precision, "cores": len(os.sched_getaffinity(0))}
    if args.export or not (bundle / "manifest.json").is_file():
        say(f"exporting {bundle}")
        result["export"] = export(checkpoint, bundle, args.precision)
    result["bundle_gb"] = open_bundle(bundle).manifest.total_bytes / 1e9
    result["calls"] = []
    for resident in RESIDENT:
        say(f"one call, graphs in memory: {resident}")
        result["calls"].append(call(bundle, resident))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    print(text(result))


if __name__ == "__main__":
    main()
