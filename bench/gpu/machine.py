"""The machine of a table in words and numbers: GPU, driver, clocks, versions. Knows nothing of what was measured."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from typing import Any

import torch

_ASKED = ("driver_version", "clocks.max.sm", "clocks.sm", "power.limit", "persistence_mode", "compute_mode")


def machine(device: torch.device) -> dict[str, Any]:
    """As JSON."""
    facts: dict[str, Any] = {
        "device": device.type,
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "system": platform.platform(),
        "processor": platform.machine(),
    }
    if device.type != "cuda":
        return {**facts, "name": f"processor, {torch.get_num_threads()} threads"}
    gpu = torch.cuda.get_device_properties(device)
    return {
        **facts,
        "name": gpu.name,
        "capability": f"{gpu.major}.{gpu.minor}",
        "multiprocessors": gpu.multi_processor_count,
        "memory_gb": gpu.total_memory / 1e9,
        "cudnn": torch.backends.cudnn.version(),
        "nvidia_smi": _smi(),
    }


def _smi() -> dict[str, str]:
    """What the driver says of itself; {} where nvidia-smi is missing, as on a Jetson."""
    if shutil.which("nvidia-smi") is None:
        return {}
    command = ["nvidia-smi", f"--query-gpu={','.join(_ASKED)}", "--format=csv,noheader", "--id=0"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return dict(zip(_ASKED, (word.strip() for word in said.stdout.split(",")), strict=False))


def words(facts: dict[str, Any]) -> str:
    """One line above a table."""
    driver = facts.get("nvidia_smi", {}).get("driver_version")
    parts = [facts["name"], f"driver {driver}" if driver else "", f"torch {facts['torch']}"]
    return ", ".join(part for part in parts if part)


def memory_gb(device: torch.device) -> dict[str, float]:
    """Allocated now and at most since `forget_peak`, in GB; {} on a processor."""
    if device.type != "cuda":
        return {}
    now, most = torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
    return {"now": now / 1e9, "peak": most / 1e9}
