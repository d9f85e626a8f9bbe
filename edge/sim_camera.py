"""A camera of a simulation: `sim:front@SOCKET`, pictures over a local socket from the process that has the world.

A FrameSource like those of camera_sources.py. A simulation that died is a CameraError, as a pulled cable is: the
camera is opened again, a bounded number of times. Knows nothing of worlds.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from episodes.picture_link import PictureClient, Request
from policy_spec.errors import CameraError, sentence

Image = npt.NDArray[np.uint8]  # [height, width, 3] RGB
PREFIX = "sim:"
_FORM = re.compile(r"sim:([\w-]+)(?::(\d{1,4})x(\d{1,4}))?(?:@(.+))?")  # camera, width, height, socket
PERIOD_S = 1 / 15  # rendering shares the processor with the policy


def in_size(source: str, height: int, width: int) -> str:
    """A simulated camera without a size gets this one: what the policy was trained on is not resized. Others stay."""
    found = _FORM.fullmatch(source)
    if found is None or found[2]:
        return source
    return f"{PREFIX}{found[1]}:{width}x{height}" + (f"@{found[4]}" if found[4] else "")


class SimSource:
    """`sim:CAMERA@SOCKET`, or with a size `sim:CAMERA:WxH@SOCKET`."""

    period_s = PERIOD_S
    rounds = 0

    def __init__(self, text: str) -> None:
        found = _FORM.fullmatch(text)
        if found is None:
            raise CameraError(sentence("a simulated camera", expected="sim:NAME, such as sim:front", got=text))
        if not found[4]:
            do = "give --scene, such as --scene reach:0, to the run or to the bridge that it uses"
            raise CameraError(sentence(f"{text} is a camera of a simulated scene", got="no scene", do=do))
        self._request = Request(found[1], int(found[2] or 0), int(found[3] or 0))
        self._path = found[4]
        self._client: PictureClient | None = None

    def open(self) -> None:
        """Connects. CameraError."""
        self.close()
        self._client = PictureClient(self._path)

    def read(self) -> Image:
        """The scene as it is now."""
        if self._client is None:
            raise CameraError("this camera is not open")
        image, _ = self._client.picture(self._request)
        return image

    def close(self) -> None:
        """May be called twice."""
        if self._client is not None:
            self._client.close()
            self._client = None
