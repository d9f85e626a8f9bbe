"""One CAN bus as the driver uses it: send a frame, take what came, wait; counted and never for long.

Wraps any python-can bus. Frames of strangers, broken ones and our own echo are left out and counted by
whoever knows the motors (chain.py) or here. Knows nothing of motors.
"""

from __future__ import annotations

import contextlib
import select
import time
from dataclasses import dataclass

import can

from firmware_bridge.damiao.can_port import Spec, is_full, open_port, os_error
from firmware_bridge.damiao.frames import REGISTER_ID, Frame
from firmware_bridge.errors import PortLost, sentence

SEND_S = 0.003  # patience with a full way out
MAX_DRAIN = 256  # frames taken at once: a babbling bus must not hold a tick


@dataclass(slots=True)
class Counts:
    """What went over one bus so far."""

    sent: int = 0
    unsent: int = 0  # the way out was full
    received: int = 0
    broken: int = 0  # not a frame that a motor could send
    strange: int = 0  # of nobody we know


class Wire:
    """An open bus."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.counts = Counts()
        self.bus = open_port(spec)
        self.echoes = spec.interface == "udp_multicast"  # what we send comes back to us
        self._waiting: list[Frame] = []
        self._poll = _poll_of(self.bus)

    def send(self, frame: Frame) -> bool:
        """Whether it went out. Raises PortLost."""
        message = can.Message(arbitration_id=frame.id, data=frame.data, is_extended_id=False)
        try:
            self.bus.send(message, SEND_S)
        except (can.CanError, OSError) as error:
            if not is_full(error):
                raise self._lost(error) from error
            self.counts.unsent += 1
            return False
        self.counts.sent += 1
        return True

    def drain(self) -> list[Frame]:
        """All frames that have come, at once. Raises PortLost."""
        frames, self._waiting = self._waiting, []
        for _ in range(MAX_DRAIN):
            if self._poll is not None and not self._poll.poll(0):
                break
            came = self._receive(0.0)
            if came is not None:
                frames.append(came)
            elif self._poll is None:
                break
        return frames

    def wait(self, until: float) -> None:
        """Until a frame may have come, or the monotonic time `until`. Raises PortLost."""
        left = until - time.monotonic()
        if self._waiting or left <= 0:
            return
        if self._poll is not None:
            self._poll.poll(max(1.0, left * 1000.0))
            return
        came = self._receive(left)
        if came is not None:
            self._waiting.append(came)

    def close(self) -> None:
        """Give the bus back; errors of a bus that is gone do not matter any more."""
        with contextlib.suppress(can.CanError, OSError):
            self.bus.shutdown()

    def _receive(self, timeout_s: float) -> Frame | None:
        try:
            message = self.bus.recv(timeout_s)
        except (ValueError, IndexError):  # slcan: characters that are no frame
            self.counts.broken += 1
            return None
        except (can.CanError, OSError) as error:
            if os_error(error) is None:  # one frame that could not be unpacked
                self.counts.broken += 1
                return None
            raise self._lost(error) from error
        if message is None or not message.is_rx:
            return None
        if message.is_extended_id or message.is_remote_frame or message.is_error_frame or message.is_fd:
            self.counts.broken += 1
            return None
        if self.echoes and (message.arbitration_id < 0x10 or message.arbitration_id == REGISTER_ID):
            return None
        self.counts.received += 1
        return Frame(message.arbitration_id, bytes(message.data))

    def _lost(self, error: Exception) -> PortLost:
        do = "check the adapter's cable"
        if self.spec.interface == "socketcan":
            do += f", then sudo ip link set {self.spec.channel} up type can bitrate 1000000"
        return PortLost(sentence(f"{self.spec} is gone", got=os_error(error) or error, do=do))


def _poll_of(bus: can.BusABC) -> select.poll | None:
    try:
        number = bus.fileno()
    except (NotImplementedError, can.CanError, OSError):
        return None  # gs_usb, virtual: only recv can wait
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return poll
