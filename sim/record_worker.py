"""Records episodes in a process of its own: `python -m sim.record_worker FOLDER`, one JSON line for each.

Reads {"task": "reach", "seed": 3, "size": 140, "depth": false, "nudge": 0.01, "number": 7} from stdin, records it, and
writes FOLDER/7.npz whole (states, actions, pictures and depths by camera), then says {"number": 7, "success": true,
"reason": "", "text": "...", "rows": 41}; or {"number": 7, "error": "..."}. Ends with its stdin.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from firmware_bridge.errors import BridgeError
from policy_spec.errors import ArmsideError
from sim.randomise import draw, with_pictures
from sim.record import Lead, Recorded, RecordOptions, record_episode
from sim.world import World


class Worker:
    """Keeps one world over its episodes."""

    def __init__(self, folder: Path, lead_of: Callable[[World, int], Lead] | None = None) -> None:
        """`lead_of` a world and a seed: who drives before the expert does."""
        self.folder, self._lead_of = folder, lead_of
        self._world: World | None = None

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Records one episode; what came of it."""
        number = int(order["number"])
        try:
            recorded = self._record(order)
        except (ArmsideError, BridgeError) as error:
            return {"number": number, "error": str(error)}
        half = self.folder / f".{number}.npz"
        np.savez(half, **arrays(recorded))
        half.replace(self.folder / f"{number}.npz")
        return {
            "number": number,
            "success": recorded.success,
            "reason": recorded.reason,
            "text": recorded.text,
            "rows": len(recorded.states),
        }

    def _record(self, order: dict[str, Any]) -> Recorded:
        size = int(order["size"])
        scene = with_pictures(draw(str(order["task"]), int(order["seed"]), training=True), size, size)
        if self._world is None:
            self._world = World("so101", scene)
        else:
            self._world.reset(scene)
        options = RecordOptions(depth=bool(order["depth"]), nudge=float(order["nudge"]))
        lead = self._lead_of(self._world, int(order["seed"])) if self._lead_of else None
        return record_episode(self._world, int(order["seed"]), options, lead=lead)


def arrays(recorded: Recorded) -> dict[str, Any]:
    """An episode's arrays by the names of its file."""
    out: dict[str, Any] = {"states": recorded.states, "actions": recorded.actions}
    out |= {f"picture/{name}": pictures for name, pictures in recorded.pictures.items()}
    return out | {f"depth/{name}": maps for name, maps in recorded.depths.items()}


def serve(worker: Worker) -> int:
    """Obeys every line of stdin."""
    try:
        for line in sys.stdin:
            print(json.dumps(worker.obey(json.loads(line))), flush=True)
    except BrokenPipeError:  # who asked has ended; the interpreter's last flush stays quiet
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    return serve(Worker(Path(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
