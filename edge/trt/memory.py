"""Memory that a build or a run may take: of this computer, and of its GPU where that has memory of its own."""

from __future__ import annotations

from pathlib import Path

from edge.trt.device import Gpu
from policy_spec.errors import SessionError, sentence


def free_bytes(gpu: Gpu | None = None) -> int:
    """The computer's available memory, or the GPU's own free memory where that is less. None: no GPU takes part.
    Raises SessionError where Linux does not say.

    A Jetson's GPU has none of its own, and CUDA calls free there what nobody uses at all: right after a bundle was
    copied, caches of its files would make it a few MB.
    """
    available = available_of(Path("/proc/meminfo").read_text())
    return available if gpu is None or gpu.integrated else min(available, gpu.free)


def available_of(text: str) -> int:
    """Bytes, from the text of /proc/meminfo."""
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise SessionError(sentence("/proc/meminfo", expected="a line MemAvailable", do="run armside on Linux"))
