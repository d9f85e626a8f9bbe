"""What a bridge is told when it starts: a frozen, checked dataclass that travels as JSON.

Knows nothing of serial ports or servos; robot names are checked by the daemon against its table.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firmware_bridge.endpoints import ANY, is_local, split
from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.registry import check_id

SIM = "sim"  # the port's name that means: start virtual servos and drive them
MAY_BE_0 = ("retries", "rate_hz")
EXIT_POLICIES = ("park", "hold", "limp")
FASTEST_HZ = 1000.0  # no bus here answers faster


@dataclass(frozen=True, slots=True)
class Timing:
    """Rates and patience, all in s unless named otherwise."""

    rate_hz: float = 0.0  # ticks; 0 = the robot's own rate, 100 for SO arms, 200 for YAM
    reply_timeout_s: float = 0.02  # for all servos of one request; the wire itself needs 2.4 ms
    retries: int = 1  # repeated requests to silent servos within a tick
    silent_fault_s: float = 0.5  # a servo silent for longer latches a fault
    client_timeout_s: float = 1.0  # no word from the client that drives -> hold
    park_after_s: float = 10.0  # still no word -> the exit policy's end state, slowly
    max_observation_age_s: float = 5.0  # a chunk computed from an older status is refused
    park_timeout_s: float = 5.0  # not there so long after the path to the park pose: torque stays on


@dataclass(frozen=True, slots=True)
class BridgeConfig:
    """One bridge: one arm on one port.

    A real port reads only unless `live` is set, and needs a calibration file. `port="sim"` starts
    virtual servos, which move without `live`. Raises ConfigError.
    """

    robot: str  # a row of robots.py: "so101", "so100", "yam", "bi-yam"
    port: str  # "sim", a device such as /dev/ttyACM0, a CAN channel such as can0 or slcan:/dev/ttyACM0
    calibration: str = ""  # path of a LeRobot calibration file; "" only with "sim": the shipped one
    live: bool = False
    exit_policy: str = "park"  # park: slowly to the park pose, then torque off; hold; limp
    park_pose: Mapping[str, float] = field(default_factory=dict)  # joint -> rad; {} = the robot's own
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # joint -> (lower, upper)
    speed: float = 3.0  # rad/s (gripper: 1/s), the fastest that any joint is commanded
    park_speed: float = 0.5  # rad/s
    acceleration: float = 0.0  # rad/s^2 of every joint; 0 = the robot's own
    lead: float = 0.0  # rad that a command may run ahead of the measured joint; 0 = the robot's own
    home_pose: Mapping[str, float] = field(default_factory=dict)  # as park_pose
    floor: float | None = -0.01  # m, height of the table above the arm's base; None: no floor
    keep_out: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # name -> x0 y0 z0 x1 y1 z1, m
    self_collision: bool = True
    mechanics: bool = True  # refuse a calibration or a pose that no such arm can have; off for a modified arm
    bases: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # "left" -> x y z yaw; m, rad
    levels: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # quantity -> warn, limit, stop
    gripper: str = ""  # of a YAM: its type, damiao/grippers.py; "" = the usual one
    id: str = ""  # which arm this is, the name of its profile; "" = the robot's name
    endpoint: str = ""  # ipc:// or tcp://ADDRESS:PORT (not loopback: needs keys); "" = the id's own ipc path
    keys: str = ""  # folder of CURVE keys, for an endpoint that other machines reach
    twin: tuple[str, ...] = ()  # with port sim: module and arguments of other virtual servos than the robot's own
    black_box: str = ""  # file that takes all that the machine is told and answers; see black_box.py
    baud: int = 1_000_000
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        if self.exit_policy not in EXIT_POLICIES:
            raise ConfigError(sentence("exit_policy", expected=" or ".join(EXIT_POLICIES), got=self.exit_policy))
        if self.port != SIM and not self.calibration:
            raise ConfigError(
                sentence(
                    f"a real arm on {self.port} needs its calibration file",
                    got="none",
                    do="give calibration=PATH, or calibrate the arm first",
                )
            )
        if self.twin and self.port != SIM:
            raise ConfigError(sentence("virtual servos of one's own (twin)", expected=f"port {SIM}", got=self.port))
        numbers = {"speed": self.speed, "park_speed": self.park_speed, **dataclasses.asdict(self.timing)}
        for name, value in numbers.items():
            enough = value >= 0 if name in MAY_BE_0 else value > 0
            if not (math.isfinite(value) and enough):
                expected = "a number >= 0" if name in MAY_BE_0 else "a number > 0"
                raise ConfigError(sentence(name, expected=expected, got=value))
        if self.timing.rate_hz > FASTEST_HZ:
            raise ConfigError(sentence("rate_hz", expected=f"at most {FASTEST_HZ:g}", got=self.timing.rate_hz))
        if self.id:
            check_id(self.id)
        self._check_endpoint()

    def _check_endpoint(self) -> None:
        if not self.endpoint:
            return
        try:
            local = is_local(self.endpoint)
        except ValueError as error:
            expected = "ipc://PATH or tcp://ADDRESS:PORT, PORT 1..65534 or *"
            raise ConfigError(sentence("endpoint", expected=expected, got=self.endpoint)) from error
        if local:
            return
        if not self.keys:
            do = "make keys with `armside bridge keys` and name their folder (keys), or listen on tcp://127.0.0.1:PORT"
            what = f"endpoint {self.endpoint} is reached from other machines"
            raise ConfigError(sentence(what, expected="CURVE keys", got="none", do=do))
        if split(self.endpoint)[1] == ANY:
            do = "choose one: statuses go to the port after it"
            raise ConfigError(sentence("endpoint", expected="a port that clients know", got=self.endpoint, do=do))

    @property
    def leaving_s(self) -> float:
        """The longest that parking and ending may take."""
        return 2 * math.pi / self.park_speed + self.timing.park_timeout_s + 10.0

    @property
    def may_move(self) -> bool:
        """Whether goals and torque may be sent at all."""
        return self.live or self.port == SIM

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> BridgeConfig:
        """The configuration in `text`. Raises ConfigError for bad JSON and unknown or missing keys."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(sentence("the bridge's configuration", expected="JSON", got=error)) from error
        if not isinstance(data, dict):
            raise ConfigError(sentence("the bridge's configuration", expected="an object", got=type(data)))
        timing = _build(Timing, data.pop("timing", {}))
        limits = {joint: (float(low), float(high)) for joint, (low, high) in data.pop("limits", {}).items()}
        rows = {
            key: {name: tuple(float(number) for number in row) for name, row in data.pop(key, {}).items()}
            for key in ("keep_out", "bases", "levels")
        }
        twin = tuple(str(word) for word in data.pop("twin", ()))
        config: BridgeConfig = _build(cls, {**data, **rows, "timing": timing, "limits": limits, "twin": twin})
        return config


def _build(kind: type[Any], data: Mapping[str, Any]) -> Any:
    known = [item.name for item in dataclasses.fields(kind)]
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise ConfigError(
                sentence(
                    f"unknown key {key!r}",
                    expected=", ".join(known),
                    do=f"did you mean {near[0]!r}?" if near else "remove it",
                )
            )
    try:
        return kind(**data)
    except TypeError as error:
        raise ConfigError(sentence("the bridge's configuration", got=error)) from error
