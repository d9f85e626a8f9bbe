"""What a bundle costs to hold and to start: memory against its size, and time to the first action.

    python -m bench.startup [--preset mid] [--json]

Each row is a process of its own. "hashes remembered" is every start but the first; `--verify` hashes every file
again, as the first start does. Peak memory is the process's high-water mark after ten calls, Python and its
libraries included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench.workbench import FOLDER, bundle_of, checkpoint_of, say

CHILD = """
import json, sys, time
start = time.perf_counter()
from edge.session import Session
from policy_spec.golden import Golden
path, verify = sys.argv[1], sys.argv[2] == "verify"
with Session.open(path, verify=verify) as session:
    golden = Golden.load(session.bundle.path)
    session.predict(golden.observation, golden.task, 0)
    first = time.perf_counter() - start
    for seed in range(9):
        session.predict(golden.observation, golden.task, seed)
    ready = session.ready
    peak = next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]
    now = next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1]
    size = session.bundle.manifest.total_bytes
print(json.dumps({"first_action_s": first, "check_files_s": ready.bundle_s, "open_graphs_s": ready.engine_s,
    "golden_call_s": ready.first_call_s, "peak_mb": int(peak) * 1024 / 1e6, "resident_mb": int(now) * 1024 / 1e6,
    "bundle_mb": size / 1e6}))
"""


def start(bundle: Path, verify: bool) -> dict[str, float]:
    """One process: opens the bundle, predicts ten chunks, and says what that took."""
    command = [sys.executable, "-c", CHILD, str(bundle), "verify" if verify else ""]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="mid")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    checkpoint = checkpoint_of(args.preset, args.folder)
    rows = []
    for precision in ("fp32", "int8"):
        bundle = bundle_of(checkpoint, precision)
        start(bundle, False)  # reads the files into the page cache, and remembers their hashes
        for verify in (False, True):
            say(f"{precision}, {'verify' if verify else 'hashes remembered'}")
            rows.append({"precision": precision, "verify": verify, **start(bundle, verify)})
    print(json.dumps(rows, indent=1) if args.json else text(rows))


def text(rows: list[dict]) -> str:  # type: ignore[type-arg]
    """The README's table."""
    lines = [
        "| bundle | MB | peak memory MB | peak - 1.3 x bundle | start | files s | graphs s | first action s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        over = r["peak_mb"] - 1.3 * r["bundle_mb"]
        how = "--verify" if r["verify"] else "hashes remembered"
        lines.append(
            f"| {r['precision']} | {r['bundle_mb']:.0f} | {r['peak_mb']:.0f} | {over:.0f} | {how} | "
            f"{r['check_files_s']:.2f} | {r['open_graphs_s']:.2f} | {r['first_action_s']:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
