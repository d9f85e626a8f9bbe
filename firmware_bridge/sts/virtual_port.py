"""A virtual bus behind a pseudo-terminal: the same bytes that /dev/ttyACM0 would carry.

Owns the pty and the clock. `run` blocks; `start` runs it in a thread (tests), virtual_process.py gives it
a process. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from types import TracebackType

from firmware_bridge.sts.virtual_bus import Outgoing, VirtualBus


class VirtualPort:
    """Carries bytes between a pty and a VirtualBus. `path` is the port's name for a host."""

    def __init__(self, bus: VirtualBus) -> None:
        self.bus = bus
        self.lock = threading.Lock()  # held while the bus works; take it to look inside or to break things
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        # The slave stays open here, or the master would read EIO between two hosts.
        self.path = os.ttyname(self._slave)
        self._wake_read, self._wake_write = os.pipe()
        self._queue: list[Outgoing] = []
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Serve until `stop`."""
        while True:
            wait = None
            if self._queue:
                wait = max(0.0, self._queue[0].at - time.monotonic())
            ready, _, _ = select.select([self._master, self._wake_read], [], [], wait)
            if self._wake_read in ready:
                return
            if self._master in ready:
                data = os.read(self._master, 4096)
                with self.lock:
                    self._queue += self.bus.feed(data, time.monotonic())
                self._queue.sort(key=lambda out: out.at)
            self._deliver()

    def _deliver(self) -> None:
        now = time.monotonic()
        due = b"".join(out.data for out in self._queue if out.at <= now)
        self._queue = [out for out in self._queue if out.at > now]
        if due:
            os.write(self._master, due)

    def start(self) -> VirtualPort:
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End `run` and close the pty: the host sees its cable pulled."""
        os.write(self._wake_write, b"x")
        if self._thread is not None:
            self._thread.join()
        for file in (self._master, self._slave, self._wake_read, self._wake_write):
            os.close(file)

    def __enter__(self) -> VirtualPort:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
