"""`armside quant sensitivity`: each part of a policy alone in lower precision, measured on recorded observations.

Joins export (float graphs), episodes (samples) and quant (trials). What is finished stands in a journal, so that the
same command goes on after a kill.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from armside.compare_joints import columns
from armside.export_asked import known_by
from armside.progress import Stages, stages
from armside.quant_opened import Float, refuse_large, write_float
from armside.quant_samples import read_set
from armside.quant_statistics import measure as measure_statistics
from armside.stream_bundle import lazy_graphs
from export import build, hub
from export.journal import Journal
from policy_spec.errors import UsageError, sentence
from policy_spec.manifest import armside_version
from policy_spec.norm import NormTag
from quant.collect import wanted_by
from quant.loss import Measured
from quant.samples import SampleOptions, SampleSet
from quant.schemes import SCHEMES
from quant.sensitivity import Bench, Trial, Truth, measure
from quant.sensitivity_file import Joint, Sensitivity, Told, measured_of
from quant.statistics import Statistics
from quant.trials import DEFAULT, check_schemes, trials

CONTROLS = 3  # samples whose chunk is asked for again with other noise


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured."""

    checkpoint: str
    episodes: str
    work: Path
    revision: str | None = None
    norm_tag: str | None = None
    samples: SampleOptions = field(default_factory=lambda: SampleOptions(count=8))
    graphs: build.GraphOptions = field(default_factory=build.GraphOptions)
    schemes: tuple[str, ...] = DEFAULT
    groups: tuple[str, ...] = ()
    layers: bool = False
    threads: int = 0
    fresh: bool = False


def sensitivity(args: argparse.Namespace) -> int:
    """Measures, prints the table, draws it, writes JSON."""
    from armside.json_out import give
    from armside.quant_show import show

    name = Path(args.checkpoint).name
    asked = Asked(
        checkpoint=args.checkpoint,
        episodes=args.episodes,
        work=args.work or Path(f"{name}.sensitivity"),
        revision=args.revision,
        norm_tag=args.norm_tag,
        samples=SampleOptions(args.samples, args.pool, args.seed, args.task),
        graphs=build.GraphOptions(args.cameras, args.prompt_tokens),
        schemes=_words(args.schemes),
        groups=_words(args.groups),
        layers=args.per_layer,
        threads=args.threads,
        fresh=args.fresh,
    )
    with stages() as progress:
        found, notes = find(asked, progress)
    show(found)
    for note in notes:
        print(f"note: {note}")
    if args.png:
        from armside.quant_plot import draw
        from calib.store import write_whole

        write_whole(args.png, draw(found))
        print(f"{args.png}: the plot")
    give(args.json, found.to_json())
    if args.json:
        shutil.rmtree(asked.work, ignore_errors=True)
    else:
        print(f"kept in {asked.work}; the same command with --json FILE writes it at once")
    return 0


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def find(asked: Asked, progress: Stages) -> tuple[Sensitivity, tuple[str, ...]]:
    """The measurement, and what a person should know of it. Raises UsageError (names, another robot, what another
    measurement left), QuantError (too large for this computer), BundleError (no room).
    """
    check_schemes(asked.schemes)
    resolved = hub.resolve_checkpoint(asked.checkpoint, revision=asked.revision)
    job = build.open_job(resolved.path, asked.graphs, progress)
    refuse_large(lazy_graphs(job))
    tag = job.spec.tag(asked.norm_tag)
    found = read_set(asked.episodes, tag, asked.graphs.cameras, asked.samples, progress)
    if asked.fresh:
        shutil.rmtree(asked.work, ignore_errors=True)
    asked.work.mkdir(parents=True, exist_ok=True)
    identity = known_by(resolved.path)
    journal = Journal(asked.work, asked.work, _question(asked, identity, found))
    opened = write_float(job, asked.work / "float32", tag, progress)
    tries = trials(opened.models, asked.schemes, asked.groups, asked.layers)
    stats = _statistics(job, found, tries, opened, progress)
    bench = Bench(opened.folder, opened.pipeline, asked.threads)
    truths = _truths(bench, found, progress)
    rows = _rows(bench, truths, tries, (journal, stats, progress))
    if not rows:
        raise UsageError(sentence("nothing to measure", expected="groups that this checkpoint has", got=asked.groups))
    control = min(bench.other_seed(truth) for truth in truths[:CONTROLS])
    return Sensitivity(
        checkpoint=f"{resolved.source}, {identity}",
        source=found.source,
        sha256=found.sha256,
        samples=tuple(Told(s.place, s.why, s.sha256) for s in found.samples),
        joints=joints_of(tag),
        layers=job.spec.layers,
        flow=sum(truth.flow_loss for truth in truths) / len(truths),
        recorded=all(s.chunk is not None for s in found.samples),
        control=control,
        rows=tuple(rows),
    ), found.notes


def _rows(
    bench: Bench, truths: list[Truth], tries: list[Trial], means: tuple[Journal, Statistics | None, Stages]
) -> list[Measured]:
    """Every trial; those that stand in the journal are not made again."""
    journal, stats, progress = means
    done, total = 0, len(tries) * len(truths)

    def told() -> None:
        nonlocal done
        done += 1
        progress("quantize one part at a time", done, total)

    rows = []
    for number, trial in enumerate(tries):
        done = number * len(truths)
        tried = functools.partial(measure, bench, truths, trial, stats, told)
        rows.append(measured_of(journal.once(f"{trial.part} {trial.scheme}", lambda tried=tried: asdict(tried()))))  # type: ignore[misc]
    return rows


def joints_of(tag: NormTag) -> tuple[Joint, ...]:
    """Columns of a chunk in their units."""
    names = columns(tag.tag, tag.action_dim)
    scale = tag.action.half_range()
    return tuple(Joint(name, unit, float(one)) for (name, unit), one in zip(names, scale, strict=True))


def _question(asked: Asked, identity: str, found: SampleSet) -> dict[str, str]:
    """What numbers depend on; further schemes and groups may be added to a measurement that was interrupted."""
    return {
        "armside": armside_version(),
        "checkpoint": identity,
        "samples": found.sha256,
        "norm tag": found.tag,
        **{name.replace("_", " "): str(value) for name, value in asdict(asked.graphs).items()},
    }


def _truths(bench: Bench, found: SampleSet, progress: Stages) -> list[Truth]:
    truths = []
    for number, sample in enumerate(found.samples):
        progress("float32 on every sample", number, len(found.samples))
        truths.append(bench.truth(sample))
    return truths


def _statistics(
    job: build.Job, found: SampleSet, tries: list[Trial], opened: Float, progress: Stages
) -> Statistics | None:
    """Of what any trial needs; kept between interruptions."""
    wanted: dict[str, dict[str, bool]] = {}
    for trial in tries:
        if SCHEMES[trial.scheme].needs:
            for graph, weights in wanted_by(trial.plan, {trial.graph: opened.models[trial.graph]}).items():
                known = wanted.setdefault(graph, {})
                known.update({weight: gram or known.get(weight, False) for weight, gram in weights.items()})
    if not wanted:
        return None
    digest = hashlib.sha256(repr(sorted((g, sorted(w.items())) for g, w in wanted.items())).encode()).hexdigest()
    path = opened.folder.parent / f"statistics.{digest[:12]}.npz"
    if not path.is_file():
        measure_statistics(job, found, wanted, opened.folder, progress).save(path)
    return Statistics.load(path)
