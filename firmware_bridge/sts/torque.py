"""The torque of all servos: on with goal = present, off, and frozen after a host that died. Each verified.

Takes a Bus, tells Expected and Goals what was written. Decides nothing about when. A switch is a short
bounded exchange (at 1 Mbaud: block 2.4 ms, three writes 1.1 ms, block 2.4 ms; a retry repeats the last
two), so it fits a tick; only the ramp of the torque limit is spread over later ticks.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ServoWrong, sentence
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.changed import Expected, Goals
from firmware_bridge.sts.memory import Memory, no_answer
from firmware_bridge.sts.registers import REGISTERS, TELEMETRY_ADDRESS, TELEMETRY_LENGTH
from firmware_bridge.sts.telemetry import Block

MARKER = 254  # in Acceleration, 38 rad/s^2: resets to 0 when a servo restarts, even if a goal enabled it again
# Parts of a servo's own limit over time: should a position be wrong in spite of all checks, the first pull
# is a weak one. Only for servos that were limp: one that holds a raised arm must never get weaker.
RAMP = ((0.0, 0.3), (0.1, 0.5), (0.2, 0.75), (0.3, 1.0))  # s since torque on, part
RAMP_TRIES = 20  # frames for the last step; a limit that is not there after them counts as changed by itself
OUTSIDE_TICKS = 40  # 3.5 degrees: goals are clamped inside the servo, so one further outside would jump
FREEZE_LENGTH = 18  # 40..57, torque to position: a length that a bridge which died has no answers of due
_START = struct.Struct("<BH4sH")  # 41..49: Acceleration, Goal_Position, (time and velocity as found), Torque_Limit
START_ADDRESS = REGISTERS["Acceleration"].address


@dataclass(frozen=True, slots=True)
class Frozen:
    """Servo ids after `freeze`."""

    holding: tuple[int, ...]  # torque on, goal = present
    limp: tuple[int, ...]  # left without torque
    silent: tuple[int, ...]


class Torque:
    """The switch of one arm's servos."""

    def __init__(self, bus: Bus, ids: Sequence[int], names: Sequence[str], memory: Memory) -> None:
        self.expected = Expected(len(ids))
        self.goals = Goals(len(ids))
        self._bus = bus
        self._ids = tuple(ids)
        self._names = tuple(names)
        self._memory = memory
        self._ramp_from: float | None = None
        self._ramp_tries = 0
        self._full: list[int] = []
        self._limp = np.zeros(len(ids), np.bool_)  # before the switch
        self._ramped = np.ones(len(ids), np.bool_)

    def on(self, free: Sequence[bool]) -> npt.NDArray[np.int64]:
        """Goal = present, then torque on, verified; returns that present, ticks [D].

        `free`: per joint, may be outside its range (a gripper, whose pull is limited). Raises NoAnswer,
        ServoWrong; whatever was written before is then not relied upon: torque is not known.
        """
        self._forget()
        block = self._look()
        self._refuse_outside(block.rows, free)
        present = block.rows["position"].astype(np.int64)  # signed values are outside, refused
        full = [self._memory.value(servo, "Max_Torque_Limit") for servo in self._ids]
        limp = block.rows["torque"] != 1
        start = [round(limit * RAMP[0][1]) if soft else limit for limit, soft in zip(full, limp, strict=True)]
        rows = {}
        for row, servo in enumerate(self._ids):
            kept = block.bytes[row, 4:8].tobytes()  # Goal_Time, Goal_Velocity: as found
            rows[servo] = _START.pack(MARKER, int(block.rows["position"][row]), kept, start[row])
        wanted = Expected(len(self._ids))
        for name, values in (
            ("Torque_Enable", 1), ("Goal_Position", present.tolist()), ("Torque_Limit", start), ("Lock", 1),
        ):  # fmt: skip
            wanted.wrote(name, values)
        kept_block = self._until_true(wanted, lambda: self._write_on(rows))
        for name in ("Torque_Enable", "Lock"):
            self.expected.wrote(name, 1)
        # As read back: a firmware that keeps less than it was sent (Maximum_Acceleration) is marked by that.
        self.expected.wrote("Acceleration", kept_block.rows["acceleration"].tolist())
        self.goals.start(present.tolist())
        self._full, self._limp = full, limp
        self._ramped[:] = True
        self._ramp_from = self._bus.clock()
        return present

    def off(self) -> None:
        """Torque off on all servos in one frame, verified. Raises NoAnswer, ServoWrong."""
        self._forget()
        wanted = Expected(len(self._ids))
        wanted.wrote("Torque_Enable", 0)
        self._until_true(wanted, lambda: self._bus.sync_write("Torque_Enable", dict.fromkeys(self._ids, 0)))
        self.expected.wrote("Torque_Enable", 0)

    def freeze(self) -> Frozen:
        """Servos whose torque is on get goal = present in one frame; the others are not touched at all.

        After a host that died in the middle of a move. When any servo holds, all are expected to from now
        on: an arm that holds in part shows as changed until it is armed again.
        """
        self._forget()
        frozen, present = self._frozen()
        for _ in range(1 + self._bus.patience.retries):
            if not frozen.holding:
                return frozen
            rows = {servo: present[servo] for servo in frozen.holding}
            self._bus.sync_write_bytes(REGISTERS["Goal_Position"].address, rows)
            answer = self._bus.sync_read(TELEMETRY_ADDRESS, FREEZE_LENGTH, frozen.holding)
            if all(frame.data[2:4] == rows[servo] for servo, frame in answer.frames.items()):
                break
        self.expected.wrote("Torque_Enable", 1)
        ticks = [int.from_bytes(present.get(servo, b""), "little") for servo in self._ids]
        self._ramped[:] = [servo in frozen.holding for servo in self._ids]
        self.goals.start(ticks, self._ramped.tolist())
        self._ramp_from = self._bus.clock() - RAMP[-1][0]  # the host may have died within its ramp: now to the full
        return frozen

    def ramp(self, rows: Any, fresh: npt.NDArray[np.bool_], now: float) -> None:
        """Once per reading, before it is judged: the next step of the torque limit, where it is not there yet.

        Goes on whatever the arm is told meanwhile, an emergency stop included: a limit is no goal and turns
        nothing on, and the arm must hold with its full strength. `rows`: of telemetry.ROW.
        """
        if self._ramp_from is None:
            return
        self._full = self._full or [self._memory.value(servo, "Max_Torque_Limit") for servo in self._ids]
        since = now - self._ramp_from
        part = max(part for start, part in RAMP if since >= start)
        wanted = [round(limit * part) if soft else limit for limit, soft in zip(self._full, self._limp, strict=True)]
        wrong = fresh & self._ramped & (rows["torque_limit"] != wanted)
        there = bool(fresh.all()) and not wrong.any()
        if part == 1.0 and (there or self._ramp_tries >= RAMP_TRIES):
            self.expected.wrote("Torque_Limit", self._full)
            self._ramp_from = None
        elif wrong.any():
            servos = {self._ids[row]: wanted[row] for row in np.flatnonzero(wrong).tolist()}
            self._bus.sync_write("Torque_Limit", servos)
            self._ramp_tries += part == 1.0

    # -- inside

    def _forget(self) -> None:
        self.expected.forget()
        self.goals.forget()
        self._ramp_from = None
        self._ramp_tries = 0
        self._full = []

    def _write_on(self, rows: Mapping[int, bytes]) -> None:
        # The goal write alone turns the torque on, so marker, goal and limit go in one frame.
        self._bus.sync_write_bytes(START_ADDRESS, rows)
        self._bus.sync_write("Lock", dict.fromkeys(self._ids, 1))
        self._bus.sync_write("Torque_Enable", dict.fromkeys(self._ids, 1))

    def _until_true(self, wanted: Expected, write: Callable[[], None]) -> Block:
        found = []
        everyone = np.ones(len(self._ids), np.bool_)
        for _ in range(1 + self._bus.patience.retries):  # a sync_write is not acknowledged
            write()
            block = self._look()
            found = wanted.differences(block.bytes, everyone)
            if not found:
                return block
        got = "; ".join(f"{self._names[item.row]}: {item}" for item in found)
        do = "switch the arm's power off and on while holding it"
        raise ServoWrong(sentence("the servos did not keep what was written", got=got, do=do))

    def _look(self) -> Block:
        answer = self._bus.sync_read(TELEMETRY_ADDRESS, TELEMETRY_LENGTH, self._ids)
        if answer.missing:
            raise no_answer("torque and position", answer.missing)
        block = Block(self._ids)
        block.take({servo: frame.data for servo, frame in answer.frames.items()})
        return block

    def _refuse_outside(self, rows: Any, free: Sequence[bool]) -> None:
        outside = []
        for row, (servo, name) in enumerate(zip(self._ids, self._names, strict=True)):
            low, high = (self._memory.value(servo, f"{end}_Position_Limit") for end in ("Min", "Max"))
            at = REGISTERS["Present_Position"].decode(rows["position"][row].tobytes())
            slack = 4095 if free[row] else OUTSIDE_TICKS
            endless = (low, high) == (0, 0)
            if at < 0 or not (endless or low - slack <= at <= high + slack):
                outside.append(f"{name} (servo {servo}) at {at}, range {low}..{high}")
        if outside:
            do = "move the joint by hand into its range; if it is in it, calibrate the arm again"
            what = "outside its range: torque would make it jump"
            raise ServoWrong(sentence(what, expected="ticks inside the servo's limits", got="; ".join(outside), do=do))

    def _frozen(self) -> tuple[Frozen, dict[int, bytes]]:
        answer = self._bus.sync_read(TELEMETRY_ADDRESS, FREEZE_LENGTH, self._ids)
        present = {servo: frame.data[16:18] for servo, frame in answer.frames.items()}
        holding = tuple(servo for servo, frame in answer.frames.items() if frame.data[0] == 1)
        limp = tuple(servo for servo in answer.frames if servo not in holding)
        return Frozen(holding, limp, answer.missing), present
