"""`armside bench BUNDLE`: how long a call takes on this board, by stage, with all that such a number depends on."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.session import Session
    from policy_spec.pipeline import Observation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.json_out import add_json_argument
    from armside.run import add_engine_argument

    parser.epilog = (
        "examples: armside bench BUNDLE --json bench.json; armside bench THINK --plain BUNDLE --json think.json. "
        "No arm is touched. What to send back from a Jetson: docs/hardware.md"
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="the folder that armside export wrote")
    parser.add_argument(
        "--plain",
        metavar="BUNDLE",
        type=Path,
        help="beside a think bundle: a continuous one of the same checkpoint, timed in turn, for the ratio",
    )
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="timed calls of each (default: 30)")
    parser.add_argument("--warm", type=int, default=3, metavar="N", help="calls before them (default: 3)")
    parser.add_argument(
        "--changed",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="of a think bundle: the share of the picture's cells that changes from call to call (default: 0.2)",
    )
    parser.add_argument(
        "--robot",
        metavar="ROBOT",
        help="a profile or a type of arm: the bundle must fit it, and a profile's cameras give the pictures",
    )
    parser.add_argument("--camera", action="append", default=[], metavar="SLOT=SOURCE", help="as of armside run")
    parser.add_argument("--task", default="", help="what to do, in plain words (default: the golden's)")
    add_engine_argument(parser)
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of inference (default: all cores)")
    parser.add_argument("--load", choices=("all", "turn"), default="all", help="graphs in memory: all, or in turn")
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Measures, prints the table, gives the JSON."""
    from armside.bench_print import show
    from armside.bench_run import measure
    from armside.json_out import give
    from armside.progress import stages

    refuse_unfit(args)
    with cameras_of(args) as pictures, stages() as progress:
        found = measure(make_plan(args, pictures), lambda done, total: progress("timing calls", done, total))
    show(found)
    give(args.json, found)
    return 0


def make_plan(args: argparse.Namespace, pictures: Any) -> Any:
    """The Plan of these words."""
    import functools

    from armside.bench_run import Plan
    from edge.board import ask_nvpmodel, read_board
    from edge.engine import EngineOptions
    from edge.session import Session

    def open_one(bundle: Path, norm_tag: str) -> Session:
        options = EngineOptions(args.threads, args.load, args.engine)
        return Session.open(bundle, norm_tag=norm_tag, engine=options)

    query = functools.cache(ask_nvpmodel)  # at most once: a program that is started between calls would be timed too
    return Plan(
        bundle=args.bundle,
        open=open_one,
        look=lambda: read_board(query=query),
        plain=args.plain,
        count=args.rounds,
        warm=args.warm,
        changed=args.changed,
        task=args.task,
        pictures=pictures,
    )


def refuse_unfit(args: argparse.Namespace) -> None:
    """Numbers that cannot be. UsageError."""
    from policy_spec.errors import UsageError, sentence

    for name, value, least in (("--rounds", args.rounds, 1), ("--warm", args.warm, 0), ("--threads", args.threads, 0)):
        if value < least:
            raise UsageError(sentence(name, expected=f"{least} or more", got=value))
    if not 0 < args.changed <= 1:
        raise UsageError(sentence("--changed", expected="a share above 0, at most 1", got=args.changed))


@contextlib.contextmanager
def cameras_of(args: argparse.Namespace) -> Iterator[Callable[[Session], Callable[[], Observation]] | None]:
    """What gives pictures where cameras were named; None: the golden's. Raises UsageError, BundleError, CameraError."""
    from armside.run import parse_cameras

    sources = parse_cameras(args.camera)
    if args.robot:
        from armside.profile import resolve
        from policy_spec.bundle import open_bundle

        profile = resolve(args.robot)
        open_bundle(args.bundle).require_arm(profile.type)
        sources = {**profile.cameras, **sources}
    if not sources:
        yield None
        return
    from edge.cameras import open_cameras
    from policy_spec.golden import Golden
    from policy_spec.pipeline import Observation

    state = Golden.load(args.bundle).state
    with contextlib.ExitStack() as stack:

        def pictures(session: Session) -> Callable[[], Observation]:
            cameras = stack.enter_context(open_cameras(sources, session.slots))
            return lambda: Observation(tuple(frame.image for frame in cameras.newest().values()), state)

        yield pictures
