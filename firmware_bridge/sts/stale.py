"""Telling a late answer from a fresh one, on a protocol that numbers nothing. Pure: time is passed in.

An STS3215 answer carries only id, length and data, so an answer to an earlier request looks like the
answer to this one (feetech-servo-sdk then returns old data for ever). What can be varied is how many
bytes are asked for: while a servo still owes an answer of one length, whatever it was asked, it is asked
for another one, and the late answer no longer fits. Two requests in a row never ask for the same length, so
an answer that comes twice fits only once. Costs a byte every other time while every servo answers in time.

Debts are kept by length, not by request, so requests need no lengths of their own: while an answer of two
bytes is owed, a position (2) is read as three. The tick's own block has 31 to 36 bytes (registers 40..70
to 40..75, all readable); nothing else here is that long but reads at connect (0..39: 40 to 45).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SPARE_LENGTHS = 6  # the wanted length and up to 5 bytes more
QUARANTINE_S = 0.25  # an answer later than this is taken as lost


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

    def ask(self, length: int, servos: Sequence[int], now: float, last: int = 0) -> Ask:
        """`length` or the smallest one above that the fewest of `servos` owe an answer of.

        `last`: the length that was asked for just before, avoided too: should an answer come twice, its
        second copy fits nothing.
        """
        if not self._until:
            return Ask(length + (length == last), tuple(servos), ())
        self._until = {key: until for key, until in self._until.items() if until > now}
        lengths = range(length, length + self._spare)
        owing = {size: {servo for servo in servos if (size, servo) in self._until} for size in lengths}
        size = min(lengths, key=lambda one: (len(owing[one]), one == last))
        asked = tuple(servo for servo in servos if servo not in owing[size])
        return Ask(size, asked, tuple(servo for servo in servos if servo in owing[size]))

    def unanswered(self, length: int, servos: Sequence[int], now: float) -> None:
        """`servos` were asked for `length` bytes and have not answered."""
        for servo in servos:
            self._until[length, servo] = now + self._quarantine_s
