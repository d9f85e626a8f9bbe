"""Virtual servos as a process: `python -m firmware_bridge.sts.virtual_process --robot so101`.

Prints one JSON line with the pty's path, then serves until its stdin ends (its parent died or closed it) or
SIGTERM. Each stdin line is a JSON order for tests and demos, answered by one JSON line: see virtual_orders.py.

With `--link PATH` that path always leads to the present pty, and is gone while unplugged. With `--plant FILE` the
arm is the one of virtual_bench.py: between stops, limp where a hand leaves it, with the mistakes that FILE names
(JSON with the fields of virtual_plant.Plant), and servos hear their own baud rate only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading

from firmware_bridge import robots
from firmware_bridge.priority import SERVOS, prefer
from firmware_bridge.sts import calibration as calibrations
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_arm import make_bus
from firmware_bridge.sts.virtual_bench import Bench, load_plant
from firmware_bridge.sts.virtual_orders import obey_line
from firmware_bridge.sts.virtual_port import VirtualPort


def main() -> int:
    options = _options()
    port = _port(options)
    port.bus.wire_s = options.wire_ms / 1000.0
    port.bus.baud = options.baud
    # Ctrl-C in the terminal is for whoever runs the arm; servos go when their owner goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    prefer(SERVOS)  # both threads: whoever takes orders holds the interpreter's lock, and the servos wait for it
    thread = threading.Thread(target=port.run, daemon=True)
    thread.start()
    with contextlib.suppress(BrokenPipeError):  # our owner was stopped meanwhile: stdin ends too
        os.write(sys.stdout.fileno(), json.dumps({"port": options.link or port.path}).encode() + b"\n")
    for line in sys.stdin:
        print(json.dumps(obey_line(port, line)), flush=True)
    port.unplug()  # takes the link away
    return 0


def _port(options: argparse.Namespace) -> VirtualPort:
    robot = robots.find(options.robot)
    if options.plant:
        return Bench(robot, load_plant(options.plant, robot), options.link).port
    named = options.calibration
    calibration = calibrations.load(named, robot.joints) if named else shipped_calibration(robot)
    return VirtualPort(make_bus(robot, calibration), options.link)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="firmware_bridge.sts.virtual_process", description=__doc__.split("\n")[0])
    parser.add_argument("--robot", required=True)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--calibration", default="", help="LeRobot file to put into the servos' memory")
    what.add_argument("--plant", default="", help="JSON: what is different about this arm")
    parser.add_argument("--wire-ms", type=float, default=0.0, help="how long each answer takes on the wire")
    parser.add_argument("--baud", type=int, default=0, help="bytes take their time at this rate; 0: none")
    parser.add_argument("--link", default="", help="a symbolic link that follows the pty over unplug and replug")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
