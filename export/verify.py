"""Each graph against the reference model on the golden observation, then the whole action; and a negative control.

A graph is fed what the reference gives its predecessor, so that an error names its own stage. The whole action then
runs end to end. Another noise seed must give another chunk: a comparison that cannot fail would pass everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from policy_spec.compare import Row, relative, row, table, worst
from policy_spec.errors import ExportError, sentence
from policy_spec.pipeline import Observation, Pipeline, Prediction, Run

TOLERANCE_STAGE = 1e-4  # max|difference| / max|reference|, features and K, V (the reference cases' own tolerance)
TOLERANCE_ACTION = 2e-4  # max|difference| of the normalised chunk
CONTROL_FACTOR = 10.0  # another seed must move the chunk by at least this many tolerances

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One observation with what a runner says of it, stage by stage."""

    observation: Observation
    task: str
    seed: int
    prediction: Prediction
    stages: dict[str, np.ndarray]  # features, k_00, v_00, ... by their names
    step: dict[str, np.ndarray]  # one Euler step in the middle of the flow: trajectory, step -> next


def answer(run: Run, pipeline: Pipeline, observation: Observation, task: str, seed: int) -> Answer:
    """Runs one whole call and keeps what passes between the graphs: all that a comparison needs, so that a reference
    model can leave the memory before the graphs are opened.
    """
    stages: dict[str, np.ndarray] = {}
    step: dict[str, np.ndarray] = {}
    middle = pipeline.spec.flow_steps // 2

    def keep(graph: str, feeds: Arrays, /) -> Arrays:
        out = run(graph, feeds)
        # Copied: a run may give, and a pipeline may feed, buffers that the next call overwrites.
        if graph != "flow":
            stages.update({name: value.copy() for name, value in out.items()})
        elif feeds["step"][0] == middle:
            step.update({name: feeds[name].copy() for name in ("trajectory", "step")}, next=out["next"].copy())
        return out

    prediction = pipeline.predict(keep, observation, task, seed=seed)
    return Answer(observation, task, seed, prediction, stages, step)


def verify_graphs(run: Run, pipeline: Pipeline, golden: Answer, progress: Callable[[str], None]) -> list[Row]:
    """The parity table: a row per graph output and one for the whole action. Raises ExportError if any falls short,
    or if the comparison proves nothing.

    golden: the reference model's own answer.
    """
    prepared = pipeline.prepare(golden.observation, golden.task)
    tokens = len(prepared.ids)
    rows: list[Row] = []
    progress("vision")
    features = run("vision", prepared.vision)["features"]
    rows.append(relative_row("vision: features", features, golden.stages["features"]))
    progress("llm")
    out = run("llm", {**prepared.llm, "features": golden.stages["features"]})
    for name, value in out.items():
        cut = (..., slice(0, tokens)) if name[0] == "k" else (..., slice(0, tokens), slice(None))
        rows.append(relative_row(f"llm: {name}", value[cut], golden.stages[name][cut]))
    progress("flow")
    rows.append(_flow_row(run, pipeline, prepared.flow, golden))
    progress("whole action")
    whole = pipeline.predict(run, golden.observation, golden.task, seed=golden.seed)
    rows.append(row("normalized actions", whole.normalized, golden.prediction.normalized, TOLERANCE_ACTION))
    refuse_short(rows, "an exported graph does not agree with the reference model")
    negative_control(run, pipeline, golden)
    return rows


def relative_row(name: str, got: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE_STAGE) -> Row:
    """A row of max|difference| / max|expected|, the worst element as its detail."""
    return Row(name, relative(got, expected), tolerance, str(worst(got, expected)))


def refuse_short(rows: list[Row], what: str) -> None:
    """Raises ExportError with the rows that fall short, if any."""
    short = [r for r in rows if not r.ok]
    if short:
        raise ExportError(sentence(what, got="\n" + table(short), do="report this with the checkpoint's config.json"))


def _flow_row(run: Run, pipeline: Pipeline, shared: Arrays, golden: Answer) -> Row:
    """One Euler step in the middle of the flow, from the reference's own trajectory."""
    context = {name: value for name, value in golden.stages.items() if name != "features"}
    feeds = {**shared, **context, **{name: golden.step[name] for name in ("trajectory", "step")}}
    # Steps past the tag's horizon are padding: hidden from the others, never read, so the two may differ in them.
    steps = slice(0, pipeline.tag.horizon)
    got, expected = run("flow", feeds)["next"][:, steps], golden.step["next"][:, steps]
    return row("flow: next", got, expected, TOLERANCE_ACTION)


def negative_control(run: Run, pipeline: Pipeline, golden: Answer) -> float:
    """Another noise seed must move the chunk. Returns by how much; raises ExportError where it does not."""
    other = pipeline.predict(run, golden.observation, golden.task, seed=golden.seed + 1)
    moved = float(np.abs(other.normalized - golden.prediction.normalized).max())
    return refuse_still(moved, CONTROL_FACTOR * TOLERANCE_ACTION, "another noise seed gives the same chunk")


def refuse_still(moved: float, least: float, what: str) -> float:
    """Raises ExportError where something moved less than it must for a comparison to prove anything."""
    if moved < least:
        raise ExportError(
            sentence(
                f"{what}, so the comparison proves nothing",
                expected=f"a difference of at least {least:g}",
                got=f"{moved:.3g}",
                do="check that the checkpoint is trained",
            )
        )
    return moved
