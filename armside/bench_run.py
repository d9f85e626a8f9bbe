"""Times a bundle on this board: sessions as `armside run` opens them, every side in each round, the board watched.

Takes a Plan, gives the result as plain data (docs/hardware.md has its form). Knows nothing of terminals.
"""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from statistics import mean
from typing import Any

from armside.bench_aims import CALL, RATIO, Subject, judge
from armside.bench_board import Look, Watch, software
from armside.bench_pictures import shots
from edge.priority import in_background, step_back
from edge.session import Session
from edge.timing import WHOLE, by_part, rounds, spreads, timed
from policy_spec.bundle import open_bundle
from policy_spec.depth_patches import grid_side
from policy_spec.errors import UsageError, sentence
from policy_spec.generated import Depth
from policy_spec.golden import Golden
from policy_spec.pipeline import Observation

FORMAT = 1
KIB = 1024
PLAIN = "plain"  # the side of the other bundle
Open = Callable[[Path, str], Session]  # bundle, norm tag
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    bundle: Path
    open: Open
    look: Look
    plain: Path | None = None  # a continuous bundle of the same checkpoint, beside a think bundle
    count: int = 30  # rounds
    warm: int = 3
    changed: float = 0.2  # share of the depth cells that changes between two calls
    task: str = ""  # "" the golden's
    pictures: Callable[[Session], Callable[[], Observation]] | None = None  # None: of the golden


@dataclass(slots=True)
class Side:
    """One row of the table: a session and what it sees."""

    session: Session
    see: Callable[[], Observation]
    task: str
    shares: list[float] | None = None  # of changed cells, a call each
    passes: list[int] | None = None  # of the language model

    def call(self) -> dict[str, float]:
        """One call by part."""
        prediction, seconds = timed(self.session, self.see(), self.task)
        self.note(prediction.depth)
        return by_part(seconds)

    def note(self, depth: Depth | None) -> None:
        """What a thinking call did."""
        if depth is not None:
            self.shares = [*(self.shares or []), float(depth.changed.mean())]
            self.passes = [*(self.passes or []), depth.passes]


def measure(plan: Plan, tell: Tell = lambda done, total: None) -> dict[str, Any]:
    """The whole result. Raises what Session.open and predict raise, UsageError for bundles that do not go together."""
    with ExitStack() as stack:
        watch = Watch(plan.look)
        sides, session = make_sides(plan, stack)
        # Calls run where the predictor's do: in one thread that steps back behind the arm's tick. Ctrl-C waits for one.
        lowered = stack.enter_context(ThreadPoolExecutor(1, "calls", initializer=step_back))

        def after(number: int) -> None:
            watch.again()
            tell(number + plan.warm, plan.count + plan.warm)

        calls = {name: lambda side=side: lowered.submit(side.call).result() for name, side in sides.items()}
        tell(0, plan.count + plan.warm)
        kept = rounds(calls, plan.count, plan.warm, after)
        return result(plan, session, sides, kept, watch)


def make_sides(plan: Plan, stack: ExitStack) -> tuple[dict[str, Side], Session]:
    """Rows by name, in their order; the session of the bundle that was asked for."""
    open_bundle(plan.bundle)  # what is no bundle is named as such, before its golden call is looked for
    golden = Golden.load(plan.bundle)
    session = stack.enter_context(in_background(lambda: plan.open(plan.bundle, golden.tag)))
    thinks = session.bundle.manifest.mode == "think"
    if plan.plain is not None and not thinks:
        mode = session.bundle.manifest.mode
        raise UsageError(sentence("--plain is beside a think bundle", got=f"{plan.bundle}, a {mode} one"))
    see: Callable[[], Observation] = plan.pictures(session) if plan.pictures else lambda: golden.observation
    name = "call"
    if thinks and plan.pictures is None:
        name = f"think, {plan.changed:.0%} of the cells change"
        see = moving(golden, grid_side(session.bundle.spec.depth_codes), plan.changed)
    sides = {name: Side(session, see, plan.task or golden.task)}
    if plan.plain is not None:
        path, other = plan.plain, Golden.load(plan.plain)
        plain = stack.enter_context(in_background(lambda: plan.open(path, golden.tag)))
        refuse_other(session, plain)
        still = plan.pictures(plain) if plan.pictures else lambda: other.observation
        sides[PLAIN] = Side(plain, still, plan.task or other.task)
    return sides, session


def moving(golden: Golden, side: int, share: float) -> Callable[[], Observation]:
    """Each call another picture of the first camera; the others stay."""
    pictures: Iterator[Any] = shots(golden.images[0], side, share)
    return lambda: replace(golden.observation, images=(next(pictures), *golden.images[1:]))


def refuse_other(think: Session, plain: Session) -> None:
    """Raises UsageError where the two are not of the same size: a ratio of them would say nothing."""
    for what, one, other in (
        ("mode", "continuous", plain.bundle.manifest.mode),
        ("precision", think.bundle.manifest.precision, plain.bundle.manifest.precision),
        ("cameras", think.bundle.manifest.cameras, plain.bundle.manifest.cameras),
        ("layers", think.bundle.spec.layers, plain.bundle.spec.layers),
        ("joints", think.tag.action_dim, plain.tag.action_dim),
        ("steps of a chunk", think.tag.horizon, plain.tag.horizon),
    ):
        if one != other:
            raise UsageError(sentence(f"--plain is of another policy or kind: {what}", expected=one, got=other))


def result(
    plan: Plan, session: Session, sides: dict[str, Side], kept: dict[str, list[dict[str, float]]], watch: Watch
) -> dict[str, Any]:
    """Everything as plain data."""
    manifest, spec, ready = session.bundle.manifest, session.bundle.spec, session.ready
    board = watch.result()
    calls = {name: side_result(sides[name], samples) for name, samples in kept.items()}
    first = next(iter(calls.values()))
    whole = first["ms"][WHOLE]["p50"]
    measured = {CALL: whole} if manifest.mode == "continuous" else {}
    if PLAIN in calls:
        measured[RATIO] = whole / calls[PLAIN]["ms"][WHOLE]["p50"]
    changed = first.get("changed", 0.0)
    subject = Subject(watch.before.model, manifest.precision, spec.layers, manifest.cameras, changed)
    return {
        "format": FORMAT,
        "kind": "armside bench",
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "bundle": {
            "name": plan.bundle.name,
            "sha256": hashlib.sha256((plan.bundle / "manifest.json").read_bytes()).hexdigest(),
            **{key: getattr(manifest, key) for key in ("mode", "precision", "target", "cameras", "bracket", "horizon")},
            "source": asdict(manifest.source),
            "layers": spec.layers,
            "flow_steps": spec.flow_steps,
            "exported_by": manifest.armside_version,
        },
        "engine": session.engine.name,
        "opened": {
            **{key: getattr(ready, key) for key in ("open_s", "bundle_s", "engine_s", "first_call_s", "tolerance")},
            "golden_error": ready.golden.error,
            "stages": [{**asdict(r), "error": float(r.error), "tolerance": float(r.tolerance)} for r in ready.stages],
        },
        "rounds": plan.count,
        "calls": calls,
        "ratios": {RATIO: measured[RATIO]} if RATIO in measured else {},
        "aims": [asdict(judgement) for judgement in judge(subject, measured)],
        "memory": memory(),
        "board": board,
        "software": software(),
    }


def side_result(side: Side, samples: list[dict[str, float]]) -> dict[str, Any]:
    """Spreads by part, rates, and of thinking its share of changed cells and its passes."""
    ms = {name: asdict(spread) for name, spread in spreads(samples).items()}
    per_second = 1e3 / ms[WHOLE]["p50"]
    found: dict[str, Any] = {
        "ms": ms,
        "calls_per_s": per_second,
        "actions_per_s": per_second * side.session.tag.n_action_steps,
        "samples_ms": [1e3 * sample[WHOLE] for sample in samples],
    }
    count = len(samples)  # calls that warmed up are not among them
    if side.shares and side.passes:
        found |= {"changed": mean(side.shares[-count:]), "passes": mean(side.passes[-count:])}
    return found


def memory() -> dict[str, int]:
    """Of this process, bytes. What a board's GPU takes of the same memory shows in the board's free bytes."""
    import psutil

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
    return {"resident": psutil.Process().memory_info().rss, "peak": peak}
