"""The block that every servo is asked for in each tick, registers 40..70, as one table of bytes; ticks to SI.

Takes the raw bytes of each servo, gives an ArmState's numbers. Knows nothing of buses, and nothing of what
the host expects to find (changed.py).

Wire time at 1 Mbaud, 10 bits per byte, six servos (`wire_ms` computes it; the tick is 10 ms):

    request  14 bytes, answers 6 x (31 + 6) bytes     2.36 ms   all telemetry, and what was written
    goals    26 bytes                                 0.26 ms   one sync_write, not answered
    once in 0.5 s: 4 or 2 bytes of limits or offset   0.74 ms   see changed.Memory
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.sts.codec import Codec
from firmware_bridge.sts.protocol import OVERHEAD
from firmware_bridge.sts.registers import CURRENT_UNIT_A, LOAD_UNIT, TELEMETRY_LENGTH, VOLTAGE_UNIT_V

Array = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
BITS_PER_BYTE = 10  # on the wire: start, eight, stop

# A row per servo; registers.py says what each is.
ROW = np.dtype(
    [
        ("torque", "u1"),  # 40
        ("acceleration", "u1"),
        ("goal", "<u2"),
        ("goal_time", "<u2"),
        ("goal_velocity", "<u2"),
        ("torque_limit", "<u2"),
        ("reserved", "u1", 5),  # 50..54
        ("lock", "u1"),
        ("position", "<u2"),  # 56
        ("velocity", "<u2"),
        ("load", "<u2"),
        ("voltage", "u1"),
        ("temperature", "u1"),
        ("written", "u1"),
        ("status", "u1"),
        ("moving", "u1"),
        ("target", "<u2"),
        ("current", "<u2"),
    ]
)
assert ROW.itemsize == TELEMETRY_LENGTH


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What the servos measure, [D] each, in the units of ArmState."""

    position: Array
    velocity: Array
    load: Array
    current: Array
    temperature: Array
    voltage: Array


class Block:
    """The newest bytes of every servo, in the order of `ids`; the silent ones keep theirs."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.bytes: Bytes = np.zeros((len(ids), TELEMETRY_LENGTH), np.uint8)
        self.rows = self.bytes.view(ROW).reshape(-1)  # the same memory
        self._row = {servo: row for row, servo in enumerate(ids)}

    def take(self, answers: Mapping[int, bytes]) -> npt.NDArray[np.bool_]:
        """Keep the answers (31 bytes or more each); [D] who answered."""
        fresh = np.zeros(len(self._row), np.bool_)
        for servo, data in answers.items():
            row = self._row[servo]
            self.bytes[row] = np.frombuffer(data, np.uint8, TELEMETRY_LENGTH)
            fresh[row] = True
        return fresh

    def measured(self, codec: Codec) -> Measured:
        rows = self.rows
        return Measured(
            position=codec.to_si(signed(rows["position"], 15)),
            velocity=signed(rows["velocity"], 15) * codec.scale,
            load=signed(rows["load"], 10) * LOAD_UNIT,
            current=signed(rows["current"], 15) * CURRENT_UNIT_A,
            temperature=rows["temperature"].astype(np.float64),
            voltage=rows["voltage"] * VOLTAGE_UNIT_V,
        )


def signed(raw: npt.NDArray[np.uint16], bit: int) -> Array:
    """Sign-magnitude: `bit` set means negative."""
    magnitude = (raw & ((1 << bit) - 1)).astype(np.float64)
    return np.where(raw >> bit & 1, -magnitude, magnitude)


def wire_ms(length: int, servos: int, baud: int = 1_000_000) -> float:
    """How long a sync_read of `length` bytes occupies the wire: the request and all answers."""
    request = OVERHEAD + 2 + servos
    return (request + servos * (length + OVERHEAD)) * BITS_PER_BYTE * 1000.0 / baud
