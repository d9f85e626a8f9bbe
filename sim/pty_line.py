"""A pseudo-terminal between the bridge's real serial line and virtual servos, served by hand on a virtual clock.

Takes a VirtualBus and a VirtualClock; gives a Line (firmware_bridge.sts.line) whose bytes cross a real pty, written
and read by the same SerialLine that a real arm has. Nothing sleeps: whoever waits moves the clock. The kernel hands
bytes over in its own time, so every transfer is waited for until as many bytes came as went: two runs are equal byte
for byte. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import heapq
import os
import select
import time
import tty

from firmware_bridge.errors import PortLost, sentence
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_line import VirtualClock

HAND_OVER_S = 5.0  # the longest that the kernel may take from one end of the pty to the other
CHUNK_BYTES = 4096


class PtyLine:
    """Both ends of one pty. `path` is the port's name."""

    def __init__(self, bus: VirtualBus, clock: VirtualClock) -> None:
        self.bus = bus
        self.clock = clock
        self._queue: list[tuple[float, int, bytes]] = []  # a heap: when, in which order, what the servos say
        self._count = 0
        self._under_way = 0  # bytes that the servos wrote and the host has not read
        self._master, self._slave = os.openpty()
        try:
            tty.setraw(self._master)
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self.path = os.ttyname(self._slave)
            self._line = SerialLine(self.path)
        except BaseException:
            self._close_ends()
            raise
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLIN)

    # -- the contract of a Line

    def send(self, data: bytes) -> None:
        """Host bytes out, and all of them into the servos."""
        self._line.send(data)
        for out in self.bus.feed(self._take(len(data)), self.clock.now):
            self._count += 1
            heapq.heappush(self._queue, (out.at, self._count, out.data))

    def receive(self, deadline: float) -> bytes:
        """What has arrived, or arrives by `deadline` (virtual s), to which the clock then goes."""
        self._deliver()
        if not self._under_way and self._queue and self._queue[0][0] <= deadline:
            self.clock.until(self._queue[0][0])
            self._deliver()
        if not self._under_way:
            self.clock.until(deadline)
            return b""
        return self._arrived()

    def flush_input(self) -> int:
        """Throw away what has arrived and return how many bytes that was."""
        self._deliver()
        thrown = 0
        while self._under_way:
            thrown += len(self._arrived())
        return thrown

    def close(self) -> None:
        """Both ends; the port is gone."""
        self._line.close()
        self._close_ends()

    # -- inside

    def _take(self, size: int) -> bytes:
        """`size` bytes of the host, at the servos' end."""
        data = b""
        give_up = time.monotonic() + HAND_OVER_S
        while len(data) < size:
            try:
                data += os.read(self._master, CHUNK_BYTES)
            except BlockingIOError:
                if not self._poll.poll(max(0.0, (give_up - time.monotonic()) * 1000.0)):
                    raise _stuck(size - len(data)) from None
        return data

    def _deliver(self) -> None:
        """The servos' bytes that are due go into the pty."""
        due = []
        while self._queue and self._queue[0][0] <= self.clock.now:
            due.append(heapq.heappop(self._queue)[2])
        left = memoryview(b"".join(due))
        self._under_way += len(left)
        while left:
            left = left[os.write(self._master, left) :]

    def _arrived(self) -> bytes:
        """Some bytes of those that are under way, at the host's end."""
        data = self._line.receive(time.monotonic() + HAND_OVER_S)
        if not data:
            raise _stuck(self._under_way)
        self._under_way -= len(data)
        return data

    def _close_ends(self) -> None:
        for file in (self._master, self._slave):
            if file >= 0:
                os.close(file)
        self._master = self._slave = -1


def _stuck(left: int) -> PortLost:
    got = f"{left} bytes not there after {HAND_OVER_S:g} s"
    return PortLost(sentence("the pseudo-terminal hands nothing over", expected="its bytes", got=got, do="try again"))
