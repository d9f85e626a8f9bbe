"""Telling a late answer from a fresh one, on a protocol that numbers nothing. Pure: time is passed in.

An STS3215 answer carries only id, length and data, so an answer to an earlier request looks like the
answer to this one (feetech-servo-sdk then returns old data for ever). What can be varied is how many
bytes are asked for: while a servo still owes an answer of one length, whatever it was asked, it is asked
for another one, and the late answer no longer fits. Costs nothing as long as every servo answers in time.

Debts are kept by length, not by request, so requests need no lengths of their own: while an answer of two
bytes is owed, a position (2) is read as three. The tick's own block has 31 to 36 bytes (registers 40..70
to 40..75, all readable); nothing else here is that long but reads at connect (0..39: 40 to 45).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SPARE_LENGTHS = 6  # the wanted length and up to 5 bytes more
QUARANTINE_S = 0.25  # an answer later than this is taken as lost
COPY_S = 0.006  # a second copy of an answer comes within this, if it comes


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask now."""

    length: int  # bytes, at least the wanted ones
    servos: tuple[int, ...]  # whom to ask
    withheld: tuple[int, ...]  # owe an answer of every length: not asked until a debt runs out


class Debts:
    """Which servo owes an answer of which length, until when."""

    def __init__(self, spare: int = SPARE_LENGTHS, quarantine_s: float = QUARANTINE_S) -> None:
        self._spare = spare
        self._quarantine_s = quarantine_s
        self._until: dict[tuple[int, int], float] = {}  # (length, servo) -> s
        self._copies: dict[tuple[int, int], float] = {}  # the same for answers that came and may come again

    def ask(self, length: int, servos: Sequence[int], now: float) -> Ask:
        """`length` or the smallest one above that the fewest of `servos` owe an answer of.

        Lengths of answers that came just now come last. A servo is left out for one of those only while it
        owes others: asking fast alone is never the reason for silence.
        """
        if self._copies:
            self._copies = {key: until for key, until in self._copies.items() if until > now}
        if self._until:
            self._until = {key: until for key, until in self._until.items() if until > now}
        if not self._until and not self._copies:
            return Ask(length, tuple(servos), ())

        def cost(size: int) -> tuple[bool, int, int]:
            owed = sum((size, servo) in self._until for servo in servos)
            copied = sum((size, servo) in self._copies for servo in servos)
            return owed == len(servos), copied, owed

        size = min(range(length, length + self._spare), key=cost)
        owing = {servo for _, servo in self._until}
        barred = {servo for servo in owing if (size, servo) in self._until or (size, servo) in self._copies}
        asked = tuple(servo for servo in servos if servo not in barred)
        return Ask(size, asked, tuple(servo for servo in servos if servo not in asked))

    def unanswered(self, length: int, servos: Iterable[int], now: float) -> None:
        """`servos` were asked for `length` bytes and have not answered."""
        for servo in servos:
            self._until[length, servo] = now + self._quarantine_s

    def answered(self, length: int, servos: Iterable[int], now: float) -> None:
        """`servos` have answered; should the answer come twice, its copy must fit nothing."""
        for servo in servos:
            self._copies[length, servo] = now + COPY_S
