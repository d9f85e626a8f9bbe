"""Runs a folder of graphs on ONNX Runtime's CPU provider, plainly: the `run(graph, feeds)` that verification is
done with.

Opens a graph when first asked for it and keeps nothing bound but the caches, which it owns by the contract of
policy_spec/graphs.py; the robot's runtime is edge's Session, which is verified against the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from policy_spec.graphs import CACHE, NEXT


class OrtRunner:
    """`runner(graph, feeds) -> outputs by name`."""

    def __init__(self, folder: str | Path, threads: int = 0, in_turn: bool = False) -> None:
        """threads 0: ONNX Runtime's own choice. in_turn: one graph in memory at a time."""
        self.folder, self.in_turn = Path(folder), in_turn
        self.options = ort.SessionOptions()
        self.options.intra_op_num_threads = threads
        # Idle sessions that spin slow each other threefold on two cores (docs/sources.md, idle threads).
        self.options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.options.log_severity_level = 3
        self._sessions: dict[str, ort.InferenceSession] = {}
        self.caches: dict[str, np.ndarray] = {}  # cache_k_00, ...: what the tokens so far have left there

    def session(self, graph: str) -> ort.InferenceSession:
        """The opened graph."""
        if graph not in self._sessions:
            if self.in_turn:
                self._sessions.clear()
            self._sessions[graph] = ort.InferenceSession(
                str(self.folder / f"{graph}.onnx"), self.options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[graph]

    def __call__(self, graph: str, feeds: Mapping[str, np.ndarray], /) -> dict[str, np.ndarray]:
        session = self.session(graph)
        names = [o.name for o in session.get_outputs()]
        out = dict(zip(names, session.run(names, {**feeds, **self._kept(session)}), strict=True))
        for name in [name for name in out if name.startswith(CACHE)]:
            self.caches[name.removesuffix(NEXT)] = out.pop(name)
        return out

    def close(self, graph: str | None = None) -> None:
        """Frees one graph's memory, or all, with the caches."""
        for name in [graph] if graph else list(self._sessions):
            self._sessions.pop(name, None)
        if graph is None:
            self.caches.clear()

    def _kept(self, session: ort.InferenceSession) -> dict[str, np.ndarray]:
        """The caches that a graph reads; zeros before there are any."""
        for node in session.get_inputs():
            if node.name.startswith(CACHE) and node.name not in self.caches:
                self.caches[node.name] = np.zeros(node.shape, np.float32)
        return {node.name: self.caches[node.name] for node in session.get_inputs() if node.name.startswith(CACHE)}
