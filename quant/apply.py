"""A folder of float32 graphs becomes a folder of quantized ones, with the plan's account of every tensor group.

Takes *.onnx with external data and a plan; weights are read, quantized and written one at a time. Knows nothing of
bundles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from policy_spec.errors import ArmsideError, QuantError, sentence
from policy_spec.graphs import EVERY_GRAPH
from quant.plan import Plan
from quant.rewrite import ORT, original, quantize_model
from quant.statistics import Statistics

Progress = Callable[[str, int, int], None]
_BESIDE = (".scale", ".step", ".before")  # what belongs to a weight and is no tensor of its own


@dataclass(frozen=True, slots=True)
class GroupAccount:
    """What became of one tensor group."""

    group: str
    scheme: str
    reason: str
    tensors: int
    bytes: int  # as stored


def apply_plan(
    source: Path,
    target: Path,
    plan: Plan,
    progress: Progress,
    stats: Statistics | None = None,
    form: str = ORT,
) -> list[GroupAccount]:
    """Writes every graph of `source`, NAME.onnx, into `target` by the plan, in one of quant.rewrite.FORMS. Raises
    ExportError where a weight is in no group, QuantError where the plan cannot be followed.
    """
    target.mkdir(parents=True, exist_ok=True)
    tally: dict[str, list[int]] = {choice.group: [0, 0] for choice in plan.choices}
    for name in [name for name in EVERY_GRAPH if (source / f"{name}.onnx").is_file()]:
        model = ir.load(source / f"{name}.onnx")
        stage = f"quantize {name}"
        quantize_model(model, plan, stats, form)
        with _refusals_as_they_are():
            ir.save(
                model,
                target / f"{name}.onnx",
                external_data=f"{name}.onnx.data",
                callback=lambda _tensor, info, stage=stage: progress(stage, info.index + 1, info.total),  # type: ignore[misc]
            )
        count_groups(model, plan, tally)
    _refuse_empty(plan, tally)
    return [
        GroupAccount(choice.group, choice.scheme, choice.reason, *tally[choice.group])
        for choice in plan.choices
        if tally[choice.group][0]
    ]


@contextmanager
def _refusals_as_they_are() -> Iterator[None]:
    """What a scheme refuses while a weight is written comes wrapped in onnx_ir's own errors: unwrapped here."""
    try:
        yield
    except ir.serde.SerdeError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ArmsideError):
            cause = cause.__cause__
        raise cause or error from error


def _refuse_empty(plan: Plan, tally: dict[str, list[int]]) -> None:
    """A choice for a layer that the model does not have is a mistake; a mode may lack a whole group."""
    for choice in plan.choices:
        if "@" in choice.group and not tally[choice.group][0]:
            raise QuantError(
                sentence(
                    f"the plan says {choice.scheme} for {choice.group}, and no tensor is there",
                    expected="layers that the model has",
                    do="correct the plan",
                )
            )


def count_groups(model: ir.Model, plan: Plan, tally: dict[str, list[int]]) -> None:
    """Adds each initializer's count and bytes to its group; the parts of a quantized weight count as one tensor."""
    for name, value in model.graph.initializers.items():
        if name.startswith("quant."):
            continue
        tensor = value.const_value
        assert tensor is not None
        entry = tally[plan.choice(str(model.graph.name), original(name)).group]
        entry[0] += not name.removesuffix(".low").endswith(_BESIDE)
        entry[1] += tensor.nbytes
