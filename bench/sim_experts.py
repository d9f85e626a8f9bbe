"""How often the simulator's experts do their errands, how fast that is simulated, and what a picture costs.

    python -m bench.sim_experts [--tasks reach,push,pick] [--episodes 200] [--seed 0] [--training] [--still]
                                [--perturb NAME ...] [--json]

Experts act in the world alone, without servos, nudged as when episodes are recorded (`--still`: not). Success with
Wilson's 95 % interval, completion time and path length of what succeeded. Pictures: the fastest of 40, in processor
time, so that a busy machine shows the same.
"""

from __future__ import annotations

import argparse
import collections
import json
import statistics
import time

from sim.metrics import percent, wilson
from sim.randomise import draw, with_pictures
from sim.tasks.trial import Trial, expert_of, nudged, play
from sim.world import World

SIZES = ((140, 140), (224, 224), (240, 320))


def trials(world: World, kind: str, args: argparse.Namespace) -> list[Trial]:
    """An episode of each seed."""
    done = []
    for seed in range(args.seed, args.seed + args.episodes):
        world.reset(draw(kind, seed, training=args.training, perturb=tuple(args.perturb)))
        expert = expert_of(world, seed)
        done.append(play(world, expert.act, None if args.still else nudged(world, expert, seed)))
    return done


def experts(args: argparse.Namespace) -> list[dict[str, object]]:
    """A row for each task."""
    world, rows = World("so101"), []
    for kind in args.tasks.split(","):
        start = time.perf_counter()
        done = trials(world, kind, args)
        wall = time.perf_counter() - start
        good = [trial for trial in done if trial.success]
        low, high = wilson(len(good), len(done))
        rows.append(
            {
                "task": kind,
                "episodes": len(done),
                "success": len(good) / len(done),
                "interval": [low, high],
                "seconds": statistics.fmean(trial.seconds for trial in good),
                "path_rad": statistics.fmean(trial.path_rad for trial in good),
                "times_real_time": sum(trial.seconds for trial in done) / wall,
                "failures": dict(collections.Counter(trial.reason for trial in done if not trial.success)),
            }
        )
    return rows


def pictures() -> list[dict[str, object]]:
    """A row for each camera, size and shadows or none."""
    rows: list[dict[str, object]] = []
    for shadows in (True, False):
        scene = with_pictures(draw("reach", 0), 240, 320)
        world = World("so101", scene)
        world.model.light_castshadow[:] = shadows
        for slot in world.cameras:
            for size in SIZES:
                row = {"camera": slot, "size": list(size), "shadows": shadows}
                rows.append({**row, "ms": 1e3 * min(_cost(world, slot, size) for _ in range(40))})
        world.close()
    return rows


def _cost(world: World, slot: str, size: tuple[int, int]) -> float:
    start = time.process_time()
    world.picture(slot, size)
    return time.process_time() - start


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", default="reach,push,pick", help="which, with commas")
    parser.add_argument("--episodes", type=int, default=200, help="of each task")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--training", action="store_true", help="scenes of training instead of held-out ones")
    parser.add_argument("--still", action="store_true", help="without nudges")
    parser.add_argument("--perturb", nargs="*", default=[], help="names of sim/randomise.py's table")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = {"experts": experts(args), "pictures": pictures()}
    if args.json:
        print(json.dumps(found, indent=1))
        return
    for row in found["experts"]:
        low, high = row["interval"]  # type: ignore[misc]
        print(
            f"{row['task']:6} {percent(row['success'])} ({percent(low)} to {percent(high)})  {row['seconds']:.2f} s  "  # type: ignore[arg-type]
            f"{row['path_rad']:.2f} rad  {row['times_real_time']:.1f} x real time  {row['failures'] or ''}"
        )
    for row in found["pictures"]:
        height, width = row["size"]  # type: ignore[misc]
        print(f"{row['camera']:6} {width}x{height} {'shadows' if row['shadows'] else 'none':8} {row['ms']:.2f} ms")


if __name__ == "__main__":
    main()
