"""The door for other rooms: start a bridge, talk to it, send chunks, read statuses.

Nothing here imports a bus, an arm or pyserial; a client needs pyzmq, msgpack and numpy only.
"""

from __future__ import annotations

from firmware_bridge.config import SIM, BridgeConfig, Timing
from firmware_bridge.errors import (
    BridgeError,
    BridgeGone,
    ChunkRefused,
    CommandRefused,
    ConfigError,
    FaultError,
    PortError,
    ProtocolMismatch,
)
from firmware_bridge.launch import BridgeHandle, start_bridge
from firmware_bridge.link import BridgeClient, connect_bridge
from firmware_bridge.messages import FRAME, UNITS, Chunk, Info, Reply, Status, Wire
from firmware_bridge.registry import Running, all_running, find_running

__all__ = [
    "FRAME",
    "SIM",
    "UNITS",
    "BridgeClient",
    "BridgeConfig",
    "BridgeError",
    "BridgeGone",
    "BridgeHandle",
    "Chunk",
    "ChunkRefused",
    "CommandRefused",
    "ConfigError",
    "FaultError",
    "Info",
    "PortError",
    "ProtocolMismatch",
    "Reply",
    "Running",
    "Status",
    "Timing",
    "Wire",
    "all_running",
    "connect_bridge",
    "find_running",
    "start_bridge",
]
