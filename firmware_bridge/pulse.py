"""The pipe between a bridge and its supervisor: a line for each tick, and few others. Both ends' words.

    "1042 2391\n"      a tick is done: Status.seq, Status.tick
    "busy 2.0\n"       the next line may take that many seconds (connecting, switching torque)
    "{...}\n"          JSON: {"event": "ready", ...}

The pipe's end tells each side that the other died. Knows nothing of what happens then.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

LONGEST = 500  # characters of a text: all of a line, escaped, must fit in PIPE_BUF (4096 bytes)


class Pulse:
    """The bridge's end; `file` is None where no supervisor listens. Writing never waits."""

    def __init__(self, file: int | None = None) -> None:
        self._file = file
        self.alone = False  # the supervisor has died
        if file is not None:
            os.set_blocking(file, False)

    def tick(self, seq: int, tick: int) -> None:
        self._write(f"{seq} {tick}\n")

    def busy(self, seconds: float) -> None:
        """What follows blocks for a known reason, for at most so long."""
        self._write(f"busy {seconds}\n")

    def word(self, word: dict[str, object]) -> None:
        """A word with short texts; a long one is cut, so that the line is written whole."""
        short = {key: value[:LONGEST] if isinstance(value, str) else value for key, value in word.items()}
        self._write(json.dumps(short) + "\n")

    def _write(self, line: str) -> None:
        if self._file is None or self.alone:
            return
        try:
            # Shorter than PIPE_BUF: all of it or, where the supervisor was stopped and the pipe is full, nothing.
            with contextlib.suppress(BlockingIOError):
                os.write(self._file, line.encode())
        except OSError:
            self.alone = True


@dataclass(slots=True)
class Heard:
    """The supervisor's end: what the newest lines said."""

    patience_s: float  # without a line
    seq: int = 0
    tick: int = 0
    allowed_s: float = 0.0  # now: patience, or what "busy" asked for
    words: list[dict[str, Any]] = field(default_factory=list)
    _rest: bytes = b""

    def __post_init__(self) -> None:
        self.allowed_s = self.patience_s

    def hear(self, data: bytes) -> None:
        """Bytes from the pipe."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):  # the one who watches must not fall over a word
                self._line(line)

    def _line(self, line: bytes) -> None:
        self.allowed_s = self.patience_s
        if line.startswith(b"{"):
            self.words.append(json.loads(line))
        elif line.startswith(b"busy "):
            self.allowed_s = self.patience_s + float(line[5:])
        else:
            seq, tick = line.split()
            self.seq, self.tick = int(seq), int(tick)
