"""Starting a module of ours as a process of its own, and reading the JSON lines that it prints.

The child gets a session of its own, so that Ctrl-C in a terminal reaches only the starter, which then
ends its children in the right order; and a stdin pipe, whose end tells it that its starter died.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from typing import Any


def spawn(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """`python -m module arguments`, which imports what this process imports."""
    path = os.pathsep.join([os.getcwd() if part == "" else part for part in sys.path])
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        # Arrays of a few joints gain nothing from threads, and a process that forks wants none.
        env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": path},
    )


class Lines:
    """The JSON lines that a child prints, read with a deadline."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._process = process
        self._pipe = process.stdout
        self._pending = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)

    def read(self, timeout_s: float) -> dict[str, Any] | None:
        """The next line, or None at the end of the pipe, at the deadline, after `close`."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            if self._pipe.closed:
                return None
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                return None
            data = os.read(self._pipe.fileno(), 65536)
            if not data:
                return None
            self._pending += data
        line, self._pending = self._pending.split(b"\n", 1)
        word: dict[str, Any] = json.loads(line)
        return word

    def peek(self) -> dict[str, Any] | None:
        """The next line if it is there, without taking it."""
        word = self.read(0.0)
        if word is not None:
            self._pending = json.dumps(word).encode() + b"\n" + self._pending
        return word

    def close(self) -> None:
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # the other end is gone
                    pipe.close()
