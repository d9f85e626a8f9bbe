"""Virtual servos of a world at a port, by the family of the robot: what sim/process.py serves.

`Served` is the contract: a port's name for a host, a lock around everything that moves, time that passes, and orders
as each family's own virtual process takes them. Found by the family's name.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from firmware_bridge.robot import Robot
from sim.shafts import Body


class Served(Protocol):
    """Servos that answer at `port` from `start` on."""

    port: str

    @property
    def lock(self) -> Any:
        """Held while anything moves the world."""

    def start(self) -> None: ...

    def pass_time(self, now: float) -> None:
        """Until `now`, monotonic s; the caller has the lock."""

    def obey(self, line: str) -> dict[str, Any]: ...

    def end(self) -> None: ...


class FeetechServed:
    """STS3215 on a pseudo-terminal."""

    def __init__(self, body: Body, robot: Robot, calibration: str, gripper: str) -> None:
        """Raises BridgeError."""
        from firmware_bridge.sts import calibration as calibrations
        from firmware_bridge.sts.virtual_port import VirtualPort
        from sim.servos import make_bus

        known = calibrations.load(calibration, robot.joints) if calibration else None
        self._port = VirtualPort(make_bus(body, robot, calibration=known))
        self.port = self._port.path
        self.lock = self._port.lock

    def start(self) -> None:
        threading.Thread(target=self._port.run, name="servos", daemon=True).start()

    def pass_time(self, now: float) -> None:
        self._port.bus.advance(now)

    def obey(self, line: str) -> dict[str, Any]:
        from firmware_bridge.sts.virtual_orders import obey_line

        return obey_line(self._port, line)

    def end(self) -> None:
        self._port.unplug()


class DamiaoServed:
    """Damiao motors on CAN: multicast within this host, or slcan where that does not come through."""

    def __init__(self, body: Body, robot: Robot, calibration: str, gripper: str) -> None:
        """Raises BridgeError."""
        from firmware_bridge.damiao import calibration as calibrations
        from firmware_bridge.damiao.virtual_process import VirtualProcess
        from sim.motors import WorldArm

        known = calibrations.load(calibration, robot) if calibration else calibrations.shipped(robot, gripper)
        self._arm = WorldArm(body, robot, known)
        self._process = VirtualProcess(self._arm)
        self.lock = self._arm.lock
        self.port = ""

    def start(self) -> None:
        from firmware_bridge.damiao.virtual_process import serve

        self.port = ",".join(serve(self._process.channels, "auto"))

    def pass_time(self, now: float) -> None:
        self._arm.advance(now)

    def obey(self, line: str) -> dict[str, Any]:
        return self._process.obey(json.loads(line))

    def end(self) -> None:
        return None


FAMILIES: Mapping[str, Callable[[Body, Robot, str, str], Served]] = {"sts": FeetechServed, "damiao": DamiaoServed}
