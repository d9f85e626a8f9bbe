"""`armside fast fit|roundtrip`: a tokenizer for actions, fitted to your data; what it loses and saves."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    words = parser.add_subparsers(metavar="WORD", dest="word", required=True)
    fit = words.add_parser(
        "fit",
        help="fit a FAST tokenizer to a dataset's actions",
        description="Fits a FAST tokenizer to the chunks of a dataset, and writes it in the released format.",
        epilog="DATASET: a LeRobot dataset (v3 or v2.1), a recording of armside run (or a folder of them), or an .npz "
        "with chunks [N, H, D]. Joints are scaled by their 1st and 99th percentile, grippers by their whole range.",
    )
    fit.add_argument("dataset", metavar="DATASET", type=Path, help="where the actions are")
    fit.add_argument("out", metavar="OUT", type=Path, help="the folder to write")
    fit.add_argument("--codes", type=int, default=2048, help="tokens at most (default: 2048)")
    fit.add_argument("--scale", type=float, default=10.0, help="of the coefficients (default: 10)")
    fit.add_argument("--overwrite", action="store_true", help="replace a tokenizer that is there")
    trip = words.add_parser(
        "roundtrip",
        help="what a tokenizer loses and saves on a dataset",
        description="Encodes and decodes chunks of a dataset: error per joint, tokens and bytes per chunk.",
    )
    trip.add_argument("tokenizer", metavar="TOKENIZER", type=Path, help="a folder in the released format")
    trip.add_argument("dataset", metavar="DATASET", type=Path, help="where the actions are")
    _shared(fit, dims=32, chunks=20_000)
    _shared(trip, dims=0, chunks=2_000)


def _shared(parser: argparse.ArgumentParser, dims: int, chunks: int) -> None:
    from armside.json_out import add_json_argument

    own = "0: the data's own"
    parser.add_argument("--horizon", type=int, metavar="H", help="steps of a chunk (default: those of one second)")
    parser.add_argument("--dims", type=int, default=dims, help=f"pad with zeros to so many, {own} (default: {dims})")
    parser.add_argument(
        "--chunks", type=int, default=chunks, metavar="N", help=f"at most, spread evenly (default: {chunks})"
    )
    parser.add_argument(
        "--gripper", action="append", metavar="NAME", help="a dimension that is a gripper (default: by its name)"
    )
    parser.add_argument("--normalized", action="store_true", help="the actions are normalized to -1..1 already")
    parser.add_argument("--array", metavar="NAME", help="which array of an .npz")
    add_json_argument(parser)
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Fits or measures."""
    if args.word == "fit":
        from armside.fast_fit import fit_tokenizer

        return fit_tokenizer(args)
    from armside.fast_roundtrip import measure

    return measure(args)
