"""A serial line that carries bytes: opened exclusively, read with deadlines, never spun on.

`Line` is the contract of four methods; `SerialLine` is the real port (pyserial opens and configures it).
Knows nothing of frames.
"""

from __future__ import annotations

import errno
import os
import select
import termios
import time
from pathlib import Path
from typing import NoReturn, Protocol

import serial
from serial.tools import list_ports

from firmware_bridge.errors import PortBusy, PortError, PortLost, PortMissing, PortPermission, sentence

CHUNK_BYTES = 4096
EMPTY_READS = 3  # in a row, of a port that says it has something
SEND_PATIENCE_S = 0.1  # a goal frame needs 0.3 ms; an adapter that takes none for so long is dead
MAX_DRAIN = 64  # reads of one flush; a port that chatters without end is not ours to empty


class Line(Protocol):
    """Bytes out, bytes in."""

    def send(self, data: bytes) -> None: ...

    def receive(self, deadline: float) -> bytes:
        """Whatever has arrived, waiting for at least one byte; b"" at `deadline` (monotonic s)."""

    def flush_input(self) -> int:
        """Throw away what has arrived and return how many bytes that was."""

    def close(self) -> None: ...


class SerialLine:
    """A port held exclusively. Raises PortMissing, PortBusy, PortPermission; later PortLost."""

    def __init__(self, port: str, baud: int = 1_000_000) -> None:
        self.port = port
        others = holders(port)
        if others:
            raise PortBusy(_busy(port, f"open in {', '.join(others)}"))
        try:
            self._serial = serial.Serial(port, baudrate=baud, timeout=0, exclusive=True)
        except serial.SerialException as error:
            _refuse(port, error.errno, error)
        except (OSError, ValueError) as error:
            _refuse(port, getattr(error, "errno", None), error)
        self._file = self._serial.fileno()
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)

    def set_baud(self, baud: int) -> None:
        """Another speed on the open port. Raises PortLost, or PortError where the adapter cannot."""
        try:
            self._serial.baudrate = baud
        except (termios.error, OSError, ValueError) as error:  # serial.SerialException is an OSError
            try:
                termios.tcgetattr(self._file)
            except termios.error as gone:  # the adapter can do nothing at all any more
                raise self._lost(gone) from error
            do = "use an adapter that can, such as the arm's own driver board"
            raise PortError(sentence(f"{self.port} cannot do {baud} baud", got=error, do=do)) from error

    def send(self, data: bytes) -> None:
        left = memoryview(data)
        give_up = time.monotonic() + SEND_PATIENCE_S
        while left:
            try:
                left = left[os.write(self._file, left) :]
            except BlockingIOError:  # a full output queue: the wire is slower than we are
                self._await_room(give_up)
            except OSError as error:
                raise self._lost(error) from error

    def receive(self, deadline: float) -> bytes:
        for _ in range(EMPTY_READS):
            wait_ms = max(0.0, (deadline - time.monotonic()) * 1000.0)
            events = self._poll.poll(wait_ms)
            if not events:
                return b""
            data = self._read()
            if data:
                return data
            if events[0][1] & ~select.POLLIN:  # hung up: the adapter was pulled
                raise self._lost("the line hung up")
        raise self._lost("readable but empty: pulled, or another program reads it too")

    def _await_room(self, give_up: float) -> None:
        room = select.poll()
        room.register(self._file, select.POLLOUT)
        wait_ms = max(0.0, (give_up - time.monotonic()) * 1000.0)
        events = room.poll(wait_ms)
        if not events or events[0][1] & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            raise self._lost("it takes no more bytes" if not events else "the line hung up")

    def flush_input(self) -> int:
        # Reading counts what it throws away, which tcflush would not: stray bytes are evidence.
        thrown = 0
        for _ in range(MAX_DRAIN):
            data = self._read()
            if not data:
                break
            thrown += len(data)
        return thrown

    def _read(self) -> bytes:
        try:
            return os.read(self._file, CHUNK_BYTES)  # b"" when nothing is there: pyserial sets VMIN to 0
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._lost(error) from error

    def close(self) -> None:
        self._serial.close()

    def _lost(self, cause: object) -> PortLost:
        return PortLost(
            sentence(
                f"the port {self.port} went away",
                got=cause,
                do="check the USB cable and the adapter's power; the servos keep their last goal and torque",
            )
        )


def holders(port: str) -> list[str]:
    """Processes of this user that have `port` open, as "name (pid)"; programs without a lock included.

    Empty where /proc is absent, and for pseudo-terminals, whose other end holds them open too.
    """
    target = os.path.realpath(port)
    if target.startswith("/dev/pts/") or not os.path.isdir("/proc/self/fd"):
        return []
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            links = {os.readlink(link) for link in (folder / "fd").iterdir()}
            if target in links:
                found.append(f"{(folder / 'comm').read_text().strip()} ({folder.name})")
        except OSError:  # another user's process, or one that just ended
            continue
    return found


def _busy(port: str, got: object) -> str:
    return sentence(
        f"the port {port} is busy",
        expected="a port that no other program has open",
        got=got,
        do=f"close that program; `fuser -v {port}` shows who it is",
    )


def _refuse(port: str, code: int | None, error: Exception) -> NoReturn:
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        there = ", ".join(sorted(item.device for item in list_ports.comports())) or "no serial port at all"
        do = 'plug the arm in and switch it on, or use port "sim"'
        raise PortMissing(sentence(f"the port {port} does not exist", expected=there, got=port, do=do)) from error
    if code in (errno.EACCES, errno.EPERM):
        do = "sudo usermod -aG dialout $USER, then log out and in again"
        raise PortPermission(
            sentence(f"this user may not open {port}", expected="read and write permission", got=error, do=do)
        ) from error
    if code in (errno.EBUSY, errno.EAGAIN):
        raise PortBusy(_busy(port, error)) from error
    raise PortError(
        sentence(f"{port} is not a usable serial port", got=error, do="name a device such as /dev/ttyACM0")
    ) from error
