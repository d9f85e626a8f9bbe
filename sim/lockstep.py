"""A bridge, its servos and a world in lockstep on a virtual clock: faster than real time, and the same each time.

Takes a body (a World, reset to its scene) and a BridgeConfig; gives a client as a run has one. One tick is the real
bridge's: its loop, safety core and driver read and write servo frames on a real pseudo-terminal, virtual servos
decode them, and the world moves by one period of the bridge, exactly. What is not there: the supervisor, zmq and the
wall clock. Nothing sleeps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import TracebackType
from typing import cast

from firmware_bridge import robots
from firmware_bridge.config import SIM, BridgeConfig
from firmware_bridge.loop import Loop, Rim
from firmware_bridge.messages import Status
from firmware_bridge.rules import make_door, make_info, make_rules
from firmware_bridge.safety.chunks import Mailbox
from firmware_bridge.safety.state_machine import StateMachine
from firmware_bridge.service import Service
from firmware_bridge.sts.bus import Bus, Patience
from firmware_bridge.sts.connect import open_on
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_line import VirtualClock
from sim.lockstep_client import LockstepClient, StatusQueue
from sim.pty_line import PtyLine
from sim.servos import make_bus
from sim.shafts import Body


class Lockstep:
    """One arm for one episode; a context manager. `client` drives it, `tick` lets one period pass."""

    def __init__(self, body: Body, config: BridgeConfig | None = None, holding: bool = True) -> None:
        """`holding`: the servos hold the body's pose from the beginning; see servos.make_bus.

        Raises BridgeError where the arm cannot be opened, as the bridge does.
        """
        config = config or BridgeConfig(robot="so101", port=SIM)
        robot = robots.find(config.robot)
        if not config.timing.rate_hz:
            config = dataclasses.replace(config, timing=dataclasses.replace(config.timing, rate_hz=robot.rate_hz))
        self.body = body
        self.after_tick: Callable[[], None] | None = None  # whoever watches the world between two ticks
        self.clock = VirtualClock()
        self.bus = make_bus(body, robot, holding)
        self.bus.advance(self.clock.now)
        self._line = PtyLine(self.bus, self.clock)
        patience = Patience(config.timing.reply_timeout_s, config.timing.retries)
        bus = Bus(self._line, patience, clock=self.clock)
        arm = open_on(bus, robot, config, False, shipped_calibration(robot))
        rules = make_rules(config, robot, arm.facts)
        machine = StateMachine(rules, Mailbox(make_door(config, robot)))
        machine.torque = arm.facts.torque
        self._statuses = statuses = StatusQueue()
        info = make_info(config, robot, rules, arm.facts, self._line.path, statuses.status_endpoint)
        rim = Rim(clock=self.clock)
        self.loop = Loop(arm, machine, cast(Service, statuses), info, config, rim)
        self.client = LockstepClient(self.loop, statuses, self.tick)

    @property
    def now(self) -> float:
        """Virtual s since the port was opened."""
        return self.clock.now

    @property
    def newest(self) -> Status | None:
        """The last status that was published; nobody is served by looking at it."""
        return self._statuses.newest

    def tick(self) -> None:
        """The bridge's next tick, when it is due."""
        self.clock.until(self.loop.grid.due)
        self.loop.turn()
        if self.after_tick is not None:
            self.after_tick()

    def take(self) -> Status:
        """Arms, and lets ticks pass until the torque is on. Raises CommandRefused."""
        self.client.status()
        self.client.arm()
        status = self.client.status()
        while status.torque != "on" and not status.fault:
            status = self.client.status()
        return status

    def close(self) -> None:
        """The port goes away; the servos keep what they do."""
        self.loop.arm.close()

    def __enter__(self) -> Lockstep:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
