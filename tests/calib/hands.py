"""A person with hands for tests: answers questions by name and moves the limp joints of a Bench as the screen asks."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from calib.person import DONE, LiveView, Question, Scripted
from calib.sts.guide import WORDS
from calib.sts.live import Pace
from calib.sts.sweep import CLOSE_TITLE, SWEEP_TITLE
from firmware_bridge.sts.travel import TRAVEL
from firmware_bridge.sts.virtual_bench import Bench

QUICK = Pace(0.004, settle_s=0.03, moved_s=0.06, pose_s=0.03, closed_s=0.03, still_s=0.06, patience_s=10.0)
STEP = 20.0  # degrees of a guided move
SPEED = 800.0  # degrees/s
REST = 4  # looks for which hands stay at a stop
FAR = 400.0  # degrees: to the stop


@dataclass(frozen=True, slots=True)
class Told:
    """A move that is made only once the screen says so: what nobody saw on a busy machine is waited for."""

    says: str
    move: dict[str, float]


Moves = list[dict[str, float] | Told]


def guided(bench: Bench, joint: str) -> Moves:
    """What a person does who is asked to move `joint`, and back."""
    now = bench.angle(joint)
    return [{joint: now + WORDS[joint][0] * STEP}]


def from_stop_to_stop(bench: Bench) -> Moves:
    """A whole sweep, back to the middle."""
    limited = [name for name, travel in TRAVEL.items() if not travel.free]
    low, high = dict.fromkeys(limited, -FAR), dict.fromkeys(limited, FAR)
    return [low, high, dict.fromkeys(limited, 0.0) | {"gripper": 20.0}]


@dataclass(slots=True)
class Hands(Scripted):
    """`does`: title of a live view -> what the hands do when it first appears, instead of the usual."""

    bench: Bench | None = None
    does: Mapping[str, Callable[[Bench], Moves]] = field(default_factory=dict)
    left: collections.deque[dict[str, float] | Told] = field(default_factory=collections.deque)
    title: str = ""
    at: str = ""  # the title at which `acts` runs, after `after` views of it
    acts: Callable[[], None] | None = None
    after: int = 1
    seen: int = 0
    rested: int = 0
    moves_on_ask: Mapping[str, Callable[[Bench], Moves]] = field(default_factory=dict)  # before a question is answered
    presses: dict[str, Callable[[], bool]] = field(default_factory=dict)
    leaves: Callable[[], bool] | None = None  # the procedure's patience ends only from then on; None: at its time

    def press_when(self, title: str, when: Callable[[], bool]) -> None:
        """Enter at the view `title`, as soon as `when` is true."""
        self.presses[title] = when

    def hear(self) -> str:
        if self.title in self.presses and self.seen > 1 and self.presses[self.title]():
            del self.presses[self.title]  # once
            return DONE
        return Scripted.hear(self)

    def show(self, view: LiveView) -> None:
        Scripted.show(self, view)
        assert self.bench is not None
        if "hold still" in view.todo:
            return
        if view.title != self.title:
            self.title, self.seen = view.title, 0
            self.left = collections.deque(self._moves(view.title))
            self.rested = REST - 1
        self.seen += 1
        if self.leaves is not None:
            self.alone = self.leaves()
        if self.acts is not None and view.title == self.at and self.seen == self.after:
            self.acts()
        self.rested = 0 if self.bench._moving() else self.rested + 1
        if view.title == SWEEP_TITLE and not self.left and self.rested > 10 * REST:
            self.left = collections.deque(self._moves(view.title))  # it was not seen, on a busy machine: once more
        if self.left and self.rested >= REST and (move := self._due(view)) is not None:
            self.left.popleft()
            self.bench.hand(SPEED, **move)
            self.rested = 0

    @property
    def done(self) -> bool:
        """All that was to be moved was moved."""
        return not self.left and self.rested >= REST

    def done_but(self, joint: str) -> bool:
        """All that was to be moved was moved and seen; of `joint` what there is."""
        rows = self.views[-1].rows
        return self.done and all(row.state == "good" for row in rows if row.name != joint)

    def swept(self, joint: str, state: str) -> bool:
        """The sweep was made and seen, of `joint` as `state`."""
        rows = {row.name: row.state for row in self.views[-1].rows} if self.title == SWEEP_TITLE else {}
        return rows.get(joint) == state and self.done_but(joint)

    def ask(self, question: Question) -> str:
        self.title = ""  # the same view again is a new one
        assert self.bench is not None
        if question.key in self.moves_on_ask:
            for move in self.moves_on_ask[question.key](self.bench):
                self.bench.hand(SPEED, **move)
                self.bench.wait()
        return Scripted.ask(self, question)

    def _due(self, view: LiveView) -> dict[str, float] | None:
        """The next move, None: not yet."""
        move = self.left[0]
        if isinstance(move, Told):
            return move.move if move.says in view.message else None
        return move

    def _moves(self, title: str) -> Moves:
        assert self.bench is not None
        if title in self.does:
            return self.does[title](self.bench)
        if title == SWEEP_TITLE:
            return from_stop_to_stop(self.bench)
        if title == CLOSE_TITLE:
            return [{"gripper": -FAR}]
        joint = title.rpartition(": ")[2]
        return guided(self.bench, joint) if joint in WORDS else []
