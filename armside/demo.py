"""`armside demo`: the whole road with a simulated arm, each step by the command that a person would type.

With the trained policy of the repository (checkpoints/) and a machine that can draw, the arm does what it is told: a
few errands, filmed, and a run in real time at a simulated table. Without one of them a policy with random weights takes
the same road, and the demo says what was missing.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

TASK = "pick up the red cube and put it in the box"
RANDOM = "random"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    folder = Path("armside-demo")
    parser.add_argument("--folder", type=Path, default=folder, help=f"where to write it all (default: ./{folder})")
    parser.add_argument("--duration", type=float, default=10.0, metavar="S", help="of the run (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes, the noise, random weights (default: 0)")
    parser.add_argument(
        "--policy",
        metavar="FOLDER",
        help=f"a trained checkpoint for the simulated SO-101; {RANDOM}: random weights (default: the repository's)",
    )
    parser.add_argument("--task", default="all", help="what a trained policy is told: reach, push, pick (default: all)")
    parser.add_argument("--episodes", type=int, default=2, metavar="N", help="of each task, filmed (default: 2)")


def run(args: argparse.Namespace) -> int:
    """Every step in turn; stops at the first that fails."""
    from armside.demo_policy import choose

    policy, why = choose(args.policy)
    if policy is not None:
        from armside.demo_trained import run_trained

        return run_trained(args, policy)
    print(why)
    return run_random(args)


def run_random(args: argparse.Namespace) -> int:
    """The road with random weights."""
    record = next_free(args.folder, "run")
    code = do(steps(args.folder, record, args.duration, args.seed))
    if code:
        return code
    print(f"\nAll of it is in {args.folder}. The arm's page: {record / 'report.html'}")
    print("The policy is random: it moves the arm without sense. A trained checkpoint takes the same road.")
    return 0


def do(commands: list[list[str]]) -> int:
    """Commands in turn, each shown as it would be typed; the code of the first that fails."""
    for command in commands:
        print(f"\n$ armside {shlex.join(command)}", flush=True)
        code = call(command)
        if code:
            print(f"armside demo: stopped at `armside {command[0]}`", file=sys.stderr)
            return code
    return 0


def steps(folder: Path, record: Path, duration: float, seed: int) -> list[list[str]]:
    """The commands with random weights, without the leading `armside`."""
    policy, small = str(folder / "policy"), bundles(folder)[1]
    seeded = ["--seed", str(seed)]
    return [
        ["init", policy, "--preset", "tiny", *seeded, "--overwrite"],
        *exports(policy, folder),
        ["inspect", small],
        [
            *("run", small, "--robot", "so101", "--port", "sim"),
            *("--camera", "cam0=test", "--camera", "cam1=test", "--task", TASK, *seeded),
            *("--duration", f"{duration:g}", "--record", str(record)),
        ],
        ["report", str(record)],
    ]


def bundles(folder: Path) -> tuple[str, str]:
    """In float32 and INT8."""
    return str(folder / "policy-fp32.bundle"), str(folder / "policy-int8.bundle")


def exports(policy: str, folder: Path) -> list[list[str]]:
    """The commands that make both."""
    words = ["--target", "x86-cpu", "--overwrite", "--precision"]
    return [
        ["export", policy, path, *words, precision]
        for path, precision in zip(bundles(folder), ("fp32", "int8"), strict=True)
    ]


def next_free(folder: Path, name: str) -> Path:
    """NAME-1, NAME-2, ...: a demo that is run again keeps what earlier ones left."""
    number = 1
    while (folder / f"{name}-{number}").exists():
        number += 1
    return folder / f"{name}-{number}"


def call(command: list[str]) -> int:
    """One verb as a process of its own, as a person would start it."""
    process = subprocess.Popen([sys.executable, "-m", "armside", *command])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the verb heard it too; it may still be parking the arm
