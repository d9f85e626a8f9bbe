"""`armside train CONFIG.toml`: trains a checkpoint by a recipe, resumes, shows how it goes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

FORMAT, VERSION = "armside-train", 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.json_out import add_json_argument

    parser.add_argument("config", metavar="CONFIG", type=Path, help="the run, as TOML: docs/training.md")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting over the file's: stages.0.steps=100"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last saved step of the run's folder")
    parser.add_argument("--print-config", action="store_true", help="show every setting, and do nothing")
    parser.add_argument("--no-curves", action="store_true", help="write no curves.png")
    add_json_argument(parser)
    parser.epilog = (
        "Ctrl-C saves and stops; a second one stops at once. Several GPUs or machines: "
        "torchrun --nproc-per-node N -m armside train CONFIG.toml"
    )


def run(args: argparse.Namespace) -> int:
    """Trains; 0 when all stages are done, 130 when it was stopped before."""
    from train.recipe.read import read_config, write

    config = read_config(args.config, args.set)
    if args.print_config:
        print(write(config), end="")
        return 0
    return _train(args, config)


def _train(args: argparse.Namespace, config: Any) -> int:
    from armside.json_out import give
    from armside.signals import stoppable
    from armside.train_screen import Screen
    from train.data.feed import DatasetFeed
    from train.trainer.loop import Trainer
    from train.trainer.world import join

    with join(config.run.device) as world, Screen(world.leads) as screen, stoppable(patience=1) as stop:
        feed = DatasetFeed(config.data, config.run.seed, screen.stage, world.leads)
        trainer = Trainer(config, feed, world, screen.event, stop)
        outcome = trainer.run(args.resume)
    if not world.leads:
        return 0
    out = Path(config.run.out)
    curves = None if args.no_curves else _curves(out)
    where = outcome.final or outcome.folder / "checkpoint"
    print(f"{outcome.total} steps done; the checkpoint: {where}")
    if curves:
        print(f"curves: {curves}")
    if not outcome.finished:
        print("stopped before the end; go on with --resume")
    give(args.json, _facts(outcome, where))
    return 0 if outcome.finished else 130


def _curves(out: Path) -> Path | None:
    """curves.png, where matplotlib is installed."""
    try:
        from armside.train_curves import draw
    except ImportError:
        print("no curves: matplotlib is not installed (pip install matplotlib)")
        return None
    return draw(out)


def _facts(outcome: Any, checkpoint: Path) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "finished": outcome.finished,
        "steps": outcome.total,
        "folder": str(outcome.folder),
        "checkpoint": str(checkpoint),
    }
