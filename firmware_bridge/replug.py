"""A port that went away: wait for it and open the arm again, in a thread, so that the ticks go on.

Takes how to open the arm and whether its port is there; gives the open driver once. Decides nothing about
motion: whoever reopens with adopt=True finds an arm that holds where it is, and stays latched.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

from firmware_bridge.driver import Driver
from firmware_bridge.errors import BridgeError

EVERY_S = 0.5
ENDING_S = 5.0


def is_there(port: str) -> bool:
    """Whether the devices of `port` exist, as far as a look at the file system tells; costs no bus traffic."""
    return all(_one_is_there(part.strip().rpartition("=")[2]) for part in port.split(","))


def _one_is_there(port: str) -> bool:
    if "/" in port:  # slcan:/dev/..., and names of devices have colons of their own
        return os.path.exists(port[port.index("/") :])
    interface, _, channel = port.rpartition(":")
    if interface in ("", "socketcan"):
        return os.path.exists(f"/sys/class/net/{channel}")
    return True  # a bus without a device, such as UDP multicast; what opening it says is the answer


class Replug:
    """Opens a lost arm again. `problem` says why the last try failed."""

    def __init__(self, port: str, reopen: Callable[[], Driver], every_s: float = EVERY_S) -> None:
        self._port = port
        self._reopen = reopen
        self._every_s = every_s
        self._ended = threading.Event()
        self._found: Driver | None = None
        self._thread: threading.Thread | None = None
        self.problem = ""

    def lost(self, driver: Driver) -> None:
        """Give up `driver` and begin to try."""
        self.problem = ""
        self._thread = threading.Thread(target=self._run, args=(driver,), name="replug", daemon=True)
        self._thread.start()

    def back(self) -> Driver | None:
        """The arm, open, once; None as long as it is not."""
        if self._thread is None or self._thread.is_alive() or self._found is None:
            return None
        found, self._found, self._thread = self._found, None, None
        return found

    def end(self) -> None:
        """Try no more; an arm that nobody took is closed."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(ENDING_S)
        if self._found is not None:
            with contextlib.suppress(Exception):
                self._found.close()

    def _run(self, driver: Driver) -> None:
        with contextlib.suppress(Exception):  # a port that is gone may refuse even to be closed
            driver.close()
        while not self._ended.wait(self._every_s):
            if not is_there(self._port):
                self.problem = f"{self._port} is not there"
                continue
            try:
                self._found = self._reopen()
                return
            except BridgeError as error:
                self.problem = str(error)
            except Exception as error:  # our own mistake, or half an adapter: the next try may do
                self.problem = repr(error)
