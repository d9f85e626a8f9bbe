"""Messages travel unchanged; another version, noise or a bad number is refused with a text."""

from __future__ import annotations

import dataclasses

import msgpack
import numpy as np
import pytest

from firmware_bridge.config import BridgeConfig, Timing
from firmware_bridge.errors import (
    BridgeError,
    ChunkRefused,
    ConfigError,
    PortBusy,
    ProtocolMismatch,
    from_wire,
    to_wire,
)
from firmware_bridge.messages import (
    FRAME,
    KINDS,
    PROTOCOL,
    SCHEMA,
    UNITS,
    Chunk,
    Command,
    Reply,
    pack,
    schema_hash,
    unpack,
)


def test_messages_travel_unchanged() -> None:
    chunk = Chunk(np.arange(12).reshape(2, 6), "so101", UNITS, FRAME, 3, 4, 1 / 30)
    back = unpack(pack(chunk))
    assert isinstance(back, Chunk) and back.actions.dtype == np.float32
    assert (back.actions == chunk.actions).all() and back.dt == chunk.dt
    reply = Reply(True, "text", "", "ready", 1, 2)
    assert unpack(pack(reply)) == reply


def test_another_schema_says_what_to_update() -> None:
    @dataclasses.dataclass(frozen=True)
    class Extended(Command):
        more: int = 0

    other = schema_hash((*KINDS[:2], Extended, *KINDS[3:]))
    assert other != SCHEMA and schema_hash(KINDS) == SCHEMA
    for protocol, schema in ((PROTOCOL, other), (PROTOCOL + 1, SCHEMA)):
        data = msgpack.packb([protocol, schema, "Command", ["arm", ""]])
        with pytest.raises(ProtocolMismatch, match=f"protocol {PROTOCOL} schema {SCHEMA}.*one version on both"):
            unpack(data)
    assert unpack(msgpack.packb([PROTOCOL, SCHEMA, "Command", ["arm", ""]])) == Command("arm")


@pytest.mark.parametrize("data", [b"", b"\xc1", b"hello", msgpack.packb({"a": 1}), msgpack.packb([1, 2])])
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolMismatch, match="cannot be read"):
        unpack(data)


def test_nan_on_the_wire_is_refused() -> None:
    good = pack(Chunk(np.zeros((1, 6)), "so101", UNITS, FRAME, 3, 4, 0.1))
    bad = good.replace(np.zeros(1, "<f4").tobytes() * 6, np.full(6, np.nan, "<f4").tobytes())
    assert bad != good
    with pytest.raises(ChunkRefused, match="finite"):
        unpack(bad)


def test_errors_cross_processes_as_their_class() -> None:
    error = from_wire(*to_wire(PortBusy("busy")))
    assert type(error) is PortBusy and str(error) == "busy"
    assert type(from_wire("Unheard", "text")) is BridgeError


def test_config_travels_and_refuses() -> None:
    config = BridgeConfig(robot="so101", port="sim", limits={"elbow_flex": (-1.0, 1.0)}, timing=Timing(rate_hz=50))
    assert BridgeConfig.from_json(config.to_json()) == config
    with pytest.raises(ConfigError, match=r"'exit_polcy'.*did you mean 'exit_policy'"):
        BridgeConfig.from_json('{"robot": "so101", "port": "sim", "exit_polcy": "hold"}')
    with pytest.raises(ConfigError, match="calibration"):
        BridgeConfig(robot="so101", port="/dev/ttyACM0")
    with pytest.raises(ConfigError, match="park or hold or limp"):
        BridgeConfig(robot="so101", port="sim", exit_policy="fall")
    with pytest.raises(ConfigError, match="CURVE keys"):
        BridgeConfig(robot="so101", port="sim", endpoint="tcp://0.0.0.0:5555")
    assert BridgeConfig(robot="so101", port="sim", timing=Timing(rate_hz=0)).timing.rate_hz == 0  # the robot's own
    for timing in (
        Timing(rate_hz=-1),
        Timing(rate_hz=1001),
        Timing(retries=-1),
        Timing(silent_fault_s=0),
        Timing(rate_hz=float("nan")),
    ):
        with pytest.raises(ConfigError, match=r"rate_hz|retries|silent_fault_s"):
            BridgeConfig(robot="so101", port="sim", timing=timing)
    with pytest.raises(ConfigError, match="an arm's id"):
        BridgeConfig(robot="so101", port="sim", id="../left")
    with pytest.raises(ConfigError, match="JSON"):
        BridgeConfig.from_json("{")
