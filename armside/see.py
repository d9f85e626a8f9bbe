"""`armside see POINTS CHECKPOINT`: a new checkpoint whose image encoder has learned to see on simulated scenes."""

from __future__ import annotations

import argparse
from pathlib import Path

FORMAT, VERSION = "armside-see", 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.json_out import add_json_argument

    parser.add_argument("points", metavar="POINTS", type=Path, help="points.jsonl of armside sim points")
    parser.add_argument("out", metavar="CHECKPOINT", type=Path, help="folder to write, in the released format")
    parser.add_argument("--preset", default="sim", help="what begins from nothing (default: sim)")
    parser.add_argument("--depth", action="store_true", help="of a preset: it predicts a depth map before it acts")
    parser.add_argument("--checkpoint", default="", metavar="FOLDER", help="begins with its weights instead")
    parser.add_argument("--steps", type=int, default=3000, metavar="N", help="(default: 3000)")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="pictures of a step (default: 64)")
    parser.add_argument("--rate", type=float, default=2e-3, help="of learning, at its highest (default: 0.002)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(default: 0)")
    parser.add_argument("--precision", choices=("bf16", "float32"), default="bf16", help="of products (default: bf16)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of torch (default: its own choice)")
    add_json_argument(parser)
    parser.epilog = "Ctrl-C writes what has been learned. example: armside see data/points/points.jsonl runs/seeing"


def run(args: argparse.Namespace) -> int:
    """Teaches and writes; 0 when all steps were done, 130 when it was stopped before."""
    import torch

    from armside.json_out import give
    from armside.progress import stages
    from armside.signals import stoppable
    from policy_spec.errors import UsageError, sentence
    from train.recipe.config import Start
    from train.see.head import Marks
    from train.see.teach import Lesson, School

    if args.steps < 1 or args.batch < 1 or args.rate <= 0:
        got = f"{args.steps} steps, batch {args.batch}, rate {args.rate:g}"
        raise UsageError(sentence("numbers", expected="at least 1 step, 1 picture, a rate above 0", got=got))
    if args.out.exists():
        raise UsageError(sentence(f"{args.out} exists", expected="a new folder"))
    if args.threads:
        torch.set_num_threads(args.threads)
    start = Start(checkpoint=args.checkpoint, preset="" if args.checkpoint else args.preset, depth=args.depth)
    bf16 = args.precision == "bf16"
    lesson = Lesson(args.points, start, args.steps, args.batch, args.rate, args.seed, bf16)
    done = 0
    with stages() as tell, stoppable(patience=1) as stop:
        tell("read pictures", 0, 1)
        school = School.open(lesson)

        def told(step: int, steps: int, marks: Marks) -> None:
            nonlocal done
            done = step
            tell("learn to see", step, steps)

        model, marks = school.teach(told, lambda: stop.asked > 0)
    school.write(model, args.out)
    print(
        f"{args.out}: after {done} steps, of held-out pictures {marks.right:.0%} are read without a fault,"
        f" places off by {marks.place:.1%} of the picture"
    )
    facts = {"format": FORMAT, "version": VERSION, "steps": done, "right": marks.right, "place": marks.place}
    give(args.json, facts | {"words_nats": marks.words, "checkpoint": str(args.out)})
    return 0 if done == args.steps else 130
