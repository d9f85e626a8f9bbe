"""`armside export CHECKPOINT BUNDLE`: cut, fold, verify, quantize, write; whole or not at all."""

from __future__ import annotations

import argparse
import resource
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from export.layerwise import LayerError
    from policy_spec.compare import Row

SCREEN, NEAREST = 40, 8  # rows of a parity table that are shown whole; of layers beyond that
PRECISION = "int8"  # where neither a precision nor a plan is given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from policy_spec.graphs import HEADS, MODES
    from quant.precisions import PRECISIONS
    from quant.targets import TARGETS

    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a directory, or a Hugging Face id ORG/NAME")
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="the folder to write")
    parser.add_argument(
        "--target",
        default="x86-cpu",
        metavar="NAME",
        help=f"the computer that runs it, one of {', '.join(TARGETS)} (default: x86-cpu)",
    )
    parser.add_argument(
        "--precision",
        metavar="NAME",
        help=f"{', '.join(PRECISIONS)}, or auto: the least loss that fits the target (default: {PRECISION}; "
        "armside plan tells what each costs)",
    )
    parser.add_argument(
        "--sensitivity", type=Path, metavar="FILE", help="what plans lose, by armside quant sensitivity; for auto"
    )
    _add_calibration(parser)
    parser.add_argument(
        "--plan", type=Path, metavar="FILE", help="a plan of your own (JSON), by armside plan --write-plan"
    )
    parser.add_argument("--revision", help="branch, tag or commit of a Hugging Face id")
    parser.add_argument("--cameras", type=int, metavar="N", help="pictures per call (default: the norm tag's)")
    parser.add_argument("--prompt-tokens", type=int, metavar="S", help="longest prompt (default: room for a long task)")
    parser.add_argument(
        "--image-attention",
        choices=("bidirectional", "causal"),
        default="bidirectional",
        help="whether image tokens see each other; fine-tunes made without it want causal",
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="continuous",
        help="continuous: act at once; think: predict a depth map first; discrete: answer in FAST tokens",
    )
    parser.add_argument(
        "--head",
        choices=sorted({head for heads in HEADS.values() for head in heads if head}),
        default="",
        help="logits of mode think (depth, full) or discrete (action, full): only what the mode decodes, which is the "
        "default, or the whole vocabulary, as released",
    )
    parser.add_argument("--fast-tokenizer", type=Path, metavar="DIR", help="for --mode discrete: the checkpoint's own")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")
    parser.add_argument(
        "--verify",
        choices=("auto", "whole", "layers"),
        default="auto",
        help="against the whole float32 model, or layer by layer, which fits any machine (default: whole if it fits)",
    )
    parser.add_argument("--fresh", action="store_true", help="start over, whatever an interrupted export left")


def _add_calibration(parser: argparse.ArgumentParser) -> None:
    """Samples, for schemes that are fitted to activations."""
    parser.add_argument(
        "--episodes",
        metavar="SOURCE",
        help="calibration samples, for schemes that need some (int4-awq, int4-gptq, ...): a LeRobot dataset, a "
        "recording of armside run, or a folder with states.json",
    )
    parser.add_argument("--samples", type=int, default=32, metavar="N", help="how many of them (default: 32)")
    parser.add_argument("--task", default="", help="what is being done, where the episodes do not say it in words")
    parser.add_argument(
        "--norm-tag", metavar="TAG", help="the robot of the episodes, where the checkpoint knows several"
    )
    parser.add_argument(
        "--statistics",
        type=Path,
        metavar="FILE",
        help="what earlier samples told of the activations, or where to keep it (default: BUNDLE.statistics.npz)",
    )


def run(args: argparse.Namespace) -> int:
    """Makes the bundle and says what it is, how long it took and what it needed."""
    from policy_spec.errors import UsageError, sentence
    from quant.targets import check_target

    if args.plan and args.precision:
        raise UsageError(
            sentence(
                "both --plan and --precision",
                expected="one of them: a plan says itself which precision it takes the rest from",
                got=f"{args.plan} and {args.precision}",
                do='leave --precision out, or change "precision" in the plan',
            )
        )
    precision = args.precision or PRECISION
    check_target(args.target, precision)  # before anything heavy is imported

    from armside.export_samples import Wish
    from armside.make_bundle import ExportOptions, export_bundle
    from armside.progress import stages
    from armside.say import seconds, size
    from armside.variant_words import variant_words
    from export.build import GraphOptions
    from policy_spec.compare import table
    from quant.samples import SampleOptions

    options = ExportOptions(
        checkpoint=args.checkpoint,
        bundle=args.bundle,
        target=args.target,
        precision=precision,
        revision=args.revision,
        graphs=GraphOptions(args.cameras, args.prompt_tokens, args.image_attention, args.mode, args.head),
        overwrite=args.overwrite,
        fast_tokenizer=args.fast_tokenizer,
        verify=args.verify,
        fresh=args.fresh,
        plan=args.plan,
        sensitivity=args.sensitivity,
        calibration=Wish(
            episodes=args.episodes,
            samples=SampleOptions(count=args.samples, task=args.task),
            norm_tag=args.norm_tag,
            statistics=args.statistics,
        ),
    )
    with stages() as progress:
        result = export_bundle(options, progress)
    manifest = result.manifest
    source = manifest.source.name + (f" at {manifest.source.revision}" if manifest.source.revision else "")
    print(f"{result.path}: {source}, {manifest.precision} for {manifest.target}, {size(manifest.total_bytes)}")
    for words in variant_words(manifest) if manifest.variant.cached else ():
        print(words)
    if result.resumed:
        print(f"gone on with an interrupted export: {result.resumed} files of weights were finished")
    print(table(shown(manifest.parity)))
    worst = max(manifest.parity, key=_tightness)
    tight = f"{worst.name} {worst.error:.2g} of {worst.tolerance:.2g}"
    print(f"verified: {len(manifest.parity)} comparisons, the tightest: {tight}")
    for line in worst_layers(result.layers):
        print(line)
    for note in result.notes:
        print(f"note: {note}")
    # ru_maxrss is in units of 1024 bytes on Linux.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"took {seconds(result.seconds)}, peak memory {size(peak)}")
    print(f"next: armside inspect {shlex.quote(str(result.path))}")
    return 0


def shown(rows: tuple[Row, ...]) -> list[Row]:
    """All rows where they fit a screen; of layers, else, only those that come nearest to their tolerance."""
    layers = sorted((row for row in rows if "layer " in row.name), key=_tightness, reverse=True)
    hidden = set() if len(rows) <= SCREEN else {row.name for row in layers[NEAREST:]}
    return [row for row in rows if row.name not in hidden]


def worst_layers(layers: tuple[LayerError, ...]) -> list[str]:
    """Which layer of the bundle loses most by itself: of those that give K and V, and of all."""
    kv = [layer for layer in layers if layer.output[:2] in ("k_", "v_")]
    lines = []
    for what, among in (("K and V", kv), ("hidden state", [layer for layer in layers if layer not in kv])):
        if among:
            worst = max(among, key=lambda layer: layer.rms)
            lines.append(f"worst layer by {what}: {worst.layer}, {worst.output} off by {worst.rms:.2%} rms")
    return lines


def _tightness(row: Row) -> float:
    return row.error / row.tolerance if not row.at_least else 0.0
