"""The whole of a comparison: both bundles opened, all samples run, timed in turn, memory measured.

Joins policy_spec (bundles), edge (engines) and episodes (observations); no torch, no onnx.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from armside.compare_joints import columns
from armside.compare_memory import footprint
from armside.compare_numbers import numbers_json, numbers_of
from armside.compare_page import Compared
from armside.compare_run import Result, Side, compare, interleaved, open_side, refuse_different
from armside.compare_samples import Asked, Sample, samples
from edge.engine import EngineOptions
from edge.policies import camera_slots
from policy_spec.compare import max_abs
from policy_spec.errors import AnswerError, UsageError, sentence
from policy_spec.golden import Golden

Progress = Callable[[str, int, int], None]  # (stage, done, total)


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What a person asked for."""

    asked: Asked
    rounds: int = 5
    norm_tag: str | None = None
    threads: int = 0
    resident: str = "all"
    memory: bool = True


def options_of(args: argparse.Namespace) -> CompareOptions:
    """From the arguments of a verb. Raises UsageError."""
    if args.samples < 1 or args.rounds < 0:
        got = f"{args.samples} samples, {args.rounds} rounds"
        raise UsageError(sentence("samples and rounds", expected="at least 1 and 0", got=got))
    asked = Asked(args.episodes, args.samples)
    return CompareOptions(asked, args.rounds, args.norm_tag, args.threads, args.load, not args.no_memory)


def compare_bundles(a_path: Path, b_path: Path, options: CompareOptions, progress: Progress) -> Compared:
    """Raises ArmsideError: bundles that do not open, of different policies, episodes of another robot."""
    memory = None
    if options.memory:
        feet = []
        for number, path in enumerate((a_path, b_path)):
            progress("measure memory", number, 2)
            feet.append(footprint(path, options.threads, options.resident))
        memory = feet[0], feet[1]
    progress("open the bundles", 0, 1)
    golden = Golden.load(a_path)
    tag = options.norm_tag or (golden.tag if options.asked.episodes is None else None)
    engine = EngineOptions(options.threads, options.resident)
    a, b = open_side(a_path, tag, engine), open_side(b_path, tag, engine)
    refuse_different(a, b)
    slots = camera_slots(a.host.tag, a.bundle.manifest.cameras)
    on, todo = samples(options.asked, a.host.tag, slots, golden)
    found = _compared(a, b, todo, lambda done: progress("compare", done, options.asked.count))
    rounds = []
    if options.rounds:
        progress("measure latency", 0, 1)
        rounds = interleaved((a, b), found.first, options.rounds)
    numbers = numbers_of(found.results, rounds, columns(a.host.tag.tag, a.host.tag.action_dim))
    names = _names(a_path, b_path)
    return Compared(names, (a, b), on, numbers, found.worst, tuple(found.failed), memory, b.engine.name)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """All samples, and those that are shown or used again."""

    results: list[Result]
    failed: list[str]  # where, and why there is no chunk
    first: Sample
    worst: Sample


def _compared(a: Side, b: Side, todo: Iterable[Sample], progress: Callable[[int], None]) -> _Found:
    """Raises AnswerError where no sample has a chunk of both."""
    results: list[Result] = []
    failed: list[str] = []
    first: Sample | None = None
    worst: tuple[float, Sample] | None = None
    for number, sample in enumerate(todo):
        progress(number)
        try:
            result = compare(a, b, sample, control=not results)
        except AnswerError as error:
            failed.append(f"{sample.where}: {error}")
            continue
        results.append(result)
        apart = max_abs(result.normalized[1], result.normalized[0])
        if worst is None or apart > worst[0]:
            worst = apart, sample
        first = first or sample
    if worst is None or first is None:
        raise AnswerError(
            sentence("no sample has a chunk of both bundles", got=failed[0], do="give --episodes of this arm")
        )
    return _Found(results, failed, first, worst[1])


def _names(a: Path, b: Path) -> tuple[str, str]:
    one, other = a.resolve(), b.resolve()
    return (one.name, other.name) if one.name != other.name else (str(a), str(b))


def result(compared: Compared) -> dict[str, Any]:
    """For programs."""
    memory = None if compared.memory is None else [asdict(foot) for foot in compared.memory]
    return {
        "format": 1,
        "a": str(compared.sides[0].path),
        "b": str(compared.sides[1].path),
        "precision": [side.bundle.manifest.precision for side in compared.sides],
        "bytes": [side.bundle.manifest.total_bytes for side in compared.sides],
        "on": compared.on,
        "engine": compared.engine,
        "failed": list(compared.failed),
        "numbers": numbers_json(compared.numbers),
        "memory": memory,
    }
