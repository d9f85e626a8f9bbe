"""A simulated arm in real time, as a process: `python -m sim.process --robot so101 --scene reach:0 --pictures PATH`.

Virtual servos on a pseudo-terminal whose shafts are a World's joints, and the World's cameras on a local socket. Prints
one JSON line with the port, then serves until its stdin ends (its parent died or closed it) or SIGTERM. Stdin lines are
orders as sts/virtual_orders.py has them, and one more: {"do": "scene"} tells objects, joints and the world's time. A
bridge starts it in place of its own virtual servos (BridgeConfig.twin).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

from episodes.picture_link import Image, Request
from firmware_bridge import robots
from firmware_bridge.errors import BridgeError
from firmware_bridge.sts import calibration as calibrations
from firmware_bridge.sts.virtual_orders import obey_line
from firmware_bridge.sts.virtual_port import VirtualPort
from policy_spec.errors import ArmsideError
from sim.picture_server import PictureServer
from sim.scene_name import scene_of
from sim.servos import make_bus
from sim.world import World

IDLE_S = 0.02  # between two looks at the clock where no host asks: things fall all the same


class Live:
    """A world that moves as real time does, behind one port; and another in which its moments are drawn."""

    def __init__(self, world: World, port: VirtualPort) -> None:
        self.world = world
        self.port = port
        self._drawn: World | None = None  # of the thread that draws
        self._ended = threading.Event()

    def run(self) -> None:
        """Serves the port, and lets time pass, until `end`."""
        threading.Thread(target=self.port.run, name="servos", daemon=True).start()
        while not self._ended.wait(IDLE_S):
            with self.port.lock:
                self.port.bus.advance(time.monotonic())

    def end(self) -> None:
        self._ended.set()

    def picture(self, request: Request) -> tuple[Image, float]:
        """Drawn from a copy of this moment, so that the servos never wait for a picture. Raises SimError."""
        with self.port.lock:
            now, seconds = self.world.snapshot(), self.world.time
        if self._drawn is None:
            self._drawn = World(self.world.robot.name, now.scene)
        self._drawn.restore(now)
        size = (request.height, request.width) if request.height and request.width else None
        return self._drawn.picture(request.camera, size), seconds

    def obey(self, line: str) -> dict[str, Any]:
        """One order, answered."""
        with contextlib.suppress(ValueError, AttributeError):
            if json.loads(line).get("do") == "scene":
                return self._scene()
        answer: dict[str, Any] = obey_line(self.port, line)
        return answer

    def _scene(self) -> dict[str, Any]:
        with self.port.lock:
            found = self.world.objects()
            return {
                "text": self.world.scene.text,
                "t": self.world.time,
                "joints": self.world.positions(),
                "objects": {name: pose.position.tolist() for name, pose in found.items()},
            }


def main() -> int:
    options = _options()
    try:
        world = World(options.robot, scene_of(options.scene))
        robot = robots.find(options.robot)
        calibration = calibrations.load(options.calibration, robot.joints) if options.calibration else None
        port = VirtualPort(make_bus(world, robot, calibration=calibration))
    except (ArmsideError, BridgeError) as error:
        print(f"sim: {error}", file=sys.stderr)
        return 1
    # Ctrl-C in the terminal is for whoever runs the arm; the world goes when its owner goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    live = Live(world, port)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(_gone(options.pictures)))
    with contextlib.ExitStack() as stack:
        if options.pictures:
            stack.enter_context(PictureServer(options.pictures, live.picture))
        threading.Thread(target=live.run, name="world", daemon=True).start()
        with contextlib.suppress(BrokenPipeError):  # our owner was stopped meanwhile: stdin ends too
            os.write(sys.stdout.fileno(), json.dumps({"port": port.path}).encode() + b"\n")
        for line in sys.stdin:
            print(json.dumps(live.obey(line)), flush=True)
        live.end()
        port.unplug()
    return 0


def _gone(pictures: str) -> int:
    """Leaves no socket behind; what else there was ends with the process."""
    if pictures:
        with contextlib.suppress(OSError):
            os.unlink(pictures)
    return 0


def _options() -> argparse.Namespace:
    assert __doc__
    parser = argparse.ArgumentParser(prog="sim.process", description=__doc__.split("\n")[0])
    parser.add_argument("--robot", required=True)
    parser.add_argument("--scene", default="", help="TASK:SEED, such as reach:0; without it an empty table")
    parser.add_argument("--pictures", default="", help="path of the socket where the cameras are")
    parser.add_argument("--calibration", default="", help="LeRobot file to put into the servos' memory")
    parser.add_argument("--gripper", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
