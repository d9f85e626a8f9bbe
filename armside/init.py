"""`armside init DIR`: a seeded random checkpoint in the released format."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from train.presets import PRESETS, ROBOTS

    parser.add_argument("folder", metavar="DIR", type=Path, help="where to write it")
    parser.add_argument("--preset", choices=PRESETS, default="tiny", help="its size (default: tiny)")
    parser.add_argument("--robot", choices=ROBOTS, default="so101", help="whose joints and cameras (default: so101)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other weights (default: 0)")
    parser.add_argument("--depth", action="store_true", help="of a policy that predicts a depth map before it acts")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint that is there")


def run(args: argparse.Namespace) -> int:
    """Writes the checkpoint and says what it is."""
    from armside.progress import byte_bar
    from armside.say import size
    from train.init_checkpoint import InitOptions, init_checkpoint, plan

    options = InitOptions(args.folder, args.preset, args.robot, args.seed, args.overwrite, args.depth)
    total = plan(options)[1].total_bytes
    with byte_bar("writing weights", total) as advance:
        shards = init_checkpoint(options, advance)
    print(
        f"{args.folder}: a random {args.preset} checkpoint for {args.robot}, seed {args.seed}: "
        f"{size(shards.total_bytes)} in {len(shards.shards)} shards ({shards.dtype})"
    )
    folder, bundle = shlex.quote(str(args.folder)), shlex.quote(f"{args.folder}.bundle")
    mode = " --mode think" if args.depth else ""
    print(f"next: armside export {folder} {bundle} --target x86-cpu --precision int8{mode}")
    return 0
