"""Gives a simulation's pictures to other processes: a thread that answers requests on a Unix socket.

Takes a function that renders (called in this thread alone, since a GL context belongs to one) and the socket's path;
speaks episodes.picture_link. A client that goes, stalls or talks nonsense loses its own connection and nothing else.
Knows nothing of worlds.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from episodes.picture_link import LONGEST_LINE, Request, answer, refusal
from policy_spec.errors import ArmsideError

Image = npt.NDArray[np.uint8]
Render = Callable[[Request], tuple[Image, float]]  # the picture and the world's time, s; raises ArmsideError
SEND_S = 2.0  # a client that does not read for so long is left
MOST_CLIENTS = 16


class PictureServer:
    """Serves until closed; a context manager."""

    def __init__(self, path: str | Path, render: Render) -> None:
        """Raises OSError where the socket cannot be made. One that a dead process left is replaced."""
        self.path = Path(path)
        self._render = render
        self._pending: dict[socket.socket, bytes] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        half = self.path.with_name(f"{self.path.name}~{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            half.unlink()
        try:
            self._listener.bind(str(half))
            os.chmod(half, 0o600)
            self._listener.listen(MOST_CLIENTS)
            half.replace(self.path)  # there from the moment on when somebody listens
        except BaseException:
            self._listener.close()
            raise
        self._wake_read, self._wake_write = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and removes the socket."""
        os.write(self._wake_write, b"x")
        self._thread.join(timeout=SEND_S + 1.0)
        self._selector.close()
        for client in (*self._pending, self._listener):
            client.close()
        self.path.unlink(missing_ok=True)
        for file in (self._wake_read, self._wake_write):
            os.close(file)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == self._wake_read:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self._hear(key.fileobj)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # it went before it was taken
            return
        if len(self._pending) >= MOST_CLIENTS:
            client.close()
            return
        client.settimeout(SEND_S)
        self._pending[client] = b""
        self._selector.register(client, selectors.EVENT_READ)

    def _hear(self, client: socket.socket) -> None:
        try:
            data = client.recv(LONGEST_LINE)
            *lines, rest = (self._pending[client] + data).split(b"\n")
            for line in lines:
                self._serve(client, line)
            if not data or len(rest) > LONGEST_LINE:
                self._drop(client)
            else:
                self._pending[client] = rest
        except OSError:
            self._drop(client)

    def _serve(self, client: socket.socket, line: bytes) -> None:
        try:
            image, seconds = self._render(Request.of_line(line))
        except ArmsideError as error:
            client.sendall(refusal(str(error)))
            return
        client.sendall(answer(image, seconds))
        client.sendall(np.ascontiguousarray(image))

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        self._pending.pop(client, None)
        client.close()

    def __enter__(self) -> PictureServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
