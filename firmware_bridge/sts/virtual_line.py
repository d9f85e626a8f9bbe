"""A Line straight into a virtual bus, on a clock that only moves when somebody waits: no pty, no sleeping.

Bus, arm and servos run on it exactly as on a port, with every fault at its own virtual time (a late answer
comes after the flush), at thousands of ticks per second of real time. `Bus(VirtualLine(bus, clock),
clock=clock)`. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import heapq

from firmware_bridge.errors import PortLost, sentence
from firmware_bridge.sts.virtual_bus import VirtualBus


class VirtualClock:
    """Monotonic s that pass when told; called like time.monotonic."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def until(self, when: float) -> None:
        """Time passes until `when`; never backwards."""
        self.now = max(self.now, when)


class VirtualLine:
    """Bytes to and from `bus`; `unplugged` raises PortLost, as a pulled cable does."""

    def __init__(self, bus: VirtualBus, clock: VirtualClock, send_s: float = 0.0) -> None:
        """`send_s`: what handing bytes to the adapter costs, s; keeps a loop that never waits moving."""
        self.bus = bus
        self.clock = clock
        self.unplugged = False
        self._send_s = send_s
        self._queue: list[tuple[float, int, bytes]] = []  # a heap: when, in which order, what
        self._count = 0

    def send(self, data: bytes) -> None:
        self._refuse_unplugged()
        self.clock.now += self._send_s
        for out in self.bus.feed(data, self.clock.now):
            self.inject(out.data, out.at)

    def receive(self, deadline: float) -> bytes:
        self._refuse_unplugged()
        queue = self._queue
        if not queue or queue[0][0] > max(deadline, self.clock.now):
            self.clock.until(deadline)
            return b""
        self.clock.until(queue[0][0])
        return self._arrived()

    def flush_input(self) -> int:
        self._refuse_unplugged()
        return len(self._arrived()) if self._queue else 0

    def close(self) -> None:
        self._queue.clear()

    def inject(self, data: bytes, at: float) -> None:
        """Bytes that arrive at `at` (s) and come from no servo: noise."""
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, data))

    def _arrived(self) -> bytes:
        parts = []
        while self._queue and self._queue[0][0] <= self.clock.now:
            parts.append(heapq.heappop(self._queue)[2])
        return b"".join(parts)

    def _refuse_unplugged(self) -> None:
        if self.unplugged:
            raise PortLost(sentence("the virtual port went away", got="unplugged", do="replug it"))
