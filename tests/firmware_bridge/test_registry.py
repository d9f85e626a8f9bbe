"""Which bridges run: found by id, one for each id, and no longer found when their process is gone."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge import registry
from firmware_bridge.client import (
    BridgeConfig,
    BridgeGone,
    ConfigError,
    all_running,
    connect_bridge,
    find_running,
    start_bridge,
)
from firmware_bridge.registry import Running, announce, check_id, claim, default_endpoint, folder, withdraw

SIM = BridgeConfig(robot="so101", port="sim", park_speed=3.0)


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    short = tempfile.mkdtemp(prefix="as-")  # ipc paths have 108 bytes
    monkeypatch.setenv("XDG_RUNTIME_DIR", short)
    yield
    shutil.rmtree(short, ignore_errors=True)


def row(name: str) -> Running:
    return Running(name, "so101", "/dev/ttyX", "ipc:///x", "ipc:///x.status", 11, 10, 1.5, "")


def gone(name: str) -> bool:
    """Whether the row is gone soon: a dying process lets go of its lock a moment later."""
    deadline = time.monotonic() + 10.0
    while find_running(name) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_bridge_with_an_id_is_found_connected_to_and_gone() -> None:
    with start_bridge(dataclasses.replace(SIM, id="left")) as bridge:
        found = find_running("left")
        assert found is not None and all_running() == [found]
        assert (found.robot, found.pid, found.supervisor) == ("so101", bridge.bridge_pid, bridge.pid)
        assert found.endpoint == bridge.endpoint == default_endpoint("left") and 0 < found.started <= time.monotonic()
        with connect_bridge("left") as client, connect_bridge(bridge.endpoint) as other:
            assert client.info.pid == other.info.pid == bridge.bridge_pid and client.info.id == "left"
        assert bridge.close() == "torque off"
    assert gone("left") and all_running() == [] and not (folder() / "left.json").exists()
    with pytest.raises(BridgeGone, match=r"no bridge for 'left'.*running: none"):
        connect_bridge("left")


def test_a_second_bridge_of_an_id_is_refused_by_name() -> None:
    config = dataclasses.replace(SIM, id="left")
    with start_bridge(config) as bridge:
        with pytest.raises(ConfigError, match=rf"'left' runs already; got: pid {bridge.pid} .*armside bridge end left"):
            start_bridge(config)
        assert find_running("left") is not None  # the refused one took nothing away
        with start_bridge(dataclasses.replace(SIM, id="right")):  # negative control: another id
            assert [item.id for item in all_running()] == ["left", "right"]


def test_private_bridges_do_not_meet() -> None:
    with start_bridge(SIM) as one, start_bridge(SIM) as two:
        assert one.endpoint != two.endpoint and all_running() == []


def test_a_takeover_keeps_id_and_endpoint_with_another_pid() -> None:
    with start_bridge(dataclasses.replace(SIM, id="left")) as bridge:
        first = find_running("left")
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        bridge.client.status(15.0)
        deadline = time.monotonic() + 15.0
        while (now := find_running("left")) is None or now.pid == first.pid:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert now == dataclasses.replace(first, pid=bridge.bridge_pid)


def test_a_killed_bridge_leaves_nothing_that_is_believed() -> None:
    bridge = start_bridge(dataclasses.replace(SIM, id="left"))
    pid = bridge.bridge_pid
    os.kill(bridge.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(BridgeGone):
        bridge.close()
    assert gone("left") and not (folder() / "left.json").exists()
    with start_bridge(dataclasses.replace(SIM, id="left")) as again:
        assert find_running("left") is not None and again.client.status().mode == "shadow"


def test_the_lock_and_not_the_file_says_who_lives() -> None:
    announce(row("left"))
    assert find_running("left") is None and not (folder() / "left.json").exists()
    with claim("left", "so101"):
        announce(row("left"))
        assert find_running("left") == row("left")
        with pytest.raises(ConfigError, match="pid 10 on /dev/ttyX"), claim("left", "so101"):
            pass
        withdraw("left")
        with pytest.raises(ConfigError, match="still starting or ending"), claim("left", "so101"):
            pass
    with claim("left", "so101"):  # negative control: let go of
        pass


def test_a_forked_process_keeps_the_id_of_its_dead_parent() -> None:
    code = (
        "import os, time\nfrom firmware_bridge.registry import *\n"
        "with claim('left', 'so101'):\n"
        "    if os.fork() == 0: time.sleep(60)\n"
        "    print(flush=True); os.kill(os.getpid(), 9)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline()
    process.wait()
    try:
        with pytest.raises(ConfigError), claim("left", "so101"):
            pass
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a b"])
def test_ids_that_are_no_file_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="an arm's id"):
        check_id(name)
    check_id("so101-left.2")  # negative control


def test_the_folder_is_this_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert stat.S_IMODE(folder().stat().st_mode) == 0o700
    folder().chmod(0o755)
    with pytest.raises(ConfigError, match="of this user alone"):
        folder()
    folder_path = tmp_path / f"armside-{os.getuid()}"
    folder_path.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder_path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="of this user alone"):
        folder()


def test_a_record_of_another_version_is_not_read() -> None:
    with claim("left", "so101"):
        (folder() / "left.json").write_text('{"id": "left", "colour": "red"}')
        assert find_running("left") is None and registry.all_running() == []
