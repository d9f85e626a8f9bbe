"""The rows of bench.precisions: every precision of `armside export`, and every scheme on the language model alone."""

from __future__ import annotations

from dataclasses import dataclass

from policy_spec.errors import UsageError
from quant.count import GraphCount
from quant.fit import check_groups, fitted
from quant.groups import GROUPS
from quant.plan import Choice, Plan, make_plan
from quant.precisions import BF16, FULL, PRECISIONS
from quant.rewrite import EMULATED, ORT
from quant.schemes import SCHEMES
from quant.schemes.base import FLOAT

LLM = ("llm.attention", "llm.ffn")
PRECISION, SCHEME = "precision", "scheme"


@dataclass(frozen=True, slots=True)
class Row:
    """One plan."""

    name: str
    kind: str  # PRECISION, or SCHEME: one scheme on the language model's products, the rest float32
    plan: Plan
    form: str = ORT

    @property
    def timed(self) -> bool:
        """False where ONNX Runtime's CPU has no such products: every value is rounded, to see the error alone."""
        return self.form == ORT


def rows_of(counts: tuple[GraphCount, ...]) -> list[Row]:
    """Of a checkpoint whose graphs were counted. Schemes whose groups do not divide its matrices are left out."""
    rows = []
    for name in PRECISIONS:
        plan = fitted(make_plan(name, FULL), counts)
        rows.append(Row(name, PRECISION, plan, EMULATED if plan.base("llm") == BF16 else ORT))
    for name, scheme in SCHEMES.items():
        if scheme.form != FLOAT and scheme.quantize is not None and divides(name, counts):
            rows.append(Row(f"llm: {name}", SCHEME, one_scheme(name, *LLM)))
    return rows


def divides(scheme: str, counts: tuple[GraphCount, ...]) -> bool:
    """Whether its groups fit the language model's matrices."""
    try:
        check_groups(one_scheme(scheme, *LLM), counts)
    except UsageError:
        return False
    return True


def one_scheme(scheme: str, *groups: str) -> Plan:
    """The scheme for some groups, float32 for all others."""
    choices = tuple(Choice(g.name, scheme if g.name in groups else FULL, "measured alone") for g in GROUPS)
    return Plan(scheme, choices, FULL)
