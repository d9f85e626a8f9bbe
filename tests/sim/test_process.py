"""A simulated arm in real time: a real bridge moves it through real servo frames, and a camera sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from episodes.picture_link import PictureClient, Request
from firmware_bridge.client import FRAME, UNITS, BridgeConfig, Chunk, start_bridge
from firmware_bridge.errors import BridgeGone, ConfigError
from policy_spec.errors import CameraError

pytest.importorskip("mujoco")


def can_draw() -> bool:
    from policy_spec.errors import SimError
    from sim.world import World

    try:
        World("so101").picture("front", (8, 8))
    except SimError:
        return False
    return True


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[object, Path]]:
    pictures = tmp_path_factory.mktemp("sim") / "pictures"
    twin = ("sim.process", "--scene", "empty", "--pictures", str(pictures))
    config = BridgeConfig(robot="so101", port="sim", twin=twin, exit_policy="hold")
    with start_bridge(config, timeout_s=30.0) as bridge:
        yield bridge.client, pictures
        bridge.close()
    deadline = time.monotonic() + 10.0
    while pictures.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not pictures.exists()  # nothing is left behind


def test_a_bridge_moves_it_and_a_camera_sees_that(running: tuple[object, Path]) -> None:
    client, pictures = running
    if not can_draw():
        pytest.skip("nothing draws here: armside sim setup")
    eye = PictureClient(pictures)
    before, _ = eye.picture(Request("front", 64, 48))
    assert before.shape == (48, 64, 3) and before.std() > 5
    client.status()
    client.arm()
    seen = client.status()
    while seen.torque != "on":
        seen = client.status()
    goal = seen.measured.astype(np.float32).copy()
    goal[0] += np.float32(0.5)
    rows = np.linspace(seen.measured, goal, 6).astype(np.float32)
    assert client.send_chunk(Chunk(rows, "so101", UNITS, FRAME, seen.seq, seen.tick, 0.1)).ok
    until = time.monotonic() + 20.0
    while abs(client.status().measured[0] - goal[0]) > 0.02:
        assert time.monotonic() < until, client.status()
    after, seconds = eye.picture(Request("front", 64, 48))
    assert seconds > 0.5 and np.abs(after.astype(int) - before).mean() > 0.5
    assert np.array_equal(eye.picture(Request("front", 64, 48))[0].shape, before.shape)
    with pytest.raises(CameraError, match="camera"):
        eye.picture(Request("back"))


def test_a_yam_moves_its_world_through_can_frames(tmp_path: Path) -> None:
    config = BridgeConfig(robot="yam", port="sim", twin=("sim.process", "--scene", "empty"), exit_policy="hold")
    with start_bridge(config, timeout_s=30.0) as bridge:
        client = bridge.client
        client.status()
        client.arm()
        seen = client.status()
        while seen.torque != "on":
            seen = client.status()
        goal = seen.measured.astype(np.float32).copy()
        goal[0] += np.float32(0.4)
        goal[6] = np.float32(0.2)
        rows = np.linspace(seen.measured, goal, 6).astype(np.float32)
        assert client.send_chunk(Chunk(rows, "yam", UNITS, FRAME, seen.seq, seen.tick, 0.1)).ok
        until = time.monotonic() + 20.0
        while (np.abs(client.status().measured[[0, 6]] - goal[[0, 6]]) > 0.03).any():
            now = client.status()
            assert time.monotonic() < until and not now.fault, now
        assert bridge.close("limp")


def test_what_cannot_start_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="port sim"):
        BridgeConfig(robot="so101", port="/dev/ttyACM0", calibration="x", twin=("sim.process",))
    twin = ("sim.process", "--scene", "nonsense")
    with pytest.raises(BridgeGone, match="did not start"):
        start_bridge(BridgeConfig(robot="so101", port="sim", twin=twin), timeout_s=30.0)
