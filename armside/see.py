"""`armside see POINTS CHECKPOINT`: a new checkpoint that has learned on simulated scenes to see, and to find.

First the image encoder learns what stands where, then the language model where the thing is that a task names.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORMAT, VERSION = "armside-see", 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.json_out import add_json_argument

    parser.add_argument("points", metavar="POINTS", type=Path, help="points.jsonl of armside sim points")
    parser.add_argument("out", metavar="CHECKPOINT", type=Path, help="folder to write, in the released format")
    parser.add_argument("--preset", default="sim", help="what begins from nothing (default: sim)")
    parser.add_argument("--depth", action="store_true", help="of a preset: it predicts a depth map before it acts")
    parser.add_argument("--checkpoint", default="", metavar="FOLDER", help="begins with its weights instead")
    parser.add_argument("--steps", type=int, default=3000, metavar="N", help="of the image encoder (default: 3000)")
    parser.add_argument("--find-steps", type=int, default=1500, metavar="N", help="of the language model (1500)")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="pictures or questions of a step (64)")
    parser.add_argument("--rate", type=float, default=2e-3, help="of learning, the encoder's highest (0.002)")
    parser.add_argument("--find-rate", type=float, default=1e-3, help="the language model's (default: 0.001)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(default: 0)")
    parser.add_argument("--precision", choices=("bf16", "float32"), default="bf16", help="of products (default: bf16)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of torch (default: its own choice)")
    add_json_argument(parser)
    parser.epilog = "Ctrl-C writes what has been learned. example: armside see data/points/points.jsonl runs/seeing"


def run(args: argparse.Namespace) -> int:
    """0 when all steps were done, 130 when it was stopped before."""
    from armside.json_out import give
    from policy_spec.errors import UsageError, sentence

    rates = (args.rate, args.find_rate)
    if min(args.steps, args.find_steps) < 0 or args.steps + args.find_steps < 1 or args.batch < 1 or min(rates) <= 0:
        got = (
            f"{args.steps} and {args.find_steps} steps, batch {args.batch}, rates {args.rate:g} and {args.find_rate:g}"
        )
        raise UsageError(sentence("numbers", expected="at least 1 step, 1 picture, rates above 0", got=got))
    if args.out.exists():
        raise UsageError(sentence(f"{args.out} exists", expected="a new folder"))
    facts = learn(args)
    print(f"{args.out}: after {facts['steps']} and {facts['find_steps']} steps, of what was held out:")
    if "right" in facts:
        print(
            f"{facts['right']:.0%} of the pictures are read without a fault, places off by {facts['place']:.1%} of one"
        )
    for camera, share in enumerate(facts.get("cells", []), 1):
        print(f"picture {camera}: what a task names is found in its part of the picture in {share:.0%} of the tasks")
    give(args.json, {"format": FORMAT, "version": VERSION, "checkpoint": str(args.out)} | facts)
    return 0 if (facts["steps"], facts["find_steps"]) == (args.steps, args.find_steps) else 130


def learn(args: argparse.Namespace) -> dict[str, Any]:
    """Teaches and writes; how far it came, and marks of held-out pictures and questions."""
    import torch

    from armside.progress import stages
    from armside.signals import stoppable
    from train.recipe.config import Start
    from train.see.find import Search
    from train.see.teach import Lesson, School

    if args.threads:
        torch.set_num_threads(args.threads)
    start = Start(checkpoint=args.checkpoint, preset="" if args.checkpoint else args.preset, depth=args.depth)
    bf16 = args.precision == "bf16"
    lesson = Lesson(args.points, start, args.steps, args.batch, args.rate, args.seed, bf16)
    facts: dict[str, Any] = {"steps": 0, "find_steps": 0}
    with stages() as tell, stoppable(patience=1) as stop:
        tell("read pictures", 0, 1)
        school = School.open(lesson)
        learner = school.begin()

        def telling(name: str, stage: str) -> Callable[[int, int, object], None]:
            def told(step: int, steps: int, _: object) -> None:
                facts[name] = step
                tell(stage, step, steps)

            return told

        if args.steps:
            marks = school.see(learner, telling("steps", "learn to see"), lambda: stop.asked > 0)
            facts |= {"right": marks.right, "place": marks.place, "words_nats": marks.words}
        if args.find_steps and not stop.asked:
            search = Search(args.find_steps, args.batch, args.find_rate, args.seed, bf16)
            found = school.find(learner, search, telling("find_steps", "learn to find"), lambda: stop.asked > 0)
            facts |= {"cells": list(found.cells), "found_place": found.place}
    school.write(learner.model, args.out)
    return facts
