"""Runs captured as CUDA graphs: the first run of a kind is enqueued and then captured, later ones are launched whole.

What distinguishes two kinds is what a captured run cannot change: the graph, the sizes of its dynamic sides, and which
of a cache's buffers is read. The prompt is none of it: its length enters by masks and positions, which are values in
buffers, so that another prompt launches what was captured for the first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from edge.trt.device import Device

Launch = Callable[[], None]


@dataclass(slots=True, eq=False)
class Captured:
    """All captured runs of an engine."""

    device: Device
    launches: dict[Hashable, Launch] = field(default_factory=dict)
    captures: int = 0

    def run(self, kind: Hashable, work: Launch) -> None:
        """Runs `work`, captured where it was run before. `work` enqueues, and changes nothing that it reads."""
        launch = self.launches.get(kind)
        if launch is not None:
            launch()
            return
        work()  # TensorRT prepares itself in a context's first run, which must not be captured
        self.device.wait()
        self.launches[kind] = self.device.capture(work)
        self.captures += 1
