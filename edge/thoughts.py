"""What a policy generated before it acted, in words for a person: of the newest call, and over a whole run.

Takes Predictions. Policies that generate nothing have no words.
"""

from __future__ import annotations

from dataclasses import dataclass

from policy_spec.generated import Depth, Discrete
from policy_spec.pipeline import Prediction

DEPTH, DISCRETE = "depth maps", "discrete answers"


@dataclass(slots=True)
class Thoughts:
    """`hear` every prediction; `newest` and `summary()` are "" where there is nothing to say."""

    newest: str = ""
    kind: str = ""  # DEPTH or DISCRETE
    count: int = 0
    passes: int = 0  # of the language model, as the next four over all calls
    asked: int = 0  # cells that changed, or tokens
    accepted: int = 0
    places: int = 0  # cells in all, or tokens
    small_margins: int = 0

    def hear(self, prediction: Prediction) -> None:
        """Counts one call."""
        if prediction.depth is not None:
            self._depth(prediction.depth)
        elif prediction.discrete is not None:
            self._discrete(prediction.discrete)

    def summary(self) -> str:
        """One line over the run."""
        if not self.count:
            return ""
        what = "those" if self.kind == DEPTH else "the tokens"
        words = [f"{self.kind}: {self.count}", f"{self.passes / self.count:.1f} passes of the language model each"]
        if self.kind == DEPTH:
            words.append(f"{100 * self.asked / self.places:.0f} % of the cells changed")
        if self.accepted:
            words.append(f"{100 * self.accepted / self.asked:.0f} % of {what} drafted right")
        if self.small_margins:
            words.append(f"{self.small_margins} narrow decisions")
        return ", ".join(words)

    def _depth(self, depth: Depth) -> None:
        changed = int(depth.changed.sum())
        self.newest = f"depth: {_passes(depth.passes)}, {changed} of {len(depth.codes)} cells changed"
        self._add(DEPTH, depth, changed, len(depth.codes))

    def _discrete(self, answer: Discrete) -> None:
        self.newest = f"answer: {_passes(answer.passes)}, {len(answer.tokens)} tokens"
        self._add(DISCRETE, answer, len(answer.tokens), len(answer.tokens))

    def _add(self, kind: str, what: Depth | Discrete, asked: int, places: int) -> None:
        self.kind, self.count, self.passes = kind, self.count + 1, self.passes + what.passes
        self.asked, self.places, self.accepted = self.asked + asked, self.places + places, self.accepted + what.accepted
        self.small_margins += what.small_margins


def _passes(count: int) -> str:
    return "1 pass" if count == 1 else f"{count} passes"
