"""Runs a folder of graphs on ONNX Runtime's CPU provider, plainly: the `run(graph, feeds)` that verification is
done with.

Opens a graph when first asked for it and keeps nothing bound; the robot's runtime is edge's Session, which is
verified against the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort


class OrtRunner:
    """`runner(graph, feeds) -> outputs by name`."""

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        """threads 0: ONNX Runtime's own choice."""
        self.folder = Path(folder)
        self.options = ort.SessionOptions()
        self.options.intra_op_num_threads = threads
        # Idle sessions that spin slow each other threefold on two cores (docs/sources.md, idle threads).
        self.options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.options.log_severity_level = 3
        self._sessions: dict[str, ort.InferenceSession] = {}

    def session(self, graph: str) -> ort.InferenceSession:
        """The opened graph."""
        if graph not in self._sessions:
            self._sessions[graph] = ort.InferenceSession(
                str(self.folder / f"{graph}.onnx"), self.options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[graph]

    def __call__(self, graph: str, feeds: Mapping[str, np.ndarray], /) -> dict[str, np.ndarray]:
        session = self.session(graph)
        names = [o.name for o in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    def close(self, graph: str | None = None) -> None:
        """Frees one graph's memory, or all."""
        for name in [graph] if graph else list(self._sessions):
            self._sessions.pop(name, None)
