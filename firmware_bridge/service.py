"""The bridge's two sockets: commands answered one by one (ROUTER), a status to all each tick (PUB).

Takes a function that answers messages; never blocks the tick. Knows nothing of what messages mean.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from firmware_bridge.errors import BridgeError, ConfigError, sentence
from firmware_bridge.messages import Message, Status, pack, unpack

STATUS_QUEUE = 20_000  # per subscriber: 200 s at 100 Hz before a client that does not read loses any
MESSAGES_AT_ONCE = 64
IPC_PATH_MAX = 100  # sun_path has 108 bytes
# (client, message or the error that reading it raised) -> the answer, None for a word without one
Answer = Callable[[bytes, Message | BridgeError], Message | None]


class Service:
    """Bound sockets. Raises ConfigError when an endpoint cannot be bound."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._commands: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._commands.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._stream: zmq.Socket[bytes] = self._context.socket(zmq.PUB)
        self._stream.setsockopt(zmq.SNDHWM, STATUS_QUEUE)
        self.endpoint = _bind(self._commands, endpoint)
        tcp = endpoint.startswith("tcp://")
        self.status_endpoint = _bind(self._stream, "tcp://127.0.0.1:*" if tcp else f"{endpoint}.status")
        self._poller = zmq.Poller()
        self._poller.register(self._commands, zmq.POLLIN)
        self._owner: int | None = None

    def watch_owner(self, file: int) -> None:
        """`file` ends when the starter dies; `serve_until` then returns False once."""
        self._owner = file
        self._poller.register(file, zmq.POLLIN)

    def serve_until(self, deadline: float, answer: Answer) -> bool:
        """Answer commands until `deadline` (monotonic s). False when the owner is gone."""
        alive = True
        while True:
            left = deadline - time.monotonic()
            # zmq counts whole ms: the last part of one is slept, so that a tick starts in time.
            ready = dict(self._poller.poll(max(0, int(left * 1000))))
            if self._commands in ready:
                self._serve(answer)
            if self._owner is not None and self._owner in ready and not os.read(self._owner, 4096):
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
        self._context.destroy(linger=200)
        for endpoint in (self.endpoint, self.status_endpoint):
            if endpoint.startswith("ipc://"):
                Path(endpoint[len("ipc://") :]).unlink(missing_ok=True)

    def _serve(self, answer: Answer) -> None:
        # Several at once: an emergency stop must not wait a tick for each heartbeat before it.
        for _ in range(MESSAGES_AT_ONCE):
            self._serve_one(answer)
            if not self._commands.poll(0):
                return

    def _serve_one(self, answer: Answer) -> None:
        client, data = self._commands.recv_multipart()[:2]
        try:
            message: Message | BridgeError = unpack(data)
        except BridgeError as error:
            message = error
        reply = answer(client, message)
        if reply is not None:
            self._commands.send_multipart([client, pack(reply)])


def _bind(socket: zmq.Socket[bytes], endpoint: str) -> str:
    if endpoint.startswith("ipc://") and len(endpoint) > IPC_PATH_MAX:
        raise ConfigError(sentence("endpoint", expected=f"at most {IPC_PATH_MAX} bytes", got=endpoint))
    socket.setsockopt(zmq.LINGER, 200)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        do = "choose another endpoint, or end the bridge that has this one"
        raise ConfigError(sentence(f"cannot listen on {endpoint}", got=error, do=do)) from error
    return str(socket.getsockopt_string(zmq.LAST_ENDPOINT))
