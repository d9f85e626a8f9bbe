"""Telling a late answer from a fresh one, on a protocol that numbers nothing. Pure: time is passed in.

An STS3215 answer carries only id, length and data, so an answer to an earlier request looks like the
answer to this one (feetech-servo-sdk then returns old data for ever). What can be varied is how many
bytes are asked for: while a servo still owes an answer of one length, it is asked for another one, and
the late answer no longer fits. Costs nothing as long as every servo answers in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SPARE_LENGTHS = 6  # lengths 15..20 of registers 56..75, all readable
QUARANTINE_S = 0.25  # an answer later than this is taken as lost


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask now."""

    extra: int  # bytes beyond the wanted length
    servos: tuple[int, ...]  # whom to ask
    withheld: tuple[int, ...]  # owe an answer of every length: not asked until a debt runs out


class Debts:
    """Which servo owes an answer of which length, until when."""

    def __init__(self, spare: int = SPARE_LENGTHS, quarantine_s: float = QUARANTINE_S) -> None:
        self._spare = spare
        self._quarantine_s = quarantine_s
        self._until: dict[tuple[int, int], float] = {}  # (extra, servo) -> s

    def ask(self, servos: Sequence[int], now: float) -> Ask:
        """The smallest extra length that the fewest of `servos` owe an answer of."""
        if not self._until:
            return Ask(0, tuple(servos), ())
        self._until = {key: until for key, until in self._until.items() if until > now}
        owing = [{servo for servo in servos if (extra, servo) in self._until} for extra in range(self._spare)]
        extra = min(range(self._spare), key=lambda index: len(owing[index]))
        asked = tuple(servo for servo in servos if servo not in owing[extra])
        return Ask(extra, asked, tuple(servo for servo in servos if servo in owing[extra]))

    def unanswered(self, extra: int, servos: Sequence[int], now: float) -> None:
        """`servos` were asked for `extra` more bytes and have not answered."""
        for servo in servos:
            self._until[extra, servo] = now + self._quarantine_s
