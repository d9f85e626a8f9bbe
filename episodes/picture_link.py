"""Pictures over a local socket: what a simulated camera and whoever looks through it say to each other.

One request, one answer, as often as wanted on one connection of a Unix socket. A request is a JSON line with the
camera's name (and a size, where it matters), an answer a JSON line with height, width and the world's time, followed
by that many bytes of RGB; or with an error in words. Takes and gives numpy pictures. Knows nothing of what makes them.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from policy_spec.errors import CameraError, sentence

Image = npt.NDArray[np.uint8]  # [height, width, 3] RGB
LONGEST_LINE = 4096
LARGEST_SIDE = 4096
TIMEOUT_S = 8.0  # the first one may have to wait for what draws to be prepared
GONE = "see whether the simulation still runs; start it again"


@dataclass(frozen=True, slots=True)
class Request:
    """Which camera, and how large; 0: as the camera is."""

    camera: str
    width: int = 0
    height: int = 0

    def line(self) -> bytes:
        """The request on the wire."""
        return json.dumps({"camera": self.camera, "width": self.width, "height": self.height}).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Request:
        """The request in `line`. Raises CameraError."""
        try:
            facts = json.loads(line)
            camera, width, height = str(facts["camera"]), int(facts.get("width", 0)), int(facts.get("height", 0))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CameraError(
                sentence("a request for a picture", expected="a JSON line", got=repr(line[:80]))
            ) from error
        if not (0 <= width <= LARGEST_SIDE and 0 <= height <= LARGEST_SIDE):
            raise CameraError(sentence("size of a picture", expected=f"up to {LARGEST_SIDE}", got=f"{width}x{height}"))
        return cls(camera, width, height)


def answer(image: Image, seconds: float) -> bytes:
    """The head of an answer; the picture's bytes follow."""
    height, width, _ = image.shape
    return json.dumps({"height": height, "width": width, "t": seconds}).encode() + b"\n"


def refusal(text: str) -> bytes:
    """An answer without a picture."""
    return json.dumps({"error": text[:2000]}).encode() + b"\n"


class PictureClient:
    """One connection to a simulation's pictures. Whatever goes wrong is a CameraError, and the connection is over."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT_S)
        self._pending = b""
        try:
            self._socket.connect(self.path)
        except OSError as error:
            self._socket.close()
            what = f"no simulation gives pictures at {self.path}"
            raise CameraError(sentence(what, got=error, do=GONE)) from error

    def picture(self, request: Request) -> tuple[Image, float]:
        """The world as the camera sees it now, [h, w, 3] uint8 RGB, and the world's time in s."""
        try:
            self._socket.sendall(request.line())
            head = self._head()
            if "error" in head:
                raise CameraError(str(head["error"]))
            height, width = int(head["height"]), int(head["width"])
            if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
                raise CameraError(sentence("size of a picture", expected=f"up to {LARGEST_SIDE}", got=head))
            data = self._bytes(height * width * 3)
            return np.frombuffer(data, np.uint8).reshape(height, width, 3), float(head["t"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.close()
            raise CameraError(sentence(f"the simulation at {self.path} gave no picture", got=error, do=GONE)) from error
        except CameraError:
            self.close()
            raise

    def close(self) -> None:
        """May be called twice."""
        self._socket.close()

    def _head(self) -> dict[str, Any]:
        while b"\n" not in self._pending:
            if len(self._pending) > LONGEST_LINE:
                raise ValueError("an answer without an end of line")
            self._pending += self._some()
        line, self._pending = self._pending.split(b"\n", 1)
        head: dict[str, Any] = json.loads(line)
        return head

    def _bytes(self, size: int) -> bytes:
        parts, left = [self._pending[:size]], size - len(self._pending[:size])
        self._pending = self._pending[size:]
        while left:
            part = self._some(left)
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _some(self, most: int = 65536) -> bytes:
        data = self._socket.recv(min(most, 1 << 20))
        if not data:
            raise ConnectionError("it closed the connection")
        return data
