"""One CUDA graph around a piece of work; on a processor the same work, called.

The work takes and gives nothing: it reads and writes buffers that were allocated before. All that is proved of it on a
processor therefore holds for what a GPU replays, but for the capture itself. Also the ways in and out: host buffers
(pinned where there is a GPU) beside their twins on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

WARM_UP = 3  # runs before a capture: libraries choose kernels and take their workspaces in the first ones

Work = Callable[[], None]


@dataclass(slots=True, eq=False)
class Captured:
    """`work`, replayed. `captures` counts: a second one would mean that something was not static."""

    work: Work
    device: torch.device
    captures: int = 0
    _graph: Any = field(default=None, repr=False)

    @torch.no_grad()
    def __call__(self) -> None:
        """Queues the work on the current stream; captures it the first time."""
        if self.device.type != "cuda":
            self.work()
            return
        self.ready()
        self._graph.replay()

    @torch.no_grad()
    def ready(self) -> None:
        """Captures now what the first call would."""
        if self.device.type == "cuda" and self._graph is None:
            self.capture()

    def capture(self) -> None:
        """Warms up on a stream of its own and records one graph. A wait for the device inside the work fails here."""
        beside = torch.cuda.Stream(self.device)
        beside.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                self.work()
        torch.cuda.current_stream(self.device).wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self.work()
        self.captures += 1


@dataclass(frozen=True, slots=True, eq=False)
class Port:
    """One array's way between host and device: two buffers, allocated once."""

    host: Tensor
    device: Tensor

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Port:
        """Zeros on both sides."""
        host = torch.zeros(shape, dtype=dtype, pin_memory=device.type == "cuda")
        return cls(host, torch.zeros(shape, dtype=dtype, device=device))

    @property
    def array(self) -> np.ndarray:
        """The host's side, to be written to before `up` and read after `down` and a wait."""
        array: np.ndarray = self.host.numpy()
        return array

    def up(self) -> None:
        """Queues the copy to the device."""
        self.device.copy_(self.host, non_blocking=True)

    def down(self) -> None:
        """Queues the copy to the host; `wait` before reading."""
        self.host.copy_(self.device, non_blocking=True)


def wait(device: torch.device) -> None:
    """Until all that was queued is done."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
