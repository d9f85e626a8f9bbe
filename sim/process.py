"""A simulated arm in real time, as a process: `python -m sim.process --robot so101 --scene reach:0 --pictures PATH`.

A World's joints are the shafts of virtual servos at a port (served.py); another process draws its cameras. Prints one
JSON line with the port, then serves until its stdin ends (its parent died or closed it) or SIGTERM. Stdin lines are
orders as the family's own virtual process has them, and one more: {"do": "scene"} tells objects, joints and time. A
bridge starts it in place of its own virtual servos (BridgeConfig.twin).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from firmware_bridge import robots
from firmware_bridge.errors import BridgeError
from firmware_bridge.priority import favour
from firmware_bridge.processes import spawn
from policy_spec.errors import ArmsideError
from sim.painter_process import HEAD, READY
from sim.scene_name import scene_of
from sim.served import FAMILIES, Served
from sim.world import World

IDLE_S = 0.02  # between two looks at the clock where no host asks: things fall all the same


class Live:
    """A world that moves as real time does, behind its servos; its states go to the process that draws."""

    def __init__(self, world: World, served: Served) -> None:
        self.world = world
        self.served = served
        self._ended = threading.Event()

    def run(self) -> None:
        """Lets time pass where no host asks, until `end`."""
        while not self._ended.wait(IDLE_S):
            with self.served.lock:
                self.served.pass_time(time.monotonic())

    def end(self) -> None:
        self._ended.set()

    def tell_states(self, painter: subprocess.Popen[bytes]) -> None:
        """Answers each of the painter's questions with this moment, until it ends."""
        assert painter.stdin is not None and painter.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            while painter.stdout.read(1):
                with self.served.lock:
                    state, seconds = self.world.snapshot().state, self.world.time
                painter.stdin.write(HEAD.pack(len(state), seconds) + state.tobytes())
                painter.stdin.flush()

    def obey(self, line: str) -> dict[str, Any]:
        """One order, answered."""
        with contextlib.suppress(ValueError, AttributeError):
            if json.loads(line).get("do") == "scene":
                return self._scene()
        return self.served.obey(line)

    def _scene(self) -> dict[str, Any]:
        with self.served.lock:
            found = self.world.objects()
            return {
                "text": self.world.scene.text,
                "t": self.world.time,
                "joints": self.world.positions(),
                "objects": {name: pose.position.tolist() for name, pose in found.items()},
            }


def main() -> int:
    options = _options()
    painter = _painter(options)  # first: it prepares while this one does
    try:
        world = World(options.robot, scene_of(options.scene, options.robot))
        robot = robots.find(options.robot)
        served = FAMILIES[robot.family](world, robot, options.calibration, options.gripper)
    except (ArmsideError, BridgeError) as error:
        print(f"sim: {error}", file=sys.stderr)
        return 1
    # Ctrl-C in the terminal is for whoever runs the arm; the world goes when its owner goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    favour()
    live = Live(world, served)
    if painter is not None:
        assert painter.stdout is not None
        if painter.stdout.read(1) != READY:  # its socket is bound; else it has said why not
            return 1
        threading.Thread(target=live.tell_states, args=(painter,), name="states", daemon=True).start()
    served.start()
    threading.Thread(target=live.run, name="world", daemon=True).start()
    with contextlib.suppress(BrokenPipeError):  # our owner was stopped meanwhile: stdin ends too
        os.write(sys.stdout.fileno(), json.dumps({"port": served.port}).encode() + b"\n")
    for line in sys.stdin:
        print(json.dumps(live.obey(line)), flush=True)
    live.end()
    served.end()
    return 0


def _painter(options: argparse.Namespace) -> subprocess.Popen[bytes] | None:
    """The process that draws, where pictures are wanted. It ends with this one, however that ends."""
    names = ("--robot", options.robot, "--scene", options.scene, "--pictures", options.pictures)
    return spawn("sim.painter_process", *names) if options.pictures else None


def _options() -> argparse.Namespace:
    assert __doc__
    parser = argparse.ArgumentParser(prog="sim.process", description=__doc__.split("\n")[0])
    parser.add_argument("--robot", required=True)
    parser.add_argument("--scene", default="", help="TASK:SEED, such as reach:0; without it an empty table")
    parser.add_argument("--pictures", default="", help="path of the socket where the cameras are")
    parser.add_argument("--calibration", default="", help="of the arm, to put into the servos' memory")
    parser.add_argument("--gripper", default="", help="of a YAM: its type where no calibration says it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
