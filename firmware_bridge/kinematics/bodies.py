"""The arms whose links we know, by name. A new arm is a row here and a file of its own. Data only."""

from __future__ import annotations

from firmware_bridge.kinematics.link import Body
from firmware_bridge.kinematics.so100 import SO100
from firmware_bridge.kinematics.so101 import SO101
from firmware_bridge.kinematics.yam import YAM

BODIES: dict[str, Body] = {body.name: body for body in (SO101, SO100, YAM)}
