"""The bridge process: `python -m firmware_bridge.daemon --config FILE|-` with a BridgeConfig as JSON.

Opens the bus, connects the arm, then ticks until told to leave (a shutdown command, SIGINT, SIGTERM,
SIGHUP, or its starter's death). Prints JSON lines on stdout: `ready` with the endpoint, or `error` with
the class and text; at the end `stopped` with where the arm is left. Words to it: hello, heartbeat, arm,
rearm, pause, resume, estop, park, shutdown [park|hold|limp], and chunks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from firmware_bridge import robots
from firmware_bridge.config import SIM, BridgeConfig
from firmware_bridge.driver import Facts
from firmware_bridge.drivers import open_arm, virtual_port
from firmware_bridge.errors import BridgeError, ConfigError, sentence, to_wire
from firmware_bridge.loop import Loop
from firmware_bridge.messages import FRAME, UNITS, Info
from firmware_bridge.robot import Robot
from firmware_bridge.safety.chunks import Door, Mailbox
from firmware_bridge.safety.limits import Limits, tightest
from firmware_bridge.safety.modes import Rules
from firmware_bridge.safety.motion import Envelope
from firmware_bridge.safety.state_machine import StateMachine
from firmware_bridge.service import Service, default_endpoint

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
    port = stack.enter_context(virtual_port(robot, config)) if config.port == SIM else config.port
    arm = open_arm(robot, config, port)
    stack.callback(arm.close)
    for line in arm.facts.report:
        print(f"bridge: {line}", file=sys.stderr)
    rules = make_rules(config, robot, arm.facts)
    service = Service(config.endpoint or default_endpoint(robot.name))
    stack.callback(service.close)
    machine = StateMachine(rules, Mailbox(_door(config, robot)))
    if config.may_move:
        machine.torque = arm.facts.torque
    info = _info(config, robot, rules, port, service, arm.facts)
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


def make_rules(config: BridgeConfig, robot: Robot, facts: Facts) -> Rules:
    """The machine's rules from a configuration. Raises ConfigError for joints that do not exist."""
    bounds = (facts.lower, facts.upper)
    lower, upper = tightest(robot.joints, bounds, [robot.limits, config.limits])
    speed = np.minimum(robot.speed, config.speed)
    limits = Limits(robot.joints, lower, upper, speed)
    unknown = sorted(set(config.park_pose) - set(robot.joints))
    if unknown:
        raise ConfigError(sentence("park_pose", expected=", ".join(robot.joints), got=", ".join(unknown)))
    pose = dict(zip(robot.joints, robot.park_pose, strict=True)) | dict(config.park_pose)
    timing = config.timing
    return Rules(
        envelope=Envelope(limits, np.array(robot.acceleration), np.array(robot.lead), 1.0 / timing.rate_hz),
        servo_bounds=bounds,
        grippers=np.array([name in robot.grippers for name in robot.joints]),
        park_pose=np.clip([pose[name] for name in robot.joints], lower, upper),
        park_speed=config.park_speed,
        may_move=config.may_move,
        exit_policy=config.exit_policy,
        holds_alone=robot.holds_alone,
        silent_fault_s=timing.silent_fault_s,
        client_timeout_s=timing.client_timeout_s,
        park_after_s=timing.park_after_s,
        park_timeout_s=timing.park_timeout_s,
    )


def _ask_to_leave(loop: Loop) -> None:
    loop.leave_asked += 1


def _door(config: BridgeConfig, robot: Robot) -> Door:
    rate = config.timing.rate_hz
    oldest = max(1, round(config.timing.max_observation_age_s * rate))
    return Door(robot.name, len(robot.joints), rate, oldest)


def _info(config: BridgeConfig, robot: Robot, rules: Rules, port: str, service: Service, facts: Facts) -> Info:
    return Info(
        arm=robot.name,
        joints=robot.joints,
        lower=tuple(rules.limits.lower.tolist()),
        upper=tuple(rules.limits.upper.tolist()),
        rate_hz=config.timing.rate_hz,
        live=config.may_move,
        port=port,
        calibration=facts.calibration,
        units=UNITS,
        frame=FRAME,
        exit_policy=config.exit_policy,
        status_endpoint=service.status_endpoint,
        pid=os.getpid(),
    )


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
