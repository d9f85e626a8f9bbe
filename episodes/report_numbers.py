"""The numbers of a report, from a Recording: latencies, cadence, lateness, tracking, clamps. No plots, no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from episodes.recording import Recording

Float64 = npt.NDArray[np.float64]
WHOLE = "observation to arm"  # the timing that holds all stages, and the waits between them
POWERED = ("ready", "running", "paused", "parking")


@dataclass(frozen=True, slots=True)
class Spread:
    """One row of a table of durations. Seconds."""

    name: str
    count: int
    p50: float
    p95: float
    p99: float
    worst: float


@dataclass(frozen=True, slots=True)
class JointTracking:
    """How closely a joint followed while its torque was on, in its own unit."""

    joint: str
    unit: str
    low: float  # measured
    high: float
    rms: float  # of commanded - measured
    worst: float


@dataclass(frozen=True, slots=True)
class Clamp:
    """How often one limit held a joint back."""

    what: str
    ticks: int
    share: float  # of all ticks that followed a chunk


@dataclass(frozen=True, slots=True)
class Numbers:
    """Everything that the page says in numbers."""

    seconds: float
    predictions: int
    outcomes: tuple[tuple[str, int], ...]  # outcome of a chunk -> how many
    stages: tuple[Spread, ...]
    cadence: tuple[Spread, ...]  # between two chunks that were sent
    frame_ages: tuple[Spread, ...]  # per camera, when it was looked at
    late_ticks: int
    worst_lateness_s: float
    missing_statuses: int  # that never reached the recording
    waited_s: float  # ready without a chunk, after the first one
    tracking: tuple[JointTracking, ...]
    clamps: tuple[Clamp, ...]


def numbers(run: Recording) -> Numbers:
    """All of it."""
    ticks, sent = run.ticks, [c for c in run.chunks if c.outcome == "sent"]
    gaps = np.diff(ticks["seq"]) - 1 if len(ticks) > 1 else np.zeros(0)
    outcomes: dict[str, int] = {}
    for chunk in run.chunks:
        outcomes[chunk.outcome] = outcomes.get(chunk.outcome, 0) + 1
    return Numbers(
        seconds=float(ticks["t"][-1] - ticks["t"][0]) if len(ticks) else 0.0,
        predictions=len(run.chunks),
        outcomes=tuple(sorted(outcomes.items(), key=lambda pair: -pair[1])),
        stages=stage_spreads(run),
        cadence=(spread("between two chunks", np.diff([c.t for c in sent])),) if len(sent) > 1 else (),
        frame_ages=frame_ages(run),
        late_ticks=int(ticks["late_ticks"][-1]) if len(ticks) else 0,
        worst_lateness_s=float(ticks["worst_lateness_s"].max()) if len(ticks) else 0.0,
        missing_statuses=int(gaps.sum()),
        waited_s=_waited_s(run),
        tracking=tracking(run),
        clamps=clamps(run),
    )


def spread(name: str, values: Sequence[float] | Float64) -> Spread:
    """Percentiles of durations; at least one value."""
    p50, p95, p99, worst = np.percentile(np.asarray(values, np.float64), [50, 95, 99, 100])
    return Spread(name, len(values), float(p50), float(p95), float(p99), float(worst))


def stage_spreads(run: Recording) -> tuple[Spread, ...]:
    """Stages in the order in which a call runs them, the whole last."""
    names = list(dict.fromkeys(name for chunk in run.chunks for name in chunk.timings_s))
    names.sort(key=lambda name: name == WHOLE)
    return tuple(
        spread(name, [c.timings_s[name] for c in run.chunks if name in c.timings_s]) for name in names
    )


def frame_ages(run: Recording) -> tuple[Spread, ...]:
    """How old each camera's picture was when the policy looked at it."""
    slots = list(dict.fromkeys(slot for o in run.observations for slot in o.image_times))
    return tuple(
        spread(slot, [o.t - o.image_times[slot] for o in run.observations if slot in o.image_times])
        for slot in slots
    )


def mode_is(run: Recording, *words: str) -> npt.NDArray[np.bool_]:
    """[ticks] whether the bridge was in one of these modes."""
    wanted = [number for number, word in enumerate(run.modes) if word in words]
    return np.isin(run.ticks["mode"], wanted)


def _waited_s(run: Recording) -> float:
    """Time in `ready` without a chunk, after the first was followed and before the run ended."""
    followed = np.flatnonzero(mode_is(run, "running"))
    if not len(followed):
        return 0.0
    between = slice(followed[0], followed[-1])
    step = float(np.median(np.diff(run.ticks["t"]))) if len(run.ticks) > 1 else 0.0
    return float(mode_is(run, "ready")[between].sum()) * step


def tracking(run: Recording) -> tuple[JointTracking, ...]:
    """Commanded against measured, over the ticks with torque on."""
    powered = run.ticks[mode_is(run, *POWERED)]
    if not len(powered):
        return ()
    off = powered["commanded"] - powered["measured"]
    return tuple(
        JointTracking(
            joint=joint,
            unit=run.header.joint_units[number],
            low=float(powered["measured"][:, number].min()),
            high=float(powered["measured"][:, number].max()),
            rms=float(np.sqrt(np.mean(off[:, number] ** 2))),
            worst=float(np.abs(off[:, number]).max()),
        )
        for number, joint in enumerate(run.header.joints)
    )


def clamps(run: Recording) -> tuple[Clamp, ...]:
    """Each limit that held something back, the most frequent first."""
    moving = max(1, int(mode_is(run, "running", "shadow").sum()))
    found = []
    for bit, what in enumerate(run.clamp_words):
        count = int(((run.ticks["clamped"] >> np.uint64(bit)) & np.uint64(1)).sum())
        found.append(Clamp(what, count, count / moving))
    return tuple(sorted(found, key=lambda clamp: -clamp.ticks))
