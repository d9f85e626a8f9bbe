"""The servos' EEPROM as the host sees it: read whole at connect, its calibration watched ever after.

Takes a Bus, gives values of registers by name. A limit or a zero that changes while the arm runs (another
program calibrates, a servo was swapped) makes every position mean something else, so two small requests
go around: the limits and, half a period later, the offset. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firmware_bridge.errors import NoAnswer, sentence
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.changed import Difference
from firmware_bridge.sts.registers import EEPROM_SIZE, REGISTERS

LOOK_S = 0.5  # one of LOOKS each
LOOKS = (("Min_Position_Limit", "Max_Position_Limit"), ("Homing_Offset",))  # neighbours in memory


class Memory:
    """EEPROM of the servos `ids`; `image` is empty until `load`."""

    def __init__(self, bus: Bus, ids: Sequence[int]) -> None:
        self.image: dict[int, bytes] = {}
        self._bus = bus
        self._ids = tuple(ids)
        self._wanted: Mapping[str, Sequence[int]] = {}
        self._due = 0.0
        self._turn = 0
        self._found: dict[int, list[Difference]] = {}

    def load(self) -> None:
        """Registers 0..39 of every servo, in one request; a lost answer is asked for alone. Raises NoAnswer."""
        answer = self._bus.sync_read(0, EEPROM_SIZE, self._ids)
        image = {servo: frame.data[:EEPROM_SIZE] for servo, frame in answer.frames.items()}
        for servo in answer.missing:
            image[servo] = self._bus.read_bytes(servo, 0, EEPROM_SIZE).data
        self.image = image

    def value(self, servo: int, name: str) -> int:
        """The register `name` at the last `load`; loads first when there was none. Raises NoAnswer."""
        if servo not in self.image:
            self.load()
        return REGISTERS[name].decode(self.image[servo][REGISTERS[name].address :])

    def watch(self, wanted: Mapping[str, Sequence[int]]) -> None:
        """From now on these registers are expected to hold these values, one per servo."""
        self._wanted = wanted
        self._due = self._bus.clock() + LOOK_S
        self._found = {}

    def look(self, now: float) -> list[Difference]:
        """Ask for one pair of registers when its turn has come; what differs, as last seen.

        A difference is read twice before it is one: a glitch may pass an 8-bit checksum. No retries: it is
        asked again in its turn, and a tick must end.
        """
        if self._wanted and now >= self._due:
            self._due = now + LOOK_S
            turn = self._turn = (self._turn + 1) % len(LOOKS)
            found = self._differences(LOOKS[turn], self._ids)
            if found:
                again = self._differences(LOOKS[turn], [self._ids[item.row] for item in found])
                found = [item for item in found if item in again]
            self._found[turn] = found
        return self.differing

    @property
    def differing(self) -> list[Difference]:
        """What differed when last looked at."""
        return [item for part in self._found.values() for item in part]

    def _differences(self, names: Sequence[str], ids: Sequence[int]) -> list[Difference]:
        rows = [REGISTERS[name] for name in names]
        length = sum(row.length for row in rows)
        answer = self._bus.sync_read(rows[0].address, length, sorted(set(ids)), retries=0)
        found = []
        for servo, frame in answer.frames.items():  # the silent are asked again in their turn
            index = self._ids.index(servo)
            for row in rows:
                reading = row.decode(frame.data[row.address - rows[0].address :])
                if reading != self._wanted[row.name][index]:
                    found.append(Difference(index, row.name, reading, self._wanted[row.name][index]))
        return found


def no_answer(what: str, servos: Sequence[int]) -> NoAnswer:
    """The error for servos that did not answer a sync_read."""
    do = "check the cable before the first silent servo"
    return NoAnswer(sentence(f"{what} of servos {list(servos)}", got="silence", do=do))
