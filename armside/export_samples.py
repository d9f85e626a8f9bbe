"""Calibration of one export: samples, the statistics of the products whose schemes ask for them, and their record.

What was measured is kept beside the bundle (`BUNDLE.statistics.npz`, and a JSON that says of which checkpoint and
samples), so that an interrupted export, or another one, need not measure again. Joins episodes, quant and export.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from armside.export_asked import known_by
from armside.quant_samples import read_set
from armside.quant_statistics import measure
from armside.stream_bundle import lazy_graphs
from export.build import Job, Progress
from policy_spec.errors import QuantError, sentence
from policy_spec.manifest import Calibration, SampleEntry
from quant.collect import wanted_by
from quant.plan import Plan
from quant.plan_file import needs_samples
from quant.samples import SampleOptions, SampleSet
from quant.statistics import Statistics

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person gave for calibrating."""

    episodes: str | None = None  # a source of observations
    samples: SampleOptions = dataclasses.field(default_factory=SampleOptions)
    norm_tag: str | None = None
    statistics: Path | None = None  # measured before; or where to keep what is measured now

    @property
    def given(self) -> bool:
        """Whether schemes that need activations can be served."""
        return self.episodes is not None or self.statistics is not None


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """For the recipe and for the manifest."""

    stats: Statistics | None = None
    record: Calibration | None = None
    notes: tuple[str, ...] = ()


def calibrate(wish: Wish, job: Job, plan: Plan, bundle: Path, progress: Progress) -> Calibrated:
    """Raises UsageError (another robot), DatasetError, QuantError (statistics that do not serve), BundleError."""
    if not needs_samples(plan):
        unused = ("no scheme of the plan needs calibration samples: the episodes were not used",) if wish.given else ()
        return Calibrated(notes=unused)
    wanted = wanted_by(plan, lazy_graphs(job))
    path = wish.statistics or bundle.with_name(f"{bundle.name}.statistics.npz")
    if wish.episodes is None:
        stats, record = _kept(path, job)
        _refuse_lacking(path, stats, wanted)
        return Calibrated(stats, record)
    tag = job.spec.tag(wish.norm_tag)
    found = read_set(wish.episodes, tag, job.sizes.cameras, wish.samples, progress)
    record = record_of(found)
    if path.is_file():
        stats, before = _kept(path, job)
        if before == record and not _lacking(stats, wanted):
            return Calibrated(stats, record, found.notes)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = bundle.with_name(f".{bundle.name}.float32")  # one that a kill left is begun anew
    shutil.rmtree(work, ignore_errors=True)
    try:
        stats = measure(job, found, wanted, work, progress)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    keep(path, job, stats, record)
    return Calibrated(stats, record, (*found.notes, f"{path}: the statistics, for other exports of this checkpoint"))


def record_of(found: SampleSet) -> Calibration:
    """For the manifest."""
    entries = tuple(SampleEntry(s.place, s.why, s.sha256) for s in found.samples)
    return Calibration(found.source, found.tag, found.sha256, entries)


def keep(path: Path, job: Job, stats: Statistics, record: Calibration) -> None:
    """The statistics, and beside them what they are of; that last, so that it never speaks of others."""
    from calib.store import write_whole

    facts = path.with_suffix(".json")
    facts.unlink(missing_ok=True)
    stats.save(path)
    data = {"version": _VERSION, "checkpoint": known_by(job.folder), "calibration": dataclasses.asdict(record)}
    write_whole(facts, (json.dumps(data, indent=1) + "\n").encode())


def _kept(path: Path, job: Job) -> tuple[Statistics, Calibration]:
    """Raises QuantError where they are not there, damaged, or of another checkpoint."""
    facts = path.with_suffix(".json")
    try:
        data: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8"))
        record, checkpoint = Calibration.from_dict(data["calibration"]), str(data["checkpoint"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise QuantError(
            sentence(f"{facts}, which says what {path.name} is of, cannot be read: {error}", do="give --episodes")
        ) from error
    if checkpoint != known_by(job.folder):
        raise QuantError(
            sentence(
                f"{path} holds statistics of another checkpoint",
                expected=known_by(job.folder),
                got=checkpoint,
                do="give --episodes and another --statistics FILE",
            )
        )
    return Statistics.load(path), record


def _lacking(stats: Statistics, wanted: dict[str, dict[str, bool]]) -> list[str]:
    every = {weight: gram for weights in wanted.values() for weight, gram in weights.items()}
    return [w for w, gram in every.items() if w not in stats or (gram and stats[w].gram is None)]


def _refuse_lacking(path: Path, stats: Statistics, wanted: dict[str, dict[str, bool]]) -> None:
    lacking = _lacking(stats, wanted)
    if lacking:
        raise QuantError(
            sentence(
                f"{path} lacks what the plan needs",
                expected=f"statistics of {sum(map(len, wanted.values()))} products",
                got=f"none (or no Gram matrix) of {len(lacking)}, {lacking[0]} among them",
                do="give --episodes too: they are measured anew",
            )
        )
