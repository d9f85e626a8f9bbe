"""A checkpoint's stages for every plan to be priced with: export's graphs, counted by quant, without weights.

Joins export (graphs of the checkpoint's shapes) and quant (counts, plans, targets). Seconds at any size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from export.build import GraphOptions, Sizes
from export.shape_only import ShapeOnly, empty_graphs, sizes_of
from policy_spec.graphs import FAST_TOKENS
from policy_spec.spec import PolicySpec
from quant.auto import Candidate
from quant.cost import Cost, Stage, cost_of
from quant.count import GraphCount, count_graph
from quant.fit import fitted
from quant.plan import Plan, make_plan
from quant.precisions import PRECISIONS
from quant.roofline import predict
from quant.targets import Target


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """One export before it is made."""

    spec: PolicySpec
    sizes: Sizes
    stages: tuple[Stage, ...]

    @property
    def graphs(self) -> tuple[GraphCount, ...]:
        """Each graph once."""
        return tuple({stage.count.name: stage.count for stage in self.stages}.values())

    @property
    def weights(self) -> list[tuple[str, str]]:
        """(graph, initializer) of all."""
        return [(graph.name, weight.name) for graph in self.graphs for weight in graph.weights]

    def cost(self, plan: Plan, target: Target) -> Cost:
        """What a plan costs on a target."""
        return cost_of(plan, self.stages, target.form)

    def plan(self, precision: str, target: Target) -> Plan:
        """A named precision's plan on a target, its groups fitted to these shapes."""
        return fitted(make_plan(precision, target.float_type), self.graphs)

    def candidates(self, target: Target, precisions: Iterable[str] = tuple(PRECISIONS)) -> list[Candidate]:
        """Every named plan that the target takes, with its prediction."""
        made = []
        for name in precisions:
            if target.why_refused(name) is None:
                plan = self.plan(name, target)
                made.append(Candidate(plan, predict(target, name, self.cost(plan, target))))
        return made


def count_checkpoint(checkpoint_dir: Path, options: GraphOptions) -> Counted:
    """Raises CheckpointError and UsageError as an export would, before any weight is read."""
    checkpoint = ShapeOnly(checkpoint_dir)
    spec, sizes = sizes_of(checkpoint, options)
    graphs = empty_graphs(checkpoint, spec, sizes)
    if not sizes.variant.cached:
        counts = {name: count_graph(model) for name, model in graphs.items()}
        stages = [Stage(name, count, _runs(spec, name)) for name, count in counts.items()]
        return Counted(spec, sizes, tuple(stages))
    stages = []
    for name, model in graphs.items():
        if name != "llm":
            stages.append(Stage(name, count_graph(model), _runs(spec, name)))
            continue
        stages.append(Stage("prefill", count_graph(model, {"K": sizes.bracket, "M": 1}), 1))
        passes, note = _passes(spec, sizes)
        stages.append(Stage("decode", count_graph(model, {"K": 1, "M": 1}), passes, note))
    return Counted(spec, sizes, tuple(stages))


def _runs(spec: PolicySpec, graph: str) -> int:
    return spec.flow_steps if graph == "flow" else 1


def _passes(spec: PolicySpec, sizes: Sizes) -> tuple[int, str]:
    """How often the language model runs after the prompt, one token each, at most."""
    if sizes.variant.mode == "think":
        return spec.depth_codes + 2, "all codes new; cells that did not change are replayed in fewer passes"
    return FAST_TOKENS * sizes.horizon, "the longest answer that is allowed; trained policies' are far shorter"
