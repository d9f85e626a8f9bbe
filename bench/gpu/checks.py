"""Whether the ways of a call agree, before any is timed: stage by stage, worst element; and what must differ.

The truth is the plain model in float32 with the same (bfloat16) numbers as weights. What half floats cost is seen in
the eager plain call; a captured call may be off by a few times that and no more. The controls are the captured call
with a mask that is wrong, and another noise: a check that does not see those is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np

from bench.gpu.plain import PlainCall
from bench.gpu.static_call import StaticCall
from policy_spec.compare import Worst, cosine, worst
from policy_spec.errors import SessionError, sentence
from policy_spec.pipeline import Float32, Pipeline, Prepared

TIMES_EAGER = 4.0  # of the eager call's own error
LEAST = 2e-4  # relative: what float32 kernels differ by


class Call(Protocol):
    """One way of a call."""

    def __call__(self, prepared: Prepared, noise: Float32, /) -> Float32: ...


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What a call is given."""

    prepared: Prepared
    noise: Float32


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison with the truth."""

    way: str
    what: str  # actions of a prompt, or a stage
    cosine: float
    worst: Worst
    relative: float  # worst element, of the largest of the truth
    limit: float
    control: bool = False  # it must be over the limit

    @property
    def kind(self) -> str:
        """Actions, or the stage."""
        return self.what.split(",")[0]

    @property
    def right(self) -> bool:
        """It is where it should be."""
        return (self.relative > self.limit) == self.control

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "right": self.right}


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The plain float32 model's answers."""

    actions: tuple[Float32, ...]
    stages: dict[str, Float32]  # of the first sample: features, and all layers' k and v for the expert


def truth_of(call: PlainCall, samples: tuple[Sample, ...]) -> Truth:
    """Of a PlainCall in float32."""
    stages, actions = dict[str, Float32](), []
    for sample in samples:
        actions.append(call(sample.prepared, sample.noise))
        stages = stages or plain_stages(call)
    return Truth(tuple(actions), stages)


def plain_stages(call: PlainCall) -> dict[str, Float32]:
    """Of its last call."""
    assert call.features is not None
    out = {"features": call.features.float().cpu().numpy()}
    for at, name in enumerate("kv"):
        out[f"expert {name}"] = np.stack([pair[at][0].float().cpu().numpy() for pair in call.context])
    return out


def static_stages(call: StaticCall, tokens: int) -> dict[str, Float32]:
    """Of its last call."""
    kv = call.flow.kv[..., :tokens, :].float().cpu().numpy()
    return {"features": call.vision.features[1:].float().cpu().numpy(), "expert k": kv[:, 0], "expert v": kv[:, 1]}


def samples_of(
    pipeline: Pipeline, seen: Any, tasks: tuple[str, ...], noise: Float32 | None = None
) -> tuple[Sample, ...]:
    """A sample for each task in arrays of its own, each with other noise where none is given."""
    drawn = [pipeline.noise(i) if noise is None else noise for i in range(len(tasks))]
    return tuple(Sample(pipeline.prepare(seen, task), one) for task, one in zip(tasks, drawn, strict=True))


def check(ways: Mapping[str, Call], truth: Truth, samples: tuple[Sample, ...]) -> list[Row]:
    """Of `ways` the first is eager and the last is ours. Eager's error sets the limit of each kind."""
    limits, rows = dict.fromkeys(("actions", *truth.stages), LEAST), list[Row]()
    for number, (name, call) in enumerate(ways.items()):
        found = rows_of(name, call, truth, samples, limits)
        if number == 0:
            for r in found:
                limits[r.kind] = max(limits[r.kind], TIMES_EAGER * r.relative)
            found = [replace(r, limit=limits[r.kind]) for r in found]
        rows += found
    ours = list(ways.values())[-1]
    return rows + [control(what, ours, wrong, truth, limits) for what, wrong in wrongs(samples[0]).items()]


def rows_of(name: str, call: Call, truth: Truth, samples: tuple[Sample, ...], limits: Mapping[str, float]) -> list[Row]:
    """One way: actions of all samples, stages of the first."""
    out = []
    limit = limits["actions"] * getattr(call, "rough", 1.0)
    for sample, expected in zip(samples, truth.actions, strict=True):
        what = f"actions, {len(sample.prepared.ids)} tokens"
        out.append(row(name, what, (call(sample.prepared, sample.noise), expected), limit))
        got = stages_of(call, sample) if sample is samples[0] else {}
        out += [row(name, stage, (value, truth.stages[stage]), limits[stage]) for stage, value in got.items()]
    return out


def stages_of(call: Call, sample: Sample) -> dict[str, Float32]:
    """After the call that made them."""
    if isinstance(call, StaticCall):
        return static_stages(call, len(sample.prepared.ids))
    return plain_stages(call) if isinstance(call, PlainCall) else {}


def wrongs(right: Sample) -> dict[str, Sample]:
    """What a call must not confuse with the sample."""
    prepared = right.prepared
    tokens = {**prepared.llm, "token_type": np.zeros_like(prepared.llm["token_type"])}
    seen = {**prepared.flow, "context_bias": np.zeros_like(prepared.flow["context_bias"])}
    return {
        "pictures see each other causally only": Sample(replace(prepared, llm=tokens), right.noise),
        "the expert sees padding and what is hidden": Sample(replace(prepared, flow=seen), right.noise),
        "another noise": Sample(prepared, np.ascontiguousarray(right.noise[:, ::-1])),
    }


def control(what: str, call: Call, wrong: Sample, truth: Truth, limits: Mapping[str, float]) -> Row:
    """It must be over the limit in the actions or in a stage: the row where it is furthest."""
    pairs = {"actions": (call(wrong.prepared, wrong.noise), truth.actions[0])}
    pairs |= {stage: (value, truth.stages[stage]) for stage, value in stages_of(call, wrong).items()}
    rows = [row("control", f"{kind}, {what}", pair, limits[kind]) for kind, pair in pairs.items()]
    return replace(max(rows, key=lambda r: r.relative / r.limit), control=True)


def row(way: str, what: str, pair: tuple[Float32, Float32], limit: float) -> Row:
    """One comparison: what was got, and the truth."""
    found, scale = worst(*pair), float(np.abs(pair[1]).max())
    return Row(way, what, cosine(*pair), found, found.error / scale, limit)


def refuse(rows: list[Row], progress: Callable[[str], None], strict: bool) -> None:
    """Raises SessionError where a way is off or, if strict, a control is not; `progress` gets the whole table first.

    Not strict, for half floats: a control within their noise is said, and stands in the table as not right.
    """
    wrong = [found for found in rows if not found.right]
    if wrong:
        progress("\n".join(table(rows)))
    for found in wrong:
        if found.control and not strict:
            progress(f"{found.what}: not seen in half floats; run --dtype float32 to see it")
            continue
        side = "over" if found.control else "at most"
        raise SessionError(
            sentence(
                f"{found.way}: {found.what}",
                expected=f"a worst element {side} {found.limit:.2g} of the largest",
                got=f"{found.relative:.2g} ({found.worst})",
                do="do not use the times of this run; send the table of checks with an issue",
            )
        )


def table(rows: list[Row]) -> list[str]:
    """Markdown."""
    lines = ["| way | what | cosine | worst / largest | limit | worst element |", "|---|---|---|---|---|---|"]
    for r in rows:
        word = "must exceed " if r.control else ""
        lines.append(f"| {r.way} | {r.what} | {r.cosine:.6f} | {r.relative:.2g} | {word}{r.limit:.2g} | {r.worst} |")
    return lines
