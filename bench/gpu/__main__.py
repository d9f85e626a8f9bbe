"""How fast the policy is on this GPU: eager, with the released flow graph, and as one graph; and Think.

    python -m bench.gpu --preset molmoact2-full --cameras 2 --horizon 10 [--think --changed 0.2] [--json OUT]

Random weights of a preset's true shapes; needs torch with CUDA and nothing of ONNX or TensorRT. `--device cpu` runs the
same code without capture. All ways are checked against the plain float32 model before anything is timed, and a wrong
mask must be seen; a run whose checks fail prints no times and ends with status 1. docs/gpu.md says how it works.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench.gpu import engines, report
from bench.gpu.machine import machine
from bench.gpu.think_ways import thinking
from bench.gpu.ways import Choices, continuous
from bench.gpu.workload import Asked, Workload
from policy_spec.errors import ArmsideError, UsageError, sentence
from train.presets import PRESETS

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}  # features overflow float16


def say(text: str) -> None:
    """To stderr: stdout is the tables."""
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.ArgumentParser:
    """The command line's."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="molmoact2-full", choices=tuple(PRESETS), help="whose shapes")
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--horizon", type=int, default=10, help="steps of a chunk")
    parser.add_argument("--device", help="cuda or cpu; default: cuda where there is one")
    parser.add_argument("--dtype", choices=tuple(DTYPES), help="default: bfloat16 on cuda, float32 on cpu")
    parser.add_argument("--rounds", type=int, default=30, help="interleaved rounds that are timed")
    parser.add_argument("--compile", action="store_true", help="torch.compile the blocks that are captured")
    parser.add_argument("--think", action="store_true", help="MolmoThink's calls too")
    parser.add_argument("--changed", type=float, default=0.2, help="share of cells that change between pictures")
    parser.add_argument("--released", type=Path, help="a folder with modeling_molmoact2.py; it is imported and run")
    parser.add_argument("--bundle", type=Path, help="a bundle of these shapes, for the TensorRT engines")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all numbers there")
    return parser


def choices_of(args: argparse.Namespace) -> Choices:
    """Raises UsageError on a device that is not there."""
    name = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(sentence("device", expected="a GPU and a torch built for CUDA", got=name, do="--device cpu"))
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    if args.compile and device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise UsageError(sentence("--compile", expected="triton beside torch", do="install it, or leave --compile out"))
    dtype = args.dtype or ("bfloat16" if device.type == "cuda" else "float32")
    for word, value, least in (("cameras", args.cameras, 1), ("horizon", args.horizon, 1), ("rounds", args.rounds, 1)):
        if value < least:
            raise UsageError(sentence(f"--{word}", expected=f"{least} or more", got=value))
    if not 0 < args.changed <= 1:
        raise UsageError(sentence("--changed", expected="more than 0, at most 1", got=args.changed))
    return Choices(device, DTYPES[dtype], args.rounds, args.compile, args.released)


def run(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """JSON and text of a whole run."""
    choices = choices_of(args)
    asked = Asked(args.preset, args.cameras, args.horizon, seed=args.seed)
    facts: dict[str, Any] = {
        "asked": {
            **asdict(asked),
            "think": args.think,
            "changed": args.changed,
            "rounds": args.rounds,
            "dtype": str(choices.dtype).removeprefix("torch."),
            "compile": args.compile,
        },
        "machine": machine(choices.device),
    }
    result = continuous(Workload.of(asked), choices, say)
    thought = None
    if args.think:
        asked = Asked(args.preset, args.cameras, args.horizon, think=True, seed=args.seed)
        thought = thinking(Workload.of(asked), choices, args.changed, say)
    facts["engines"] = engines.measured(args.bundle, choices, say)
    shown = report.text(facts, result, thought) + "\n\n" + engines.text(facts["engines"])
    return report.as_json(facts, result, thought), shown


def main() -> int:
    """Status 1 where a check failed or an argument is wrong."""
    args = arguments().parse_args()
    try:
        data, shown = run(args)
    except ArmsideError as error:
        say(str(error))
        return 1
    if args.json:
        partial = args.json.with_name(args.json.name + ".partial")
        partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        partial.replace(args.json)
    print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
