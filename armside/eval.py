"""`armside eval BUNDLE ...`: a policy plays simulated episodes through the servo protocol; how often it succeeds.

Closed loop in lockstep: the run's own loop and pilot, the bridge's own safety core, servo frames on a pseudo-terminal,
a MuJoCo world. Several bundles play the same scenes and are compared pair by pair. With --out every episode is in a
journal as soon as it is over, and the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from armside.eval_cases import Case, Condition, Outcome
    from armside.eval_player import Settings

EACH = "each"
JOURNAL = "journal.jsonl"
GIF_FPS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.json_out import add_json_argument
    from policy_spec.frames import frame_names

    parser.epilog = (
        "examples: armside eval BUNDLE --task reach --episodes 100; armside eval FP32 INT8 --task all --out runs/eval; "
        "armside eval BUNDLE --task reach --perturb each; armside eval expert --task pick"
    )
    parser.add_argument(
        "bundles",
        metavar="BUNDLE",
        nargs="+",
        help="folders that armside export wrote; or checkpoints, played in torch by the reference model; expert: the "
        "scripted one",
    )
    what = parser.add_argument_group("the episodes")
    what.add_argument("--task", default="reach", help="reach, push, pick, several with commas, or all (default: reach)")
    what.add_argument("--episodes", type=int, default=100, metavar="N", help="of each task (default: 100)")
    what.add_argument("--seed", type=int, default=0, metavar="S", help="of the first held-out scene (default: 0)")
    what.add_argument(
        "--perturb",
        action="append",
        default=[],
        metavar="WORDS",
        help="position, light, wording, distractors, camera, table: those of one list at once; may be given again for "
        "another row; each: every one alone, beside none",
    )
    what.add_argument("--limit", type=float, default=0.0, metavar="S", help="of an episode (default: the task's own)")
    what.add_argument("--wrong-word", action="store_true", help="say another object or side than the judge wants")
    what.add_argument("--black-camera", action="store_true", help="every picture is black")
    how = parser.add_argument_group("the policy")
    how.add_argument("--execute", type=int, default=0, metavar="K", help="steps used of each chunk (default: half)")
    how.add_argument("--rate", type=float, default=10.0, metavar="HZ", help="actions per second (default: 10)")
    how.add_argument("--latency-ms", type=float, default=0.0, metavar="MS", help="that a prediction takes (default: 0)")
    how.add_argument(
        "--camera", action="append", default=[], metavar="SLOT=NAME", help="the scene's front or wrist for a slot"
    )
    how.add_argument("--norm-tag", metavar="TAG", help="needed where the checkpoint has several")
    how.add_argument("--joint-frame", choices=frame_names(), default="so101-molmoact2", help="of the policy")
    out = parser.add_argument_group("the evaluation")
    out.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that play (default: 1)")
    out.add_argument("--threads", type=int, default=0, metavar="N", help="of inference in each (default: all cores)")
    out.add_argument(
        "--out", metavar="DIR", type=Path, help="journal, results and videos; goes on where it was stopped"
    )
    out.add_argument(
        "--video",
        type=int,
        default=0,
        metavar="N",
        help="with --out: the first N episodes of each row as GIF and, all of them, as film.webp: both cameras, what "
        "was said, what came of it",
    )
    add_json_argument(out)


def run(args: argparse.Namespace) -> int:
    """Plays what is not in the journal yet, and shows the table."""
    from rich.console import Console

    from armside.eval_table import compare, lines_of, make_rows, table_of, to_json
    from armside.json_out import give

    refuse_unfit(args)
    cases = cases_of(args)
    names = names_of(args.bundles)
    outcomes = {name: evaluate(args, name, settings_of(args, path), cases) for name, path in names.items()}
    rows = [row for name, found in outcomes.items() for row in make_rows(name, found)]
    compared = compare(outcomes) if len(outcomes) > 1 else []
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table_of(rows))
    for line in lines_of(compared):
        print(line)
    result = to_json(rows, compared, {"policies": names, "episodes": args.episodes, "seed": args.seed})
    if args.out is not None:
        give(args.out / "results.json", result)
    give(args.json, result)
    return 0


def refuse_unfit(args: argparse.Namespace) -> None:
    """Numbers that cannot be."""
    for name, value, low in (
        ("--episodes", args.episodes, 1),
        ("--jobs", args.jobs, 1),
        ("--seed", args.seed, 0),
        ("--execute", args.execute, 0),
        ("--video", args.video, 0),
        ("--threads", args.threads, 0),
    ):
        if value < low:
            raise UsageError(sentence(name, expected=f"{low} or more", got=value))
    if not 0 < args.rate <= 50 or not 0 <= args.latency_ms < 60_000:
        got = f"{args.rate:g} Hz, {args.latency_ms:g} ms"
        raise UsageError(sentence("--rate and --latency-ms", expected="up to 50 Hz, below 60 s", got=got))
    if not 0 <= args.limit < 3600:
        raise UsageError(sentence("--limit", expected="seconds, below an hour", got=args.limit))
    if args.video and args.out is None:
        raise UsageError(sentence("--video", expected="--out DIR, where the videos go", got="no --out"))


def cases_of(args: argparse.Namespace) -> list[Case]:
    """All episodes of one policy. Raises SimError, UsageError for names that are none."""
    from armside.eval_cases import make_cases
    from sim.tasks.table import TASKS, task_of

    tasks = list(TASKS) if args.task == "all" else args.task.split(",")
    for task in tasks:
        task_of(task)
    return make_cases(tasks, conditions_of(args), args.episodes, args.seed)


def conditions_of(args: argparse.Namespace) -> list[Condition]:
    """One for each --perturb, or the plain one. UsageError for a perturbation that is none."""
    from armside.eval_cases import Condition
    from sim.randomise import PERTURBATIONS

    lists: list[tuple[str, ...]] = []
    for words in args.perturb or [""]:
        lists += [(), *((name,) for name in PERTURBATIONS)] if words == EACH else [_words(words)]
    for name in (name for row in lists for name in row):
        if name not in PERTURBATIONS:
            expected = ", ".join((*PERTURBATIONS, EACH))
            raise UsageError(sentence("--perturb", expected=expected, got=name))
    return [Condition(row, args.wrong_word, args.black_camera) for row in dict.fromkeys(lists)]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def names_of(bundles: Sequence[str]) -> dict[str, str]:
    """A short name for each policy: its folder's, or all of its path where two would be equal. UsageError."""
    short = [Path(path).name or path for path in bundles]
    names = short if len(set(short)) == len(short) else list(bundles)
    if len(set(names)) != len(names):
        raise UsageError(sentence("bundles", expected="each once", got=", ".join(bundles)))
    return dict(zip(names, bundles, strict=True))


def settings_of(args: argparse.Namespace, policy: str) -> Settings:
    """How one policy plays."""
    from armside.eval_player import Settings
    from armside.run import parse_cameras

    return Settings(
        policy=policy,
        frame=args.joint_frame,
        cameras=parse_cameras(args.camera),
        norm_tag=args.norm_tag,
        execute=args.execute,
        rate_hz=args.rate,
        latency_ms=args.latency_ms,
        limit_s=args.limit,
        threads=args.threads,
    )


def evaluate(args: argparse.Namespace, name: str, settings: Settings, cases: Sequence[Case]) -> list[Outcome]:
    """Outcomes of all cases, those of the journal taken as they are."""
    from armside.eval_cases import Journal
    from armside.eval_pool import Pool
    from armside.progress import stages

    folder = None if args.out is None else args.out / name.replace("/", "_")
    journal = Journal(None if folder is None else folder / JOURNAL, journal_settings(settings))
    left = [case for case in cases if case not in journal.done]
    try:
        with tempfile.TemporaryDirectory(prefix="armside-eval-") as scratch, stages() as tell:
            shown = shown_cases(args, left, Path(scratch))
            if left:
                with Pool(settings, min(args.jobs, len(left))) as pool:
                    for outcome in pool.play(left, shown):
                        journal.add(outcome)
                        tell(f"{name}: episodes", sum(case in journal.done for case in cases), len(cases))
            if folder is not None and shown:
                show(folder, [(journal.done[case], path) for case, path in shown.items()])
    finally:
        journal.close()
    return [journal.done[case] for case in cases]


def journal_settings(settings: Settings) -> dict[str, Any]:
    """What an outcome depends on: the bundle's own content, not where it lies, and how it is asked."""
    from armside.eval_player import EXPERT
    from armside.eval_torch import is_checkpoint, sha256_of
    from policy_spec.bundle import open_bundle

    facts = dataclasses.asdict(settings)
    facts.pop("threads")
    if is_checkpoint(Path(settings.policy)):
        facts["policy"] = sha256_of(Path(settings.policy))
    elif settings.policy != EXPERT:
        manifest = open_bundle(Path(settings.policy)).manifest
        facts["policy"] = hashlib.sha256(manifest.to_json().encode()).hexdigest()
    return facts


def shown_cases(args: argparse.Namespace, left: Sequence[Case], folder: Path) -> dict[Case, Path]:
    """The first --video cases of each task and condition, of those that are still to be played."""
    count: dict[tuple[str, Condition], int] = {}
    found: dict[Case, Path] = {}
    for case in left:
        number = count.setdefault((case.task, case.condition), 0)
        if number < args.video:
            found[case] = folder / f"{len(found)}.npz"
        count[case.task, case.condition] = number + 1
    return found


def show(folder: Path, played: Sequence[tuple[Outcome, Path]]) -> None:
    """A GIF of each, one sheet of all, and one film."""
    import numpy as np

    from armside.eval_film import Shown, write_film
    from armside.eval_show import write_gif, write_sheet

    rows, films = [], []
    for outcome, path in played:
        with np.load(path, allow_pickle=False) as arrays:
            frames = list(arrays["frames"])
        case = outcome.case
        name = "-".join([case.task, case.condition.name.replace(", ", "+").replace(" ", "-"), str(case.seed)])
        write_gif(folder / f"{name}.gif", frames, GIF_FPS)
        rows.append((f"{name}: {outcome.said} ({outcome.ending}, {outcome.seconds:.1f} s)", outcome.success, frames))
        films.append(Shown(outcome.said, outcome.success, outcome.words, frames))
    write_sheet(folder / "sheet.png", rows)
    write_film(folder / "film.webp", films, GIF_FPS)
