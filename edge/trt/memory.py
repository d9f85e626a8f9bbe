"""Memory that a build or a run may take: of this computer, and of its GPU where that has memory of its own."""

from __future__ import annotations

from pathlib import Path

from policy_spec.errors import SessionError, sentence


def free_bytes(gpu_free: int | None = None) -> int:
    """The less of the computer's available memory and the GPU's free memory. Raises SessionError where Linux does not
    say.
    """
    available = available_of(Path("/proc/meminfo").read_text())
    return available if gpu_free is None else min(available, gpu_free)


def available_of(text: str) -> int:
    """Bytes, from the text of /proc/meminfo."""
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise SessionError(sentence("/proc/meminfo", expected="a line MemAvailable", do="run armside on Linux"))
