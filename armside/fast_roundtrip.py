"""`armside fast roundtrip`: what a FAST tokenizer loses, joint by joint in its unit, and what it saves."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from armside.fast_data import FIT_FILE, FORMAT, VERSION, Data, load, normalizer
from policy_spec.errors import CheckpointError, sentence

if TYPE_CHECKING:
    from policy_spec.fast_measure import RoundTrip


def measure(args: argparse.Namespace) -> int:
    """Prints the table."""
    from armside.json_out import give
    from armside.progress import stages
    from policy_spec.fast import FastTokenizer
    from policy_spec.fast_fit import padded
    from policy_spec.fast_measure import round_trip

    tokenizer = FastTokenizer.open(args.tokenizer)
    fitted = fitted_stats(args.tokenizer)
    with stages() as progress:
        progress("reading actions", 0, 0)
        data = load(args, fitted)
        trip = round_trip(tokenizer, padded(data.chunks, args.dims), progress)
    rows = joints(data, trip)
    for line in report(data, trip, rows):
        print(line)
    give(args.json, as_json(data, trip, rows))
    return 0


def fitted_stats(folder: Path) -> dict[str, Any] | None:
    """The statistics that `armside fast fit` wrote beside the tokenizer; None: it comes from elsewhere."""
    file = folder / FIT_FILE
    if not file.is_file():
        return None
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        if (facts["format"], facts["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {facts['format']} {facts['version']}")
        stats = facts["action_stats"]
        return None if stats is None else {**stats, "names": facts["names"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(sentence(f"{file} cannot be read", got=error, do="fit the tokenizer again")) from error


def joints(data: Data, trip: RoundTrip) -> list[dict[str, Any]]:
    """Error of each dimension, normalized and in the data's unit; the worst first."""
    width = len(data.actions.names)
    scale = np.ones(width) if data.stats is None else normalizer(data.stats).half_range()
    errors = trip.errors[..., :width].reshape(-1, width)
    means, tails, worst = errors.mean(axis=0), np.quantile(errors, 0.99, axis=0), errors.max(axis=0)
    rows = [
        {
            "name": data.actions.names[i],
            "mean": float(means[i]),
            "p99": float(tails[i]),
            "max": float(worst[i]),
            "mean_own": float(means[i] * scale[i]),
            "p99_own": float(tails[i] * scale[i]),
            "max_own": float(worst[i] * scale[i]),
        }
        for i in range(width)
    ]
    return sorted(rows, key=lambda row: -row["p99"])


def report(data: Data, trip: RoundTrip, rows: list[dict[str, Any]]) -> list[str]:
    """The lines for a person."""
    steps, width = data.horizon, trip.errors.shape[2]
    name = max(5, *(len(row["name"]) for row in rows))
    lines = [
        f"{data.actions.source}: {len(data.chunks)} of {data.windows.possible} chunks of {steps} steps, {width} wide",
        f"scaled: {data.scaling}",
        "",
        f"{'joint':{name}}  {'normalized':^23}  {'in the unit of the data':^26}",
        f"{'':{name}}  {'mean':>7} {'p99':>7} {'max':>7}  {'mean':>8} {'p99':>8} {'max':>8}",
    ]
    for row in rows:
        normalized = " ".join(f"{row[key]:7.4f}" for key in ("mean", "p99", "max"))
        own = " ".join(f"{row[key]:8.4g}" for key in ("mean_own", "p99_own", "max_own"))
        lines.append(f"{row['name']:{name}}  {normalized}  {own}")
    ratio = trip.raw_bytes / trip.coded_bytes
    lines += [
        "",
        f"worst joint: {rows[0]['name']}, 99 of 100 values within {rows[0]['p99_own']:.4g}",
        f"tokens per chunk: mean {trip.tokens.mean():.1f}, most {trip.tokens.max()}; one per value would be "
        f"{steps * width} ({steps * width / trip.tokens.mean():.1f} times as many)",
        f"bytes per chunk: {trip.raw_bytes} in float32, {trip.coded_bytes:.0f} in tokens ({ratio:.1f} times smaller)",
    ]
    if clipped := outside(data):
        lines.append(
            f"note: {clipped:.1%} of the values lie outside the statistics and were clipped before, as policies do"
        )
    if trip.lost:
        lines.append(f"note: {trip.lost} more chunks reach above the fitted range and have no tokens; fit to this data")
    if trip.cut:
        lines.append(f"note: {trip.cut} coefficients lie below the fitted range and were cut to it; fit to this data")
    if trip.too_long:
        lines.append(f"note: {trip.too_long} chunks need more tokens than a policy may answer with ({trip.most})")
    return lines


def outside(data: Data) -> float:
    """Share of the values that normalization clipped: an error that no tokenizer makes."""
    if data.stats is None:
        return 0.0
    values, scale = data.windows.values, normalizer(data.stats)
    return float((np.abs(scale.unnormalize(data.chunks) - values) > 1e-3 * scale.half_range()).mean())


def as_json(data: Data, trip: RoundTrip, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "format": "armside-fast-roundtrip",
        "version": 1,
        "chunks": len(trip.tokens),
        "horizon": data.horizon,
        "dims": trip.errors.shape[2],
        "error_mean": float(trip.errors.mean()),
        "error_p99": float(np.quantile(trip.errors, 0.99)),
        "joints": rows,
        "tokens_mean": float(trip.tokens.mean()),
        "tokens_max": int(trip.tokens.max()),
        "bytes_raw": trip.raw_bytes,
        "bytes_coded": trip.coded_bytes,
        "chunks_without_tokens": trip.lost,
        "values_clipped": outside(data),
        "coefficients_cut": trip.cut,
        "chunks_too_long": trip.too_long,
    }
