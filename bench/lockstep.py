"""How much faster than real time the simulated arm runs in lockstep, and where the time goes.

    python -m bench.lockstep [--seconds 20] [--size 140] [--json]

The same motion (an arm that swings its joints, in a scene of `pick`) by three roads: the world alone; the bridge, the
servos and the world in lockstep over a pseudo-terminal; and that with two pictures ten times a second. Times are this
process's own (CPU), which on a busy machine says more than the clock on the wall; both are shown.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from firmware_bridge.messages import FRAME, UNITS, Chunk
from sim.lockstep import Lockstep
from sim.randomise import draw, with_pictures
from sim.world import World

PERIOD_S = 0.1
CAMERAS = ("front", "wrist")


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of the world for each second of the machine."""

    road: str
    by_cpu: float
    by_wall: float


def swing(start: np.ndarray, seconds: float) -> np.ndarray:
    """[D] where the joints shall be."""
    goal: np.ndarray = start.copy()
    goal[:5] += 0.2 * np.sin(1.5 * seconds + np.arange(5))
    return goal


def alone(world: World, seconds: float) -> None:
    """No servos, no bridge: 100 goals a second."""
    start = np.array(list(world.positions().values()))
    for tick in range(round(100 * seconds)):
        goal = swing(start, tick / 100)
        world.advance(dict(zip(world.joints, goal.tolist(), strict=True)), 0.01)


def in_lockstep(world: World, seconds: float, pictures: bool) -> None:
    """The real road."""
    with Lockstep(world) as rig:
        status = rig.take()
        start = before = status.measured
        for period in range(round(seconds / PERIOD_S)):
            goal = swing(start, (period + 1) * PERIOD_S)
            rows = np.stack([before, goal]).astype(np.float32)
            reply = rig.client.send_chunk(Chunk(rows, status.arm, UNITS, FRAME, status.seq, status.tick, PERIOD_S))
            assert reply.ok, reply.text
            before = goal
            if pictures:
                for camera in CAMERAS:
                    world.picture(camera)
            for _ in range(10):
                status = rig.client.status()


def measure(road: str, seconds: float, work: Callable[[], None]) -> Speed:
    """`work` passes `seconds` of the world."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Speed(road, seconds / (time.process_time() - cpu), seconds / (time.perf_counter() - wall))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="bench.lockstep")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the world, for each road")
    parser.add_argument("--size", type=int, default=140, help="of a picture's side")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    scene = with_pictures(draw("pick", 0), options.size, options.size)
    world = World("so101", scene)
    for camera in CAMERAS:
        world.picture(camera)  # the first one prepares
    rows = []
    for road, work in (
        ("world alone", lambda: alone(world, options.seconds)),
        ("lockstep", lambda: in_lockstep(world, options.seconds, False)),
        (f"lockstep, 2 pictures of {options.size} x {options.size} at 10 Hz",
         lambda: in_lockstep(world, options.seconds, True)),
    ):  # fmt: skip
        world.reset(scene)
        rows.append(measure(road, options.seconds, work))
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    for row in rows:
        print(f"{row.road:48} {row.by_cpu:6.1f} x real time by CPU, {row.by_wall:6.1f} x by the wall")


if __name__ == "__main__":
    main()
