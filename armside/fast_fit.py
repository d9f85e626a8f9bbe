"""`armside fast fit`: reads chunks, fits, writes in the released format, and measures what it has made."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from armside.fast_data import FIT_FILE, FORMAT, VERSION, Data

T = TypeVar("T")


def fit_tokenizer(args: argparse.Namespace) -> int:
    """Fits and writes; says how well it does on its own chunks."""
    import shlex

    from armside.fast_data import load
    from armside.json_out import give
    from armside.progress import stages
    from policy_spec.fast_fit import FitOptions, fit, refuse_taken, save
    from policy_spec.fast_measure import round_trip

    options = FitOptions(args.codes, args.scale, args.dims)
    refuse_taken(args.out, args.overwrite)
    with stages() as progress:
        progress("reading actions", 0, 0)
        data = load(args)
        tokenizer = interruptible(lambda: fit(data.chunks, options, progress))
        sample = data.chunks[:: max(1, len(data.chunks) // 1000)]
        trip = round_trip(tokenizer, sample, progress)
        facts = _facts(args, data)
        save(tokenizer, args.out, {FIT_FILE: facts}, args.overwrite)
    codes = f"{tokenizer.size} codes" + (f" of {args.codes}" if tokenizer.size < args.codes else "")
    print(f"{args.out}: {codes}, scale {args.scale:g}, coefficients from {tokenizer.min_token}")
    width = len(data.actions.names)
    print(f"from {data.actions.source}: {len(data.chunks)} chunks of {data.horizon} steps, {width} dimensions")
    print(f"scaled: {data.scaling}")
    if args.dims > width:
        print(f"padded to {args.dims} dimensions, as the released one was; --dims 0 fits these {width} alone")
    print(f"on its own chunks: {trip.tokens.mean():.1f} tokens, mean error {trip.errors.mean():.4f} (of 2)")
    if tokenizer.size < args.codes:
        print(f"note: nothing else occurs twice; a policy never answers with the codes from {tokenizer.size} on")
    print(f"next: armside fast roundtrip {shlex.quote(str(args.out))} {shlex.quote(str(args.dataset))}")
    give(args.json, {**facts, "size": tokenizer.size, **tokenizer.config(), "tokens_mean": float(trip.tokens.mean())})
    return 0


def interruptible(work: Callable[[], T]) -> T:
    """Does the work in a thread, so that Ctrl-C need not wait for the trainer, which looks for no signal. What it has
    made is left where it is: it writes no file.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def target() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if failed:
        raise failed[0]
    return done[0]


def _facts(args: argparse.Namespace, data: Data) -> dict[str, Any]:
    """What the released files do not say. No path and no time: the same fit gives the same file."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "dataset": args.dataset.name,
        "fps": data.actions.fps,
        "horizon": data.horizon,
        "chunks": len(data.chunks),
        "dims": args.dims,
        "names": list(data.actions.names),
        "grippers": list(data.grippers) if data.stats is not None else [],
        "action_stats": data.stats,
    }
