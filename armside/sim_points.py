"""`armside sim points FOLDER`: questions about where things are in pictures of scenes, for `armside see`.

Worker processes draw parts of a few scenes; each part is written whole, so that it goes on where it was stopped. At the
end one `points.jsonl` lists all parts in their order, the same whatever the number of workers. Each question is about
one thing, and has beside it an errand that names that thing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from policy_spec.errors import SimError, UsageError, sentence

PARTS, LINES, POINTS, FACTS = "parts", "questions.jsonl", "points.jsonl", "points.json"
SCENES = 20  # of a part
FIRST = 500_000  # seed of the first scene: far from those of recordings
WAIT_S = 300.0  # for one part


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The word's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where questions and pictures go; goes on in one")
    parser.add_argument("--scenes", type=int, default=1000, metavar="N", help=f"by {SCENES}s (default: 1000)")
    parser.add_argument("--poses", type=int, default=2, metavar="N", help="of the arm in each scene (default: 2)")
    parser.add_argument("--seed", type=int, default=FIRST, metavar="S", help=f"of the first scene (default: {FIRST})")
    parser.add_argument("--size", type=int, default=140, metavar="PIXELS", help="of the square pictures (default: 140)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that draw (default: 1)")
    parser.epilog = "example: armside sim points data/points --scenes 10000 --jobs 2"


def run(args: argparse.Namespace) -> int:
    """Draws what is missing, then lists everything."""
    for name, value, low in (("--scenes", args.scenes, SCENES), ("--poses", args.poses, 1), ("--size", args.size, 16)):
        if value < low:
            raise UsageError(sentence(name, expected=f"{low} or more", got=value))
    if args.seed < 0 or args.jobs < 1:
        expected = "a seed from 0, one job or more"
        raise UsageError(sentence("numbers", expected=expected, got=f"seed {args.seed}, jobs {args.jobs}"))
    facts = {"poses": args.poses, "seed": args.seed, "size": args.size}
    begin(args.folder, facts)
    draw_parts(args)
    lines = listed(args.folder, args.scenes // SCENES)
    half = args.folder / f".{POINTS}"
    half.write_text("".join(lines), encoding="utf-8")
    half.replace(args.folder / POINTS)
    print(f"{args.folder / POINTS}: {len(lines)} questions about {args.scenes // SCENES * SCENES} scenes")
    return 0


def begin(folder: Path, facts: dict[str, Any]) -> None:
    """Makes the folder, or raises UsageError where it was begun otherwise."""
    path, text = folder / FACTS, json.dumps(facts) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        do = "give the same settings, or choose another folder"
        got = text.strip()
        raise UsageError(sentence(f"{folder} was begun with other settings", expected=path.read_text(), got=got, do=do))
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def orders(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The parts that are not there yet. Tasks take turns."""
    from sim.tasks.table import TASKS

    kinds = list(TASKS)
    for part in range(args.scenes // SCENES):
        if not (args.folder / PARTS / f"{part:05d}").is_dir():
            numbers = range(part * SCENES, (part + 1) * SCENES)
            scenes = [[kinds[number % len(kinds)], args.seed + number] for number in numbers]
            yield {"part": part, "scenes": scenes, "size": args.size, "poses": args.poses}


def draw_parts(args: argparse.Namespace) -> None:
    """Raises SimError where a part cannot be drawn."""
    from armside.progress import stages
    from firmware_bridge.processes import Lines, spawn

    missing = list(orders(args))
    processes = [spawn("sim.pointing_worker", str(args.folder / PARTS)) for _ in range(min(args.jobs, len(missing)))]
    readers = [Lines(process) for process in processes]
    try:
        with stages() as tell:
            for number in range(len(missing) + len(processes)):
                worker = number % len(processes)  # order n is always worker n % jobs's
                if number >= len(processes):
                    said = readers[worker].read(WAIT_S)
                    if said is None or said.get("error"):
                        got = "no word" if said is None else said["error"]
                        raise SimError(sentence("a process that draws", got=got, do="read the lines above"))
                    tell("draw scenes", number - len(processes) + 1, len(missing))
                if number < len(missing):
                    stdin = processes[worker].stdin
                    assert stdin is not None
                    stdin.write(json.dumps(missing[number]).encode() + b"\n")
                    stdin.flush()
    finally:
        for process, reader in zip(processes, readers, strict=True):
            reader.close()
            process.terminate()
            process.wait()


def listed(folder: Path, parts: int) -> list[str]:
    """All lines, in the order of parts."""
    return [
        line
        for part in range(parts)
        for line in (folder / PARTS / f"{part:05d}" / LINES).read_text(encoding="utf-8").splitlines(keepends=True)
    ]
