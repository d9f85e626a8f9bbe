"""What a servo's registers should read, once the host has written them: torque, its limit, the marker, the goal.

A servo that restarted, or that another program wrote to, is seen in the reading before the next goal would
silently turn its torque on again. Takes raw telemetry, gives differences. Pure. Nothing is expected of a
register before it was written: in shadow the torque is not our business.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.sts.registers import REGISTERS, TELEMETRY_ADDRESS, TELEMETRY_LENGTH, Register

Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint16]

LOST_GOALS = 5  # goals in a row that a servo did not take: it hears nothing
FOREIGN = 3  # weight of a reading that was never sent; each good reading takes 1 off
FOREIGN_LIMIT = 9  # three in a row, or one in three for a while: another program writes goals
PAST = 16  # goals remembered: a servo that missed a few still shows one of them


@dataclass(frozen=True, slots=True)
class Difference:
    """One register of one servo that does not read as written."""

    row: int  # which servo, in the arm's order
    name: str
    reading: int
    expected: int

    def __str__(self) -> str:
        return f"{self.name} reads {self.reading}, expected {self.expected}"


class Expected:
    """Bytes of the telemetry block that are known because the host wrote them."""

    def __init__(self, count: int) -> None:
        self._want = np.zeros((count, TELEMETRY_LENGTH), np.uint8)
        self._mask = np.zeros_like(self._want)
        self._names: set[str] = set()

    def wrote(self, name: str, values: int | Sequence[int]) -> None:
        """The register `name` holds `values` (one for all, or one per servo) from now on."""
        register = REGISTERS[name]
        rows = [values] * len(self._want) if isinstance(values, int) else values
        at = _bytes_of(register)
        self._want[:, at] = [list(register.encode(value)) for value in rows]
        self._mask[:, at] = 0xFF
        self._names.add(name)

    def forget(self) -> None:
        self._mask[:] = 0
        self._names.clear()

    def differences(self, block: npt.NDArray[np.uint8], fresh: Bools) -> list[Difference]:
        """Where `block` [D, 31] of the servos that are `fresh` differs."""
        wrong = ((block ^ self._want) & self._mask).any(axis=1) & fresh
        if not wrong.any():
            return []
        found = []
        for row in np.flatnonzero(wrong).tolist():
            for name in sorted(self._names, key=lambda name: REGISTERS[name].address):
                register = REGISTERS[name]
                at = _bytes_of(register)
                reading, wanted = (register.decode(source[row, at].tobytes()) for source in (block, self._want))
                if reading != wanted:
                    found.append(Difference(row, name, reading, wanted))
        return found


def _bytes_of(register: Register) -> slice:
    at = register.address - TELEMETRY_ADDRESS
    return slice(at, at + register.length)


class Goals:
    """Whether each servo's Goal_Position is the goal that was last sent to it.

    A sync_write is not acknowledged, so a single lost frame shows here as a servo that still has an earlier
    goal: counted, and forgiven up to LOST_GOALS in a row. A value that was never sent is another program's,
    and is named when it stays or keeps coming back.
    """

    def __init__(self, count: int) -> None:
        self.lost_total = 0  # goals that did not arrive
        self.foreign_total = 0  # readings of goals that nobody here sent
        self._watched = np.zeros(count, np.bool_)
        self._last: Words = np.zeros(count, np.uint16)
        self._past: collections.deque[Words] = collections.deque(maxlen=PAST)
        self._sent = False  # since the last check
        self._lost = np.zeros(count, np.int64)
        self._foreign = np.zeros(count, np.int64)

    def start(self, ticks: Sequence[int], watched: Sequence[bool] | None = None) -> None:
        """These goals were written to the `watched` servos (None: all) and read back; nothing else counts."""
        self.forget()
        self._watched[:] = True if watched is None else watched
        self._last = _words(ticks)

    def sent(self, ticks: Sequence[int]) -> None:
        """Goals left for all servos."""
        if not self._watched.any():
            return
        self._past.append(self._last)
        self._last = _words(ticks)
        self._sent = True

    def forget(self) -> None:
        self._watched[:] = False
        self._past.clear()
        self._lost[:] = 0
        self._foreign[:] = 0
        self._sent = False

    def check(self, registers: Words, fresh: Bools) -> list[Difference]:
        """Once per reading: `registers` [D] as read. Gives the servos whose patience is used up."""
        sent, self._sent = self._sent, False
        seen = self._watched & fresh
        bad = seen & (registers != self._last)
        good = seen & ~bad
        self._lost[good] = 0
        self._foreign[good] = np.maximum(self._foreign[good] - 1, 0)
        if not bad.any():
            return []
        found = []
        for row in np.flatnonzero(bad).tolist():
            if any(past[row] == registers[row] for past in self._past):
                self._lost[row] += sent
                self.lost_total += sent
            else:
                self._foreign[row] += FOREIGN
                self.foreign_total += 1
            if self._lost[row] >= LOST_GOALS or self._foreign[row] >= FOREIGN_LIMIT:
                decode = REGISTERS["Goal_Position"].decode
                reading, wanted = (decode(value[row].tobytes()) for value in (registers, self._last))
                found.append(Difference(row, "Goal_Position", reading, wanted))
        return found


def _words(ticks: Sequence[int]) -> Words:
    values = np.asarray(ticks, np.int64)
    return np.where(values < 0, -values | 1 << 15, values).astype("<u2")


CALIBRATED = "another program calibrated it: end the bridge, calibrate the arm, start the bridge again"
MEANINGS = {  # which register changed -> what that usually is
    "Torque_Enable": "limp, for it restarted (power or cable) or another program switched it",
    "Acceleration": "it restarted (power or cable)",
    "Torque_Limit": "another program wrote it",
    "Lock": "another program wrote it",
    "Goal_Position": "it does not take our goals, or another program sends it goals",
    "Homing_Offset": f"its zero moved: {CALIBRATED}",
    "Min_Position_Limit": CALIBRATED,
    "Max_Position_Limit": CALIBRATED,
}


def words(joints: Sequence[str], differences: Sequence[Difference]) -> tuple[str, ...]:
    """One text for all joints that differ alike: "elbow_flex: Torque_Enable reads 0, expected 1; ...: limp: ..."."""
    by_row: dict[int, list[Difference]] = {}
    for difference in differences:
        by_row.setdefault(difference.row, []).append(difference)
    alike: dict[str, list[str]] = {}
    for row, items in by_row.items():
        text = f"{'; '.join(map(str, items))}: {MEANINGS[items[0].name]}"
        alike.setdefault(text, []).append(joints[row])
    return tuple(f"{', '.join(names)}: {text}" for text, names in alike.items())
