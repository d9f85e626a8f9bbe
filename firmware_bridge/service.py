"""The bridge's two sockets: commands answered one by one (ROUTER), a status to all each tick (PUB).

Takes a function that answers messages; never blocks the tick. Knows nothing of what messages mean.
"""

from __future__ import annotations

import contextlib
import os
import socket as sockets
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from firmware_bridge.curve import guard
from firmware_bridge.endpoints import IPC, status_endpoint
from firmware_bridge.errors import BridgeError, ConfigError, ProtocolMismatch, sentence
from firmware_bridge.messages import Message, Status, pack, unpack

STATUS_QUEUE = 20_000  # per subscriber: 200 s at 100 Hz before a client that does not read loses any
LARGEST_BYTES = 1 << 20  # of a message: a chunk has a few kB, and a stranger must not fill the memory
IPC_PATH_MAX = 100  # sun_path has 108 bytes
# (client, message or the error that reading it raised) -> the answer, None for a word without one
Answer = Callable[[bytes, Message | BridgeError], Message | None]


class Service:
    """Bound sockets. Raises ConfigError when an endpoint cannot be bound, or for bad `keys` (curve.py)."""

    def __init__(self, endpoint: str, status: str = "", keys: str = "") -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._commands: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._stream: zmq.Socket[bytes] = self._context.socket(zmq.PUB)
        self._guard = None
        try:
            self._commands.setsockopt(zmq.ROUTER_HANDOVER, 1)
            self._commands.setsockopt(zmq.MAXMSGSIZE, LARGEST_BYTES)
            self._stream.setsockopt(zmq.SNDHWM, STATUS_QUEUE)
            if keys:
                self._guard = guard(self._context, (self._commands, self._stream), keys)
            self.endpoint = _bind(self._commands, endpoint)
            self.status_endpoint = _bind(self._stream, status or status_endpoint(endpoint))
        except BaseException:
            self._end()
            raise
        self._poller = zmq.Poller()
        self._poller.register(self._commands, zmq.POLLIN)
        self._owner: int | None = None

    def watch_owner(self, file: int) -> None:
        """`file` ends when the starter dies; `serve_until` then returns False once."""
        self._owner = file
        self._poller.register(file, zmq.POLLIN)

    def serve_until(self, deadline: float, answer: Answer) -> bool:
        """Answer commands until `deadline` (monotonic s), at least one even when that has passed.

        False when the owner is gone.
        """
        alive = True
        while True:
            left = deadline - time.monotonic()
            # zmq counts whole ms: the last part of one is slept, so that a tick starts in time.
            ready = dict(self._poller.poll(max(0, int(left * 1000))))
            if self._commands in ready:
                self._serve(answer, deadline)
            if self._owner is not None and self._owner in ready and not _more(self._owner):
                self._poller.unregister(self._owner)
                self._owner = None
                alive = False
            left = deadline - time.monotonic()
            if left < 0.001:
                if left > 0:
                    time.sleep(left)
                return alive

    def publish(self, status: Status) -> None:
        self._stream.send(pack(status))

    def close(self) -> None:
        """Close the sockets; answers on their way get a moment."""
        self._end()
        for endpoint in (self.endpoint, self.status_endpoint):
            if endpoint.startswith(IPC):
                Path(endpoint.removeprefix(IPC)).unlink(missing_ok=True)

    def _end(self) -> None:
        if self._guard is not None:
            self._guard.stop()
        self._context.destroy(linger=200)

    def _serve(self, answer: Answer, deadline: float) -> None:
        # All that wait, as far as the tick allows: an emergency stop must not wait a tick for each heartbeat
        # before it, and a client that floods must not make ticks late.
        while True:
            try:
                client, data = self._commands.recv_multipart(zmq.NOBLOCK)[:2]
            except zmq.Again:
                return
            self._serve_one(client, data, answer)
            if time.monotonic() >= deadline:
                return

    def _serve_one(self, client: bytes, data: bytes, answer: Answer) -> None:
        try:
            message: Message | BridgeError = unpack(data)
        except BridgeError as error:
            message = error
        except Exception as error:  # fields of kinds that no client of ours sends
            message = ProtocolMismatch(sentence("a message that cannot be read", got=repr(error)[:120]))
        reply = answer(client, message)
        if reply is not None:
            with contextlib.suppress(zmq.Again):
                self._commands.send_multipart([client, pack(reply)], zmq.NOBLOCK)


def _more(file: int) -> bool:
    """Whether `file` has not ended; what it says is thrown away."""
    try:
        return bool(os.read(file, 4096))
    except OSError:  # a terminal that was closed
        return False


def _bind(socket: zmq.Socket[bytes], endpoint: str) -> str:
    if endpoint.startswith(IPC) and len(endpoint) > IPC_PATH_MAX:
        raise ConfigError(sentence("endpoint", expected=f"at most {IPC_PATH_MAX} bytes", got=endpoint))
    do = "choose another endpoint, or end the bridge that has this one"
    if endpoint.startswith(IPC) and _somebody_listens(endpoint.removeprefix(IPC)):
        raise ConfigError(sentence(f"cannot listen on {endpoint}", got="a bridge that listens there", do=do))
    socket.setsockopt(zmq.LINGER, 200)
    if "[" in endpoint:
        socket.setsockopt(zmq.IPV6, 1)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise ConfigError(sentence(f"cannot listen on {endpoint}", got=error, do=do)) from error
    return str(socket.getsockopt_string(zmq.LAST_ENDPOINT))


def _somebody_listens(path: str) -> bool:
    """zmq takes an ipc path over from whoever has it; a file that a dead bridge left may be taken."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
