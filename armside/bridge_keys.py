"""`armside bridge keys`: CURVE keys for a bridge that other machines reach."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser, word: str) -> None:
    """The word's arguments."""
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where to keep them, for this user only")
    parser.add_argument(
        "--client",
        action="append",
        default=[],
        metavar="NAME",
        help="once for each machine or program that may connect (default: one, named client)",
    )
    parser.epilog = "example: armside bridge keys --out ~/.config/armside/keys --client laptop"


def run(args: argparse.Namespace) -> int:
    """Makes what is not there yet, and says what goes where."""
    from firmware_bridge.curve import make_keys

    names = args.client or ["client"]
    for path in make_keys(args.out, names):
        print(path)
    out = shlex.quote(str(args.out))
    print(f"next: armside bridge --robot ID --endpoint tcp://ADDRESS:5600 --keys {out}")
    print(f"to the client's machine, and nowhere else: server.key and {', '.join(f'{n}.key_secret' for n in names)}")
    return 0
