"""A virtual CAN channel behind a pseudo-terminal that speaks slcan: what a serial CAN adapter would carry.

python-can's own slcan interface, or any other program, can open `path`. Knows nothing of what frames mean.
"""

from __future__ import annotations

import heapq
import os
import select
import threading
import time
import tty

from firmware_bridge.damiao.frames import Frame
from firmware_bridge.damiao.virtual_can import IDLE_S, Outgoing, VirtualChannel
from firmware_bridge.priority import favour


def parse_line(line: bytes) -> Frame | None:
    """The frame in "t0018FFFF..." without its end; None for any other command or a broken one."""
    try:
        text = line.decode("ascii")
        size = int(text[4])
        if text[0] != "t" or size > 8 or len(text) < 5 + 2 * size:
            return None
        return Frame(int(text[1:4], 16), bytes.fromhex(text[5 : 5 + 2 * size]))
    except (ValueError, IndexError):
        return None


def make_line(frame: Frame) -> bytes:
    return f"t{frame.id:03X}{len(frame.data)}{frame.data.hex().upper()}\r".encode()


class VirtualSlcan:
    """An adapter with a channel of motors at its other end. A context manager runs it in a thread."""

    def __init__(self, channel: VirtualChannel) -> None:
        self.channel = channel
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)  # the slave stays open here, or two hosts in turn would see EIO
        self._wake_read, self._wake_write = os.pipe()
        self._queue: list[Outgoing] = []
        self._pending = b""
        self._thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        """Serve until `stop`."""
        favour()
        while True:
            wait = max(0.0, min(IDLE_S, self._queue[0].at - time.monotonic())) if self._queue else IDLE_S
            ready, _, _ = select.select([self._master, self._wake_read], [], [], wait)
            if self._wake_read in ready:
                return
            if self._master in ready:
                self._take(os.read(self._master, 4096))
            else:
                self.channel.pass_time(time.monotonic())
            self._deliver()

    def _take(self, data: bytes) -> None:
        *lines, self._pending = (self._pending + data).split(b"\r")
        for line in lines:
            frame = parse_line(line)
            if frame is not None:
                for out in self.channel.feed(frame, time.monotonic()):
                    heapq.heappush(self._queue, out)

    def _deliver(self) -> None:
        now = time.monotonic()
        lines = []
        while self._queue and self._queue[0].at <= now:
            lines.append(make_line(heapq.heappop(self._queue).frame))
        if lines:
            os.write(self._master, b"".join(lines))

    def start(self) -> VirtualSlcan:
        self._thread.start()
        return self

    def stop(self) -> None:
        """End `run` and close the pty: the host sees its cable pulled."""
        os.write(self._wake_write, b"x")
        self._thread.join()
        for file in (self._master, self._slave, self._wake_read, self._wake_write):
            os.close(file)

    def __enter__(self) -> VirtualSlcan:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
