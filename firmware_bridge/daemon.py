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
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from firmware_bridge import robots
from firmware_bridge.config import SIM, BridgeConfig
from firmware_bridge.errors import BridgeError, BridgeGone, ConfigError, sentence, to_wire
from firmware_bridge.loop import Loop
from firmware_bridge.messages import FRAME, UNITS, Info
from firmware_bridge.processes import Lines, spawn
from firmware_bridge.robots import SHIPPED, Robot
from firmware_bridge.safety.chunks import Door, Mailbox
from firmware_bridge.safety.limits import Limits, tightest
from firmware_bridge.safety.modes import Rules
from firmware_bridge.safety.state_machine import StateMachine
from firmware_bridge.service import Service, default_endpoint
from firmware_bridge.sts import calibration as calibrations
from firmware_bridge.sts.arm import Arm
from firmware_bridge.sts.bus import Bus, Patience
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.line import SerialLine

SIM_START_S = 10.0
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
    calibration = _calibration(config, robot)
    port = stack.enter_context(_virtual_port(config)) if config.port == SIM else config.port
    patience = Patience(config.timing.reply_timeout_s, config.timing.retries)
    bus = Bus(SerialLine(port, config.baud), patience)
    stack.callback(bus.close)
    arm = Arm(bus, robot, calibration)
    arm.connect()
    rules = make_rules(config, robot, arm)
    if config.may_move:
        for line in arm.configure():
            print(f"bridge: {line}", file=sys.stderr)
    service = Service(config.endpoint or default_endpoint(robot.name))
    stack.callback(service.close)
    machine = StateMachine(rules, Mailbox(_door(config, robot)))
    if config.may_move:
        machine.torque = arm.torque()
    loop = Loop(arm, machine, service, _info(config, robot, rules, port, service), config)
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


def make_rules(config: BridgeConfig, robot: Robot, arm: Arm) -> Rules:
    """The machine's rules from a configuration. Raises ConfigError for joints that do not exist."""
    bounds = arm.codec.bounds()
    lower, upper = tightest(robot.joints, bounds, [robot.limits, config.limits])
    unknown = sorted(set(config.park_pose) - set(robot.joints))
    if unknown:
        raise ConfigError(sentence("park_pose", expected=", ".join(robot.joints), got=", ".join(unknown)))
    pose = dict(zip(robot.joints, robot.park_pose, strict=True)) | dict(config.park_pose)
    timing = config.timing
    return Rules(
        limits=Limits(robot.joints, lower, upper, np.full(len(robot.joints), config.speed)),
        servo_bounds=bounds,
        grippers=arm.codec.gripper,
        park_pose=np.clip([pose[name] for name in robot.joints], lower, upper),
        park_speed=config.park_speed,
        dt=1.0 / timing.rate_hz,
        may_move=config.may_move,
        exit_policy=config.exit_policy,
        silent_fault_s=timing.silent_fault_s,
        client_timeout_s=timing.client_timeout_s,
        park_after_s=timing.park_after_s,
        park_timeout_s=timing.park_timeout_s,
    )


def _ask_to_leave(loop: Loop) -> None:
    loop.leave_asked += 1


def _calibration(config: BridgeConfig, robot: Robot) -> Calibration:
    if config.calibration:
        return calibrations.load(config.calibration, robot.joints)
    return robots.shipped_calibration(robot)


def _door(config: BridgeConfig, robot: Robot) -> Door:
    rate = config.timing.rate_hz
    oldest = max(1, round(config.timing.max_observation_age_s * rate))
    return Door(robot.name, len(robot.joints), rate, oldest)


def _info(config: BridgeConfig, robot: Robot, rules: Rules, port: str, service: Service) -> Info:
    return Info(
        arm=robot.name,
        joints=robot.joints,
        lower=tuple(rules.limits.lower.tolist()),
        upper=tuple(rules.limits.upper.tolist()),
        rate_hz=config.timing.rate_hz,
        live=config.may_move,
        port=port,
        calibration=config.calibration or SHIPPED,
        units=UNITS,
        frame=FRAME,
        exit_policy=config.exit_policy,
        status_endpoint=service.status_endpoint,
        pid=os.getpid(),
    )


@contextlib.contextmanager
def _virtual_port(config: BridgeConfig) -> Iterator[str]:
    """Virtual servos in a process of their own, for as long as we live."""
    arguments = ["--robot", config.robot]
    if config.calibration:
        arguments += ["--calibration", config.calibration]
    process = spawn("firmware_bridge.sts.virtual_process", *arguments)
    lines = Lines(process)
    try:
        word = lines.read(SIM_START_S)
        if word is None:
            do = "read the lines above"
            raise BridgeGone(sentence("the virtual servos did not start", got=process.poll(), do=do))
        yield str(word["port"])
    finally:
        lines.close()
        process.terminate()
        process.wait()


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
