"""`armside demo`: the whole road with a simulated arm, each step by the command that a person would type."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

TASK = "pick up the red cube and put it in the box"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    folder = Path("armside-demo")
    parser.add_argument(
        "--folder", type=Path, default=folder, help=f"where to write it all (default: ./{folder})"
    )
    parser.add_argument("--duration", type=float, default=10.0, metavar="S", help="of the run (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the noise (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Every step in turn; stops at the first that fails."""
    record = next_run(args.folder)
    for command in steps(args.folder, record, args.duration, args.seed):
        print(f"\n$ armside {shlex.join(command)}", flush=True)
        code = call(command)
        if code:
            print(f"armside demo: stopped at `armside {command[0]}`", file=sys.stderr)
            return code
    print(f"\nAll of it is in {args.folder}. The arm's page: {record / 'report.html'}")
    print("The policy is random: it moves the arm without sense. A trained checkpoint takes the same road.")
    return 0


def steps(folder: Path, record: Path, duration: float, seed: int) -> list[list[str]]:
    """The commands, without the leading `armside`."""
    policy, bundles = str(folder / "policy"), [str(folder / f"policy-{p}.bundle") for p in ("fp32", "int8")]
    seeded = ["--seed", str(seed)]
    export = ["--target", "x86-cpu", "--precision"]
    return [
        ["init", policy, "--preset", "tiny", *seeded, "--overwrite"],
        ["export", policy, bundles[0], *export, "fp32", "--overwrite"],
        ["export", policy, bundles[1], *export, "int8", "--overwrite"],
        ["inspect", bundles[1]],
        [
            *("run", bundles[1], "--robot", "so101", "--port", "sim"),
            *("--camera", "cam0=test", "--camera", "cam1=test", "--task", TASK, *seeded),
            *("--duration", f"{duration:g}", "--record", str(record)),
        ],
        ["report", str(record)],
    ]


def next_run(folder: Path) -> Path:
    """A free name for the recording: a demo that is run again keeps the earlier ones."""
    number = 1
    while (folder / f"run-{number}").exists():
        number += 1
    return folder / f"run-{number}"


def call(command: list[str]) -> int:
    """One verb as a process of its own, as a person would start it."""
    process = subprocess.Popen([sys.executable, "-m", "armside", *command])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the verb heard it too; it may still be parking the arm
