"""What pictures of a dataset cost to write and to read: codecs, key frames, PNG; in order, at random, by samples.

    python -m bench.datasets [--width 640 --height 480] [--frames 150] [--json]

A made-up scene, panned and with camera noise, is written with LeRobotWriter in each way; then read with the mixture as
training does. CPU seconds are this process's own, so that another program's load changes little. Sizes are of the
videos or, for PNG, of the parquet files.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from episodes.lerobot.dataset import open_dataset
from episodes.lerobot.plan import DatasetPlan, VideoOptions
from episodes.lerobot.writer import Frame, LeRobotWriter
from episodes.mixture import Mixture, Part

WAYS: dict[str, dict[str, Any]] = {
    "h264, key frame every 2": {"video": VideoOptions("libx264", 2)},
    "h264, every 10": {"video": VideoOptions("libx264", 10)},
    "h264, every 60": {"video": VideoOptions("libx264", 60)},
    "AV1, every 2": {"video": VideoOptions("libsvtav1", 2, crf=30)},
    "AV1, every 60": {"video": VideoOptions("libsvtav1", 60, crf=30)},
    "PNG": {"pictures": "image"},
}
NAMES = ("shoulder.pos", "gripper.pos")


def scene(number: int, size: tuple[int, int]) -> np.ndarray:
    """[h, w, 3] uint8: blurred patches that move along, with the noise of a camera."""
    height, width = size
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (height // 8, width // 4, 3), np.uint8))
    wide = np.asarray(rough.resize((2 * width, height), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(3)))
    part = wide[:, number % width : number % width + width].astype(np.float32)
    part[height // 3 : height // 2, 3 * number % (width // 2) :][:, : width // 8] = (200, 30, 30)
    return np.clip(part + np.random.default_rng(number).normal(0, 2, part.shape), 0, 255).astype(np.uint8)


def measure(root: Path, way: dict[str, Any], pictures: list[np.ndarray]) -> dict[str, float]:
    """One way to keep pictures."""
    size = (pictures[0].shape[0], pictures[0].shape[1])
    plan = DatasetPlan(30, "bench", NAMES, NAMES, {"front": size}, **way)

    def write() -> None:
        with LeRobotWriter.open(root, plan, durable=False) as writer:
            writer.start()
            for picture in pictures:
                writer.add(Frame(np.zeros(2), np.zeros(2), {"front": picture}, "look"))
            writer.save()

    count = len(pictures)
    out = {"write_ms": _timed(write, count)}
    files = [*root.rglob("*.mp4")] or [*(root / "data").rglob("*.parquet")]
    out["kb"] = sum(file.stat().st_size for file in files) / count / 1000
    with open_dataset(root) as dataset:
        view = dataset.episode(0)
        out["in_order_ms"] = _timed(lambda: [view.picture("front", i) for i in range(count)], count)
        mixture = Mixture([Part(dataset, horizon=30)], seed=1)
        places = mixture.stream().take(60)
        out["at_random_ms"] = _timed(lambda: [mixture.sample(place) for place in places], len(places))
        shown = view.picture("front", count // 2).astype(np.int16)
        out["error"] = float(np.abs(shown - pictures[count // 2]).mean())
    return out


def _timed(work: Callable[[], object], count: int) -> float:
    """CPU milliseconds for each of `count`."""
    begun = time.process_time()
    work()
    return 1000 * (time.process_time() - begun) / count


def text(rows: dict[str, dict[str, float]]) -> str:
    """The table of docs/datasets.md."""
    lines = [
        "| kept as | kB a picture | mean error of 255 | write ms | read in order ms | a sample at random ms |",
        "|---|---|---|---|---|---|",
    ]
    for name, r in rows.items():
        lines.append(
            f"| {name} | {r['kb']:.1f} | {r['error']:.2f} | {r['write_ms']:.1f} | {r['in_order_ms']:.1f} | "
            f"{r['at_random_ms']:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    pictures = [scene(number, (args.height, args.width)) for number in range(args.frames)]
    with tempfile.TemporaryDirectory() as folder:
        rows = {name: measure(Path(folder) / str(i), way, pictures) for i, (name, way) in enumerate(WAYS.items())}
    print(json.dumps(rows, indent=1) if args.json else text(rows))


if __name__ == "__main__":
    main()
