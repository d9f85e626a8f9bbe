"""A serial port whose servos may speak at any baud rate: opened once, its speed changed, opened again when it was
pulled.

Takes a port's name, gives a Bus at a speed. Knows no ids and no joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from firmware_bridge.sts import scan
from firmware_bridge.sts.bus import Bus, Patience
from firmware_bridge.sts.line import SerialLine

USUAL = 1_000_000
CODES = {0: USUAL, 1: 500_000, 2: 250_000, 3: 128_000, 4: 115_200}  # Baud_Rate -> baud
# Codes 5 to 7: the vendor's tables say the first three, LeRobot's the last three. Both are listened at, none written.
DOUBTFUL = (76_800, 57_600, 38_400, 19_200)
BAUDS = (*CODES.values(), *DOUBTFUL)
PATIENCE = Patience(unicast_timeout_s=0.06)


class AnyBaud:
    """The port of one arm. One thread owns it."""

    def __init__(self, port: str, bauds: Sequence[int] = BAUDS) -> None:
        """`bauds`: at which servos are looked for; the usual one is among them."""
        self.port = port
        self.bauds = tuple(bauds)
        self.baud = USUAL
        self._echo: bool | None = None  # None: not looked yet
        self._line: SerialLine | None = None
        self._bus: Bus | None = None

    def bus(self, baud: int = USUAL) -> Bus:
        """The bus at that speed; the same one as long as it is not changed, for it knows which answers are still due.

        Raises PortError, PortLost.
        """
        if self._bus is not None and baud == self.baud:
            return self._bus
        if self._line is None:
            self._line = SerialLine(self.port, baud)
        else:
            self._bus = None
            self._line.set_baud(baud)
            self._line.flush_input()
        self.baud = baud
        bus = Bus(self._line, PATIENCE)
        if self._echo is None:
            self._echo = scan.probe_echo(bus)
        bus.echo = self._echo
        self._bus = bus
        return bus

    def close(self) -> None:
        """The next `bus` opens it anew."""
        line, self._line, self._bus = self._line, None, None
        if line is not None:
            line.close()

    def __enter__(self) -> AnyBaud:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
