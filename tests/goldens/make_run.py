"""Records tests/goldens/so101_run.box.gz: `python -m tests.goldens.make_run`.

The black box of a real bridge on virtual servos: armed, driven by chunks, paused, stopped, armed again, parked. Made
again whenever the safety core's numbers change on purpose (test_replay.py then says what differs); the diff of the
core, not this file, is what has to be looked at then. The arm stays clear of the table and of itself, so that its
commands come from additions, products and roots alone, which every processor rounds the same.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from firmware_bridge.client import FRAME, UNITS, BridgeClient, BridgeConfig, Chunk, Status, start_bridge

GOLDEN = Path(__file__).parent / "so101_run.box.gz"
PATIENCE_S = 30.0


def wait(client: BridgeClient, wanted: Callable[[Status], bool]) -> Status:
    """The first status that is `wanted`. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        status = client.status(PATIENCE_S)
        if wanted(status):
            return status
    raise TimeoutError("the bridge did not get there")


def towards(status: Status, goal: dict[int, float], seconds: float) -> Chunk:
    """From where the command is to `goal` (column -> rad, gripper 0..1) in `seconds`."""
    steps = max(2, round(30 * seconds))
    end = status.commanded.copy()
    for column, value in goal.items():
        end[column] = value
    way = np.linspace(0.0, 1.0, steps)[:, None]
    actions = (status.commanded + way * (end - status.commanded)).astype(np.float32)
    return Chunk(actions, status.arm, UNITS, FRAME, status.seq, status.tick, 1 / 30)


def drive(client: BridgeClient) -> None:
    """What the golden holds."""
    client.arm()
    wait(client, lambda s: s.torque == "on" and s.mode == "ready")
    client.send_chunk(towards(client.status(), {1: -1.0, 2: 1.0}, 1.2))  # up
    wait(client, lambda s: s.commanded[1] > -1.2)
    client.send_chunk(towards(client.status(), {0: 9.0, 1: -0.8, 5: 0.8}, 1.0))  # too far: cut at its limit
    wait(client, lambda s: s.commanded[0] > 1.2)
    client.pause()
    wait(client, lambda s: s.mode == "paused")
    client.resume()
    client.send_chunk(towards(client.status(), {0: 0.0}, 0.4))
    wait(client, lambda s: s.mode == "running")
    client.estop()
    refused = client.send_chunk(towards(client.status(), {0: 0.5}, 0.4))
    assert not refused.ok
    client.rearm()
    wait(client, lambda s: s.mode == "ready")


@contextlib.contextmanager
def inside(folder: str) -> Iterator[None]:
    """A relative path in the recorded configuration tells nothing of the machine that recorded it."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, inside(scratch):
        config = BridgeConfig(robot="so101", port="sim", park_speed=2.0, black_box="run.box", id="golden")
        with start_bridge(config) as bridge:
            drive(bridge.client)
            assert bridge.close("park") == "parked; torque off"
        data = Path("run.box").read_bytes()
    GOLDEN.write_bytes(gzip.compress(data, mtime=0))
    print(GOLDEN, len(data), GOLDEN.stat().st_size)


if __name__ == "__main__":
    main()
