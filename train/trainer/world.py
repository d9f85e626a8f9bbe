"""The processes of a run: one alone, or those that torchrun started, each with its device.

Takes the environment that torchrun sets (RANK, WORLD_SIZE, LOCAL_RANK); gives a World. Sums over processes go through
it. Knows nothing of models.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """This process among all of them."""

    rank: int
    size: int
    device: torch.device
    mesh: DeviceMesh | None  # None: alone, nothing is sharded

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.mesh is not None:
            dist.all_reduce(tensor)
        return tensor

    def any(self, wish: bool) -> bool:
        """Whether any process says so: all then agree."""
        if self.mesh is None:
            return wish
        return bool(self.total(torch.tensor([float(wish)], device=self.device)).item() > 0)

    def wait(self) -> None:
        """Until all are here."""
        if self.mesh is not None:
            dist.barrier()


def device_of(word: str, local_rank: int = 0) -> torch.device:
    """cpu, cuda, or auto. Raises UsageError where there is no such device."""
    if word == "cuda" and not torch.cuda.is_available():
        raise UsageError(sentence("run.device", expected="a CUDA device", got="none", do="set run.device to cpu"))
    if word == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", local_rank)


@contextmanager
def join(word: str) -> Iterator[World]:
    """The world that the environment says, left when the block ends. Raises UsageError."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, device_of(word), None)
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    from torch.distributed.device_mesh import init_device_mesh  # takes seconds, so only here

    device = device_of(word, local)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Long, because the leading process may decode whole datasets while the others wait.
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=12))
    try:
        yield World(rank, size, device, init_device_mesh(device.type, (size,)))
    finally:
        dist.destroy_process_group()
