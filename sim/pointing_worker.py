"""Asks questions about scenes in a process of its own: `python -m sim.pointing_worker FOLDER`, a JSON line a part.

Reads {"part": 3, "scenes": [["reach", 500003], ...], "size": 140, "poses": 2} from stdin, writes FOLDER/00003/ whole
(PNG pictures and questions.jsonl, whose picture names stand as seen from FOLDER's parent), then says {"part": 3,
"questions": 96}; or {"part": 3, "error": "..."}. Ends with its stdin.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from policy_spec.errors import ArmsideError
from sim.pointing import questions
from sim.randomise import draw, with_pictures
from sim.world import World

CAMERAS = ("front", "wrist")
LINES = "questions.jsonl"


class Worker:
    """Keeps one world over its scenes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._world: World | None = None

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Writes one part."""
        part = int(order["part"])
        half, whole = self.folder / f".{part:05d}", self.folder / f"{part:05d}"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        try:
            lines = [line for scene in order["scenes"] for line in self._scene(half, whole.name, scene, order)]
        except ArmsideError as error:
            return {"part": part, "error": str(error)}
        (half / LINES).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        half.replace(whole)
        return {"part": part, "questions": len(lines)}

    def _scene(self, half: Path, name: str, scene: list[Any], order: dict[str, Any]) -> list[dict[str, Any]]:
        kind, seed, size = str(scene[0]), int(scene[1]), int(order["size"])
        drawn = with_pictures(draw(kind, seed, training=True), size, size)
        if self._world is None:
            self._world = World("so101", drawn)
        else:
            self._world.reset(drawn)
        lines = []
        for number, asked in enumerate(questions(self._world, CAMERAS, int(order["poses"]), seed)):
            files = [f"{kind}-{seed}-{number}-{camera}.png" for camera in asked.pictures]
            for file, picture in zip(files, asked.pictures.values(), strict=True):
                Image.fromarray(picture).save(half / file, compress_level=1)
            images = [f"{self.folder.name}/{name}/{file}" for file in files]
            for thing, answer in asked.answers.items():
                task = asked.tasks[thing]
                lines.append({"question": f"point to the {thing}", "answer": answer, "task": task, "images": images})
        return lines


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    worker = Worker(Path(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(worker.obey(json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
