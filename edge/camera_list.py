"""Which cameras this machine has, by names that stay: one entry per camera, not per device node.

Reads /dev and /sys below a root (a test plants a machine there), and asks a real device whether it captures. Opens
no stream. Linux only: elsewhere the list is empty, and sources are named by hand.
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP: _IOR('V', 0, struct v4l2_capability), 104 bytes
CAPTURES = 0x1 | 0x1000  # V4L2_CAP_VIDEO_CAPTURE, ..._MPLANE
HAS_DEVICE_CAPS = 0x80000000
STABLE = ("dev/v4l/by-id", "dev/v4l/by-path")  # the first says which camera, the second which socket


@dataclass(frozen=True, slots=True)
class CameraDevice:
    """One camera. `stable` is its name that survives a reboot and another socket, where udev gives one."""

    node: str  # /dev/video0
    stable: str  # /dev/v4l/by-id/..., or the node itself
    model: str

    @property
    def moves(self) -> bool:
        """Its name may mean another camera after the next start."""
        return self.stable == self.node


def list_cameras(root: Path = Path("/")) -> tuple[CameraDevice, ...]:
    """Cameras that give pictures, in the order of their nodes."""
    names = _stable_names(root)
    found: dict[str, CameraDevice] = {}
    for folder in sorted((root / "sys/class/video4linux").glob("video*"), key=_number):
        node = root / "dev" / folder.name
        if not node.exists() or not _captures(node, folder):
            continue
        camera = os.path.realpath(folder / "device") if (folder / "device").exists() else folder.name
        if camera not in found:  # the further nodes of one camera carry its metadata
            plain = f"/dev/{folder.name}"
            model = _text(folder / "name") or "unknown"
            found[camera] = CameraDevice(plain, names.get(folder.name, plain), model)
    return tuple(found.values())


def _captures(node: Path, folder: Path) -> bool:
    if not stat.S_ISCHR(node.stat().st_mode):
        return _text(folder / "index") in ("", "0")
    import fcntl

    try:
        file = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    except OSError:  # another user's: shown, so that opening it can say why not
        return _text(folder / "index") in ("", "0")
    try:
        answer = fcntl.ioctl(file, QUERYCAP, bytes(104))
    except OSError:
        return False
    finally:
        os.close(file)
    capabilities, of_device = struct.unpack_from("<II", answer, 84)
    return bool((of_device if capabilities & HAS_DEVICE_CAPS else capabilities) & CAPTURES)


def _stable_names(root: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for folder in STABLE:
        for link in sorted((root / folder).glob("*")):
            names.setdefault(Path(os.path.realpath(link)).name, f"/{folder}/{link.name}")
    return names


def _number(folder: Path) -> int:
    digits = folder.name.removeprefix("video")
    return int(digits) if digits.isdigit() else 1 << 30


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
