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
from can.interfaces.slcan import slcanBus

from firmware_bridge.damiao.can_port import Spec, is_full, open_port, os_error
from firmware_bridge.damiao.frames import REGISTER_ID, Frame
from firmware_bridge.errors import PortLost, sentence

SEND_S = 0.003  # patience with a full way out
SEND_SLCAN_S = 0.02  # pyserial calls it a timeout too when all bytes went out and the process slept meanwhile
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
        self._patience_s = SEND_SLCAN_S if spec.interface == "slcan" else SEND_S
        self._waiting: list[Frame] = []
        self._poll = _poll_of(self.bus)

    def send(self, frame: Frame) -> bool:
        """Whether it went out. Raises PortLost."""
        message = can.Message(arbitration_id=frame.id, data=frame.data, is_extended_id=False)
        try:
            self.bus.send(message, self._patience_s)
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
            came, frame = self._receive(0.0)
            if frame is not None:
                frames.append(frame)
            elif not came and self._poll is None:
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
        _, frame = self._receive(left)
        if frame is not None:
            self._waiting.append(frame)

    def close(self) -> None:
        """Give the bus back; errors of a bus that is gone do not matter any more."""
        with contextlib.suppress(can.CanError, OSError):
            self.bus.shutdown()

    def _receive(self, timeout_s: float) -> tuple[bool, Frame | None]:
        """Whether anything came, and the frame if it is one that a motor could have sent."""
        try:
            message = self.bus.recv(timeout_s)
        except (ValueError, IndexError):  # slcan: characters that are no frame
            self.counts.broken += 1
            return True, None
        except (can.CanError, OSError) as error:
            if os_error(error) is not None:
                raise self._lost(error) from error
            if isinstance(self.bus, slcanBus):  # bytes that are no characters: it keeps them, and would
                with contextlib.suppress(can.CanError):  # stumble over them at every frame to come
                    self.bus.flush()
            self.counts.broken += 1
            return True, None
        if message is None:
            return False, None
        if message.is_extended_id or message.is_remote_frame or message.is_error_frame or message.is_fd:
            self.counts.broken += 1
            return True, None
        own = self.echoes and (message.arbitration_id < 0x10 or message.arbitration_id == REGISTER_ID)
        if own or not message.is_rx:
            return True, None
        self.counts.received += 1
        return True, Frame(message.arbitration_id, bytes(message.data))

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
