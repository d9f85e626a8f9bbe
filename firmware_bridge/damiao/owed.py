"""Telling a late answer from a fresh one: feedback frames carry no number. Pure: time is passed in.

A motor answers each request once and in order, so an answer belongs to the newest request exactly when no
other is still owed. A motor that owes one past the tick's patience is left alone (quarantine) until its
debt has come in or run out: only then can the next answer be told apart. While it is left alone it holds
its last command; the quarantine is well below its watchdog (checks.TIMEOUT_MIN_S).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

QUARANTINE_S = 0.05
UNKNOWN = 1000  # as many answers as nobody owes: only time ends such a debt
STRAYS = 5.0  # answers nobody asked for, within about a second: somebody else asks, or all come far too late


@dataclass(slots=True)
class _Debt:
    owed: int = 0
    answered: bool = False  # the newest request has its answer
    until: float | None = None  # s, end of the quarantine
    strays: float = 0.0  # answers nobody asked for, halved each second
    stray_at: float = 0.0  # s, the last one


class Owed:
    """Debts of motors 0..count-1."""

    def __init__(self, count: int, quarantine_s: float = QUARANTINE_S) -> None:
        self._debts = [_Debt() for _ in range(count)]
        self._quarantine_s = quarantine_s

    def may_ask(self, motor: int, now: float) -> bool:
        """Whether an answer to a request now could be told apart."""
        debt = self._debts[motor]
        if debt.until is None:
            return True
        if now < debt.until:
            return False
        debt.until, debt.owed = None, 0  # an answer later than this is taken as lost
        return True

    def asked(self, motor: int, now: float) -> None:
        """A request went out. One that was forced into a quarantine prolongs it."""
        debt = self._debts[motor]
        debt.owed += 1
        debt.answered = False
        if debt.until is not None:
            debt.until = max(debt.until, now + self._quarantine_s)

    def unsent(self, motor: int) -> None:
        """A request that should have gone out did not: what came before is old now."""
        self._debts[motor].answered = False

    def doubtful(self, motor: int, now: float, owed: int = 1) -> None:
        """A request may have gone out, or a predecessor's may be on their way: `owed` of them."""
        debt = self._debts[motor]
        debt.owed += owed
        debt.answered = False
        debt.until = now + self._quarantine_s

    def came(self, motor: int, now: float) -> None:
        """An answer of `motor` arrived."""
        debt = self._debts[motor]
        if debt.owed == 0:  # from before a quarantine's end, or another program asks too
            debt.strays, debt.stray_at = _faded(debt, now) + 1.0, now
            debt.until, debt.answered = now + self._quarantine_s, False
            return
        debt.owed -= 1
        if debt.until is None:
            debt.answered = debt.owed == 0
        elif debt.owed == 0:
            debt.until = None  # all debts are in, late: known, but not fresh

    def waiting(self) -> int | None:
        """A motor that is not in quarantine and still owes an answer, or None."""
        return next((index for index, debt in enumerate(self._debts) if debt.owed and debt.until is None), None)

    def give_up(self, now: float) -> None:
        """Whoever still owes has been waited for long enough."""
        for debt in self._debts:
            if debt.owed and debt.until is None:
                debt.until = now + self._quarantine_s

    def fresh(self, motor: int) -> bool:
        """Whether the newest request to `motor` has been answered, for certain."""
        debt = self._debts[motor]
        return debt.answered and debt.until is None and debt.owed == 0

    def in_doubt(self, motor: int, now: float) -> bool:
        """Whether `motor` keeps giving answers that nobody here asked for."""
        return _faded(self._debts[motor], now) >= STRAYS


def _faded(debt: _Debt, now: float) -> float:
    return debt.strays * math.pow(0.5, max(0.0, now - debt.stray_at))
