"""`--precision auto`: the plan that loses least of those that fit a target, and of equals the fastest.

Takes each candidate with its prediction; says what was chosen, why, and why each other was passed over. What a plan
loses is measured where a sensitivity file says so, else the order of the rows in quant.precisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from policy_spec.errors import UsageError, sentence
from quant.plan import Plan
from quant.plan_file import needs_samples
from quant.precisions import PRECISIONS
from quant.roofline import FITS, TIGHT, Prediction
from quant.targets import GB, Target

Loss = Callable[[Plan], float | None]  # what a plan loses by measurement; None where that was not measured


@dataclass(frozen=True, slots=True)
class Candidate:
    """One plan, already fitted to the checkpoint's shapes, and what it would cost on the target."""

    plan: Plan
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Chosen:
    """The answer, in words too."""

    plan: Plan
    why: str
    passed: tuple[tuple[str, str], ...]  # precision, why not

    def words(self) -> tuple[str, ...]:
        """For a person: what was taken and why, and what was passed over."""
        others = "; ".join(f"{name} ({why})" for name, why in self.passed)
        return f"--precision auto took {self.plan.precision}: it {self.why}", f"passed over: {others}"


def choose(target: Target, candidates: Sequence[Candidate], samples: bool, loss: Loss | None = None) -> Chosen:
    """samples: whether there are calibration samples. Raises UsageError where nothing fits, with the smallest."""
    usable, passed = [], []
    for candidate in candidates:
        precision, memory = candidate.plan.precision, candidate.prediction.memory
        if needs_samples(candidate.plan) and not samples:
            passed.append((precision, "needs calibration samples, and there are none"))
        elif memory.fits != FITS:
            passed.append((precision, _too_big(target, candidate)))
        else:
            usable.append(candidate)
    if not usable:
        least = min(candidates, key=lambda c: c.prediction.memory.run)
        raise UsageError(
            sentence(
                f"no precision fits {target.name}",
                expected=f"at most {target.usable_gb[0]:.1f} GB while it runs",
                got=f"{least.prediction.memory.run / GB:.1f} GB, by the smallest ({least.plan.precision})",
                do="choose a larger target, fewer cameras, or name a precision and run with nothing else on the board",
            )
        )
    measured = {c.plan.precision: loss(c.plan) if loss else None for c in usable}
    told = all(value is not None for value in measured.values())

    def key(candidate: Candidate) -> tuple[float, float]:
        name = candidate.plan.precision
        lost = measured[name] if told else None
        return float(PRECISIONS[name].loss) if lost is None else lost, candidate.prediction.floor

    usable.sort(key=key)
    best = usable[0]
    passed += [(c.plan.precision, _worse(best, c, key)) for c in usable[1:]]
    return Chosen(best.plan, _why(target, best, _order(measured, loss is not None)), tuple(passed))


def _too_big(target: Target, candidate: Candidate) -> str:
    memory = candidate.prediction.memory
    need = f"{memory.run / GB:.1f} GB while it runs"
    if memory.fits == TIGHT:
        left = f"{target.usable_gb[0]:.1f} to {target.usable_gb[1]:.1f} GB"
        return f"{need}: only with nothing else on {target.name} ({left})"
    return f"{need}: {target.name} has {target.usable_gb[1]:.1f} GB for it at most"


def _worse(best: Candidate, other: Candidate, key: Callable[[Candidate], tuple[float, float]]) -> str:
    if key(other)[0] > key(best)[0]:
        faster = best.prediction.floor / other.prediction.floor
        return "loses more" + (f", though {faster:.1f} times as fast" if faster > 1.05 else "")
    return f"slower: a floor of {other.prediction.floor * 1e3:.3g} ms"


def _order(measured: Mapping[str, float | None], asked: bool) -> str:
    """By what the candidates were ordered."""
    missing = [name for name, value in measured.items() if value is None]
    if not missing:
        return "by the measured sensitivity"
    return "by the order of the precisions" + (f" (nobody measured {', '.join(missing)})" if asked else "")


def _why(target: Target, best: Candidate, order: str) -> str:
    memory = best.prediction.memory
    return (
        f"loses least {order} of what fits {target.name}: {memory.run / GB:.1f} GB while it runs, of "
        f"{target.usable_gb[0]:.1f} to {target.usable_gb[1]:.1f} GB"
    )
