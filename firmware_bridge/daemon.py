"""One bridge's life, in the process that its supervisor forked for it: open the arm, tick until told to leave.

Takes a Place (what does not change over takeovers), a Birth (where this one begins) and the pulse to the
supervisor. Says `ready` with the endpoint, or `error` with the class and text; at the end `stopped` with where
the arm is left. Words to it: hello, wire, heartbeat, arm, rearm, pause, resume, estop, cut, park,
shutdown [park|hold|limp], and chunks.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from firmware_bridge import registry
from firmware_bridge.config import BridgeConfig
from firmware_bridge.drivers import open_arm
from firmware_bridge.errors import BridgeError, to_wire
from firmware_bridge.loop import Asked, Loop, Rim
from firmware_bridge.messages import Info
from firmware_bridge.priority import BRIDGE, prefer
from firmware_bridge.pulse import Pulse
from firmware_bridge.recorder import BlackBox, watch
from firmware_bridge.replug import Replug
from firmware_bridge.robot import Robot
from firmware_bridge.rules import make_door, make_info, make_rules
from firmware_bridge.safety.chunks import Mailbox
from firmware_bridge.safety.state_machine import StateMachine
from firmware_bridge.service import Service
from firmware_bridge.words import STDIN, Say, tell

LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ESTOP = signal.SIGUSR1
CLOSE_S = 10.0
CONNECT_S = 60.0  # the longest that connecting may block before the supervisor takes it as hung


@dataclass(frozen=True, slots=True)
class Place:
    """What every bridge of one supervisor shares; `config` has its rate filled in."""

    config: BridgeConfig
    robot: Robot
    port: str
    owned: bool  # stdin ends when the starter dies
    supervisor: int  # pid
    started: float  # monotonic s
    say: Say
    calibration: object  # as drivers.load_calibration gave it


@dataclass(frozen=True, slots=True)
class Birth:
    """Where one bridge begins: the first one, or one that takes over."""

    endpoint: str
    status_endpoint: str = ""  # "" = beside the endpoint
    adopt: str = ""  # why it takes over; "" for the first
    number: int = 0  # takeovers before
    seq: int = 0  # of the last status that was published
    tick: int = 0


def live(place: Place, birth: Birth, pulse: Pulse) -> int:
    """From opening the arm to the farewell; the exit code, 0 after a farewell."""
    asked = _listen()
    try:
        with contextlib.ExitStack() as stack:
            return _live(place, birth, pulse, asked, stack)
    except BridgeError as error:
        name, text = to_wire(error)
        pulse.word({"event": "error", "error": name, "text": text})
        if not birth.adopt:
            place.say({"event": "error", "error": name, "text": text})
        return 1


def _live(place: Place, birth: Birth, pulse: Pulse, asked: Asked, stack: contextlib.ExitStack) -> int:
    config, robot, port = place.config, place.robot, place.port
    pulse.busy(CONNECT_S)
    arm = open_arm(robot, config, port, bool(birth.adopt), place.calibration)
    held = time.monotonic()
    report = [*arm.facts.report, prefer(BRIDGE)]
    rules = make_rules(config, robot, arm.facts)
    service = Service(birth.endpoint, birth.status_endpoint, config.keys)
    stack.callback(service.close)
    box = BlackBox.begin(config, arm.facts, birth.number)
    stack.callback(box.close)
    machine = watch(StateMachine(rules, Mailbox(make_door(config, robot))), box)
    if config.may_move:
        machine.torque = arm.facts.torque
    if birth.adopt:
        machine.adopt(birth.adopt)
    info = make_info(config, robot, rules, arm.facts, port, service.status_endpoint)
    replug = Replug(port, lambda: open_arm(robot, config, port, True, place.calibration))
    rim = Rim(pulse, asked, replug, box.problem, birth.seq, birth.tick)
    loop = Loop(arm, cast(StateMachine, machine), service, info, config, rim)
    stack.callback(lambda: loop.arm.close())  # a replugged arm is another one
    stack.callback(replug.end)  # before that: its thread may be closing the same arm
    if place.owned:
        service.watch_owner(STDIN)
    if not birth.adopt:
        for line in report:
            tell(line)

    def ready() -> None:
        word = {"event": "ready", "endpoint": service.endpoint, "port": port, "pid": os.getpid()}
        pulse.word({**word, "status_endpoint": service.status_endpoint, "held": held})
        stack.enter_context(_registered(place, info, service.endpoint))
        if not birth.adopt:
            place.say(word)

    loop.run(ready)
    farewell = machine.farewell()
    tell(f"{farewell}; {loop.lateness.text()}")
    pulse.word({"event": "stopped"})
    pulse.busy(CLOSE_S)  # closing the port, the last of the black box
    place.say({"event": "stopped", "text": farewell, "torque": machine.torque, "fault": machine.fault})
    return 0


@contextlib.contextmanager
def _registered(place: Place, info: Info, endpoint: str) -> Iterator[None]:
    name = place.config.id
    if not name:
        yield
        return
    row = registry.Running(
        id=name,
        robot=info.arm,
        port=info.port,
        endpoint=endpoint,
        status_endpoint=info.status_endpoint,
        pid=info.pid,
        supervisor=place.supervisor,
        started=place.started,
        keys=place.config.keys,
    )
    try:
        registry.announce(row)
    except OSError as error:  # a full disk hides the bridge from others; the arm is driven all the same
        tell(f"not listed among the running bridges: {error}")
    yield
    registry.withdraw(name)


def _listen() -> Asked:
    """Count signals from now on, and let those in that waited since before the fork."""
    asked = Asked()

    def leave(*_: object) -> None:
        asked.leave += 1

    def estop(*_: object) -> None:
        asked.estop += 1

    for number in LEAVING:
        signal.signal(number, leave)
    signal.signal(ESTOP, estop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*LEAVING, ESTOP))
    return asked
