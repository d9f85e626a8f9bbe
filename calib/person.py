"""Who sits at the arm: the contract of four words between a procedure and a person, and a twin that needs none.

A procedure tells, asks, shows what is live, and hears whether the person is done with what is going on. terminal.py
is the real one; `Scripted` answers from a table, for machines without a person and for tests. Draws nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from policy_spec.errors import Cancelled, UsageError, sentence

YES, NO = "yes", "no"
CANCEL = "cancel"  # a scripted answer that stops the procedure there
DONE, AGAIN, QUIT = "done", "again", "quit"  # what a person may say while something live goes on


@dataclass(frozen=True, slots=True)
class Question:
    """`key` names it for scripts: "release", "pose", "sweep.refused", "write"."""

    key: str
    text: str
    options: tuple[str, ...] = (YES, NO)
    usual: str = YES  # what Enter means, and what --yes answers
    drawing: str = ""  # an arm drawn in text, shown above it


@dataclass(frozen=True, slots=True)
class JointRow:
    """One joint on the live screen, ticks or rad as `unit` of the view says."""

    name: str
    now: float | None  # None: no answer
    low: float | None  # seen so far
    high: float | None
    expected: tuple[float, float] | None  # narrowest and widest range that will be accepted; None: turns freely
    state: str  # "waiting", "short", "good", "wide", "lost"
    note: str = ""


@dataclass(frozen=True, slots=True)
class LiveView:
    """What is on the screen while something goes on."""

    title: str
    todo: str  # what to do next
    rows: tuple[JointRow, ...]
    unit: str = "ticks"
    keys: tuple[tuple[str, str], ...] = (("Enter", "done"), ("q", "cancel"))
    drawing: str = ""
    message: str = ""  # something that just happened and matters


class Person(Protocol):
    """Raises Cancelled from `ask` and `hear` when the person wants out."""

    alone: bool  # nobody can press a key: whatever can be finished by itself is

    def tell(self, text: str) -> None:
        """One line, or a few, that stay readable."""

    def ask(self, question: Question) -> str:
        """One of the question's options. Waits."""

    def show(self, view: LiveView) -> None:
        """Replaces what is shown live; cheap enough for 30 times a second. A `tell` or `ask` ends it."""

    def hear(self) -> str:
        """DONE, AGAIN or "": what was pressed since the last call. Never waits."""


@dataclass(slots=True)
class Scripted:
    """Answers by key: `answers`, then (`yes`) the usual one. A key that nobody foresaw raises UsageError.

    A list answers the same key several times in a row; CANCEL cancels there. `heard` is what `hear` gives, once
    each; afterwards nothing, for `alone` is True and procedures end by themselves.
    """

    answers: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    yes: bool = False
    heard: list[str] = field(default_factory=list)
    say: object = None  # a function that takes each told line; None: silent
    alone: bool = True
    asked: list[str] = field(default_factory=list)  # keys so far
    told: list[str] = field(default_factory=list)
    views: list[LiveView] = field(default_factory=list)  # the newest view of each title

    def tell(self, text: str) -> None:
        self.told.append(text)
        if callable(self.say):
            self.say(text)

    def ask(self, question: Question) -> str:
        before = self.asked.count(question.key)
        self.asked.append(question.key)
        given = self.answers.get(question.key)
        if given is not None and not isinstance(given, str):
            given = given[before] if before < len(given) else None
        if given is None and self.yes:
            given = question.usual
        if given == CANCEL:
            raise Cancelled(f"cancelled at: {question.text}")
        if given not in question.options:
            expected = f"{' or '.join((*question.options, CANCEL))} for {question.key}"
            do = "put it into the script's answers, or give --yes"
            raise UsageError(sentence(f"unanswered: {question.text}", expected=expected, got=given, do=do))
        self.tell(f"{question.text} {given}")
        return given

    def show(self, view: LiveView) -> None:
        if self.views and self.views[-1].title == view.title:
            self.views[-1] = view
        else:
            self.views.append(view)

    def hear(self) -> str:
        word = self.heard.pop(0) if self.heard else ""
        if word == QUIT:
            raise Cancelled("cancelled")
        return word
