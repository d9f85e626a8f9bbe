"""A virtual bus behind a pseudo-terminal: the same bytes that /dev/ttyACM0 would carry, and a cable to pull.

Owns the pty and the clock. `run` blocks; `start` runs it in a thread (tests), virtual_process.py gives it
a process. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import sys
import threading
import time
import tty
from pathlib import Path
from types import TracebackType

from firmware_bridge.priority import SERVOS, prefer
from firmware_bridge.sts.virtual_bus import Outgoing, VirtualBus

PATIENCE_S = 5.0  # for the serving thread to obey
TCGETS2 = 0x802C542A  # Linux: struct termios2, which tells any speed; termios.tcgetattr only those of its table
TERMIOS2_BYTES = 44  # four flag words, the line, 19 control characters, then input and output speed
OUTPUT_SPEED_AT = 40


class VirtualPort:
    """Carries bytes between a pty and a VirtualBus. `path` is the port's name for a host.

    `link`: a symbolic link that always leads to the present pty, as /dev/serial/by-id does; it is absent
    while unplugged.
    """

    def __init__(self, bus: VirtualBus, link: str = "") -> None:
        self.bus = bus
        # Held while the bus works; take it to look inside or to break things. Whoever the bus calls has it already.
        self.lock = threading.RLock()
        self.minds_speed = False  # servos hear only what is sent at their own rate, as on a real wire
        self.path = ""
        self._link = link
        self._master = self._slave = -1
        self._wake_read, self._wake_write = os.pipe()
        self._queue: list[Outgoing] = []
        self._thread: threading.Thread | None = None
        self._server = 0  # the thread that runs `run`
        self._obeyed = threading.Event()
        self._open()

    def run(self) -> None:
        """Serve until `stop`."""
        self._server = threading.get_ident()
        while True:
            wait = None
            if self._queue:
                wait = max(0.0, self._queue[0].at - time.monotonic())
            watched = [self._wake_read] if self._master < 0 else [self._master, self._wake_read]
            ready, _, _ = select.select(watched, [], [], wait)
            if self._wake_read in ready:
                word = os.read(self._wake_read, 1)
                if word == b"x":
                    return
                self._obey(word)
                self._obeyed.set()
                continue
            if self._master in ready:
                data = os.read(self._master, 4096)
                with self.lock:
                    speed = host_speed(self._slave) if self.minds_speed else 0
                    self._queue += self.bus.feed(data, time.monotonic(), speed)
                self._queue.sort(key=lambda out: out.at)
            self._deliver()

    def unplug(self) -> None:
        """Close the pty: the host's reads and writes fail, and the link is gone. The servos live on."""
        self._tell(b"u")

    def replug(self) -> str:
        """A new pty, and the link to it; returns its path."""
        self._tell(b"r")
        return self.path

    def _tell(self, word: bytes) -> None:
        if threading.get_ident() == self._server:  # the bus called somebody who pulls the cable
            self._obey(word)
            return
        self._obeyed.clear()
        os.write(self._wake_write, word)
        if not self._obeyed.wait(PATIENCE_S):
            raise RuntimeError("the virtual port's thread does not run")

    def _obey(self, word: bytes) -> None:
        if word == b"u":
            self._close()
        elif self._master < 0:
            self._open()

    def _open(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        # The slave stays open here, or the master would read EIO between two hosts.
        self.path = os.ttyname(self._slave)
        if self._link:  # replaced whole: a host finds the old one or the new one, never half of one
            half = Path(f"{self._link}.{os.getpid()}")
            half.unlink(missing_ok=True)
            half.symlink_to(self.path)
            half.replace(self._link)

    def _close(self) -> None:
        if self._master < 0:
            return
        if self._link:
            Path(self._link).unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self._queue.clear()

    def _deliver(self) -> None:
        now = time.monotonic()
        due = b"".join(out.data for out in self._queue if out.at <= now)
        self._queue = [out for out in self._queue if out.at > now]
        if due and self._master >= 0:
            try:
                os.write(self._master, due)
            except OSError as error:
                if error.errno != errno.EIO:  # nobody has the other end open
                    raise

    def start(self) -> VirtualPort:
        self._thread = threading.Thread(target=self._run_punctually, daemon=True)
        self._thread.start()
        return self

    def _run_punctually(self) -> None:
        prefer(SERVOS)
        self.run()

    def stop(self) -> None:
        """End `run` and close the pty: the host sees its cable pulled."""
        os.write(self._wake_write, b"x")
        if self._thread is not None:
            self._thread.join()
        self._close()
        for file in (self._wake_read, self._wake_write):
            os.close(file)

    def __enter__(self) -> VirtualPort:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def host_speed(file: int) -> int:
    """The baud rate that the host has set on the pseudo-terminal `file`; 0 where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return 0
    answer = bytearray(TERMIOS2_BYTES)
    try:
        fcntl.ioctl(file, TCGETS2, answer)
    except OSError:
        return 0
    (speed,) = struct.unpack_from("=I", answer, OUTPUT_SPEED_AT)
    return int(speed)
