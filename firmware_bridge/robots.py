"""The arms as a table. A new arm is a row in its family's own table. Knows nothing of buses or time."""

from __future__ import annotations

from firmware_bridge.damiao.robots import ROBOTS as DAMIAO_ROBOTS
from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.robot import Robot
from firmware_bridge.sts.robots import ROBOTS as STS_ROBOTS

ROBOTS: dict[str, Robot] = {**STS_ROBOTS, **DAMIAO_ROBOTS}


def find(name: str) -> Robot:
    """The row of `name`. Raises ConfigError that lists the known ones."""
    if name not in ROBOTS:
        raise ConfigError(sentence("robot", expected=" or ".join(ROBOTS), got=name))
    return ROBOTS[name]
