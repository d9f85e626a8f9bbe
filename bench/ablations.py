"""Ablations of the recipe in miniature, by one command: short trainings alike but for one choice, played closed loop.

    python -m bench.ablations --out FOLDER [--steps 800] [--episodes 200] [--jobs 1]

Teaches a new checkpoint to see (or takes `--start`), records demonstrations of reach (or takes `--data`), trains every
variant by `armside train` from there, from the same seed, on the same rows, for as many steps, and lets them play the
same held-out scenes by `armside eval` (each checkpoint by the reference model, because two of them have no graphs).
K = 1 against K = 8 noise samples a chunk; per-layer K and V against the last hidden state. Started again it goes on
where it was stopped, down to the step and the episode.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.ablations_page import page
from bench.workbench import say

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "configs" / "so101-reach.toml"
FIRST_SEED = 100_000  # of the demonstrations, as that file says
SCENES = 5000  # to learn seeing from, and for how long
SEEING = ("--steps", "1500", "--find-steps", "1500")


@dataclass(frozen=True, slots=True)
class Variant:
    """One training."""

    said: str  # in the table
    conditioning: str = "per_layer"
    noise_samples: int = 8


# The first is what the others are compared with.
VARIANTS = {
    "k8": Variant("per-layer K/V, K = 8 (the recipe)"),
    "k1": Variant("K = 1", noise_samples=1),
    "hidden-state": Variant("last hidden state", conditioning="hidden_state"),
    "per-head": Variant("per-head K/V", conditioning="per_head"),
}
USUAL = "k8,k1,hidden-state"


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    out: Path
    data: Path  # of the demonstrations
    record: int  # demonstrations to record; 0: the dataset is somebody's
    steps: int
    batch: int
    episodes: int
    seed: int
    jobs: int
    threads: int
    variants: tuple[str, ...]
    config: Path  # what all trainings have in common
    start: Path | None  # a checkpoint that all begin with; None: one is taught to see

    @property
    def begin(self) -> Path:
        """The checkpoint that all trainings begin with."""
        return self.start or self.out / "seeing"

    def run(self, name: str) -> Path:
        """The folder of a training."""
        return self.out / "runs" / name

    def policy(self, name: str) -> Path:
        """The checkpoint under its variant's name, which is what an evaluation's table calls it."""
        return self.out / "policies" / name


def commands(order: Order) -> list[list[str]]:
    """What is done, in turn, without the leading `armside`."""
    jobs = ["--jobs", str(order.jobs)]
    stats, found = str(order.out / "norm_stats.json"), list[list[str]]()
    threads = ["--threads", str(order.threads)] if order.threads else []
    if order.start is None and not order.begin.exists():
        found.append(["sim", "points", str(order.out / "points"), "--scenes", str(SCENES), *jobs])
        found.append(["see", str(order.out / "points" / "points.jsonl"), str(order.begin), *SEEING, *threads])
    if order.record:
        seeded = ["--episodes", str(order.record), "--seed", str(FIRST_SEED)]
        found.append(["sim", "record", str(order.data), "--task", "reach", *seeded, *jobs])
    words = ["--tag", "so101_sim", "--horizon", "8", "--camera", "front", "--camera", "wrist", "--overwrite"]
    found.append(["data", "stats", str(order.data), "-o", stats, *words])
    found += [training(order, name) for name in order.variants]
    played = ["--episodes", str(order.episodes), "--out", str(order.out / "eval"), *jobs]
    policies = [str(order.policy(name)) for name in order.variants]
    return [*found, ["eval", *policies, "--task", "reach", "--seed", "0", *played, *threads]]


def training(order: Order, name: str) -> list[str]:
    """The training of a variant, or what is left of it."""
    variant, run = VARIANTS[name], order.run(name)
    settings = {
        "start.norm_stats": order.out / "norm_stats.json",
        "start.checkpoint": order.begin,
        "start.preset": "",
        "start.conditioning": variant.conditioning,
        "data.cache": order.out / "cache",
        "data.datasets.0.path": order.data,
        "stages.0.steps": order.steps,
        "stages.0.batch": order.batch,
        "stages.0.noise_samples": variant.noise_samples,
        "run.out": run,
        "run.seed": order.seed,
        "run.threads": order.threads,
        "run.keep": 1,
    }
    said = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return ["train", str(order.config), *said, *(["--resume"] if (run / "config.toml").exists() else [])]


def call(command: Sequence[str]) -> int:
    """One verb as a process of its own; it hears Ctrl-C as well, and saves."""
    process = subprocess.Popen([sys.executable, "-m", "armside", *command])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def name_policies(order: Order) -> None:
    """policies/NAME -> runs/NAME/final."""
    for name in order.variants:
        link = order.policy(name)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(Path("..") / "runs" / name / "final")


def parse(words: Sequence[str] | None = None) -> Order:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="goes on where it was stopped")
    parser.add_argument("--data", type=Path, metavar="DATASET", help="demonstrations; left out, they are recorded")
    parser.add_argument("--demonstrations", type=int, default=700, metavar="N", help="to record (default: 700)")
    parser.add_argument("--steps", type=int, default=800, metavar="N", help="of each training (default: 800)")
    parser.add_argument("--batch", type=int, default=32, metavar="N", help="rows of a step (default: 32)")
    parser.add_argument("--episodes", type=int, default=200, metavar="N", help="that each plays (default: 200)")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="of the trainings (default: 7)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that record and play (default: 1)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of torch (default: its own choice)")
    parser.add_argument(
        "--config", type=Path, default=CONFIG, metavar="FILE", help="(default: configs/so101-reach.toml)"
    )
    parser.add_argument(
        "--start", type=Path, metavar="CHECKPOINT", help="that all begin with; left out, one is taught to see"
    )
    parser.add_argument("--variants", default=USUAL, help=f"of {', '.join(VARIANTS)} (default: {USUAL})")
    args = parser.parse_args(words)
    variants = tuple(dict.fromkeys(args.variants.split(",")))
    unknown = [name for name in variants if name not in VARIANTS]
    if unknown:
        parser.error(f"--variants: {', '.join(unknown)} is none of {', '.join(VARIANTS)}")
    out = args.out.resolve()
    recorded = 0 if args.data else args.demonstrations
    data = args.data.resolve() if args.data else out / "data"
    numbers = args.steps, args.batch, args.episodes, args.seed, args.jobs, args.threads
    start = args.start.resolve() if args.start else None
    return Order(out, data, recorded, *numbers, variants, args.config.resolve(), start)


def main() -> int:
    """Everything in turn; stops at the first that fails, or was stopped."""
    order = parse()
    order.out.mkdir(parents=True, exist_ok=True)
    for command in commands(order):
        if command[0] == "eval":
            name_policies(order)
        say(f"$ armside {' '.join(command)}")
        code = call(command)
        if code:
            say(f"stopped at armside {command[0]}: see above; after a Ctrl-C the same command goes on")
            return code
    result = json.loads((order.out / "eval" / "results.json").read_text())
    facts = {name: getattr(order, name) for name in ("steps", "batch", "seed")}
    facts |= {"config": order.config.name, "start": order.start.name if order.start else "", "recorded": order.record}
    said = {name: VARIANTS[name].said for name in order.variants}
    print(page(order.out, result, said, facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
