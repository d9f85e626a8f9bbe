"""The bridge process: `python -m firmware_bridge.daemon --config FILE|-` with a BridgeConfig as JSON.

Opens the bus, connects the arm, then ticks until told to leave (a shutdown command, SIGINT, SIGTERM,
SIGHUP, or its starter's death). Prints JSON lines on stdout: `ready` with the endpoint, or `error` with
the class and text; at the end `stopped` with where the arm is left. Words to it: hello, heartbeat, arm,
rearm, pause, resume, estop, park, shutdown [park|hold|limp], and chunks.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

from firmware_bridge import robots
from firmware_bridge.config import SIM, BridgeConfig
from firmware_bridge.drivers import open_arm, virtual_port
from firmware_bridge.errors import BridgeError, ConfigError, sentence, to_wire
from firmware_bridge.loop import Loop
from firmware_bridge.registry import default_endpoint
from firmware_bridge.rules import make_door, make_info, make_rules
from firmware_bridge.safety.chunks import Mailbox
from firmware_bridge.safety.state_machine import StateMachine
from firmware_bridge.service import Service

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    options = _options()
    try:
        config = BridgeConfig.from_json(_config_text(options.config))
        with contextlib.ExitStack() as stack:
            return _run(config, options.owned, stack)
    except BridgeError as error:
        name, text = to_wire(error)
        say({"event": "error", "error": name, "text": text})
        return 1


def say(word: dict[str, object]) -> None:
    """One JSON line to whoever started us; a starter that died hears nothing."""
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), json.dumps(word).encode() + b"\n")


def _run(config: BridgeConfig, owned: bool, stack: contextlib.ExitStack) -> int:
    robot = robots.find(config.robot)
    if not config.timing.rate_hz:
        config = dataclasses.replace(config, timing=dataclasses.replace(config.timing, rate_hz=robot.rate_hz))
    port = stack.enter_context(virtual_port(robot, config)) if config.port == SIM else config.port
    arm = open_arm(robot, config, port)
    stack.callback(arm.close)
    for line in arm.facts.report:
        print(f"bridge: {line}", file=sys.stderr)
    rules = make_rules(config, robot, arm.facts)
    service = Service(
        config.endpoint or default_endpoint(config.id or robot.name, "" if config.id else str(os.getpid()))
    )
    stack.callback(service.close)
    machine = StateMachine(rules, Mailbox(make_door(config, robot)))
    if config.may_move:
        machine.torque = arm.facts.torque
    info = make_info(config, robot, rules, arm.facts, port, service.status_endpoint)
    loop = Loop(arm, machine, service, info, config)
    for number in SIGNALS:
        signal.signal(number, lambda *_: _ask_to_leave(loop))
    if owned:
        service.watch_owner(sys.stdin.fileno())
    ready = {"event": "ready", "endpoint": service.endpoint, "port": port, "pid": os.getpid()}
    loop.run(lambda: say(ready))
    farewell = machine.farewell()
    print(f"bridge: {farewell}", file=sys.stderr)
    say({"event": "stopped", "text": farewell, "torque": machine.torque, "fault": machine.fault})
    return 0


def _ask_to_leave(loop: Loop) -> None:
    loop.leave_asked += 1


def _config_text(path: str) -> str:
    if path == "-":
        return sys.stdin.readline()
    try:
        return Path(path).read_text()
    except OSError as error:
        raise ConfigError(sentence(f"configuration {path}", expected="a JSON file", got=error)) from error


def _options() -> argparse.Namespace:
    assert __doc__
    parser = argparse.ArgumentParser(prog="firmware_bridge.daemon", description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, help="a JSON file, or - for one line on stdin")
    parser.add_argument("--owned", action="store_true", help="leave when stdin ends")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
