"""The black box: a real run replays equal; another input or a damaged file is found; a disk never stops a tick."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware_bridge.black_box import replay
from firmware_bridge.black_box_file import pack, read_records, write_record
from firmware_bridge.client import BridgeConfig, ConfigError, start_bridge
from firmware_bridge.driver import ArmState
from firmware_bridge.safety.modes import Reading
from tests.firmware_bridge.acts import chunk_from, raise_arm, until
from tests.firmware_bridge.conftest import ServoProcess

SIM = BridgeConfig(robot="so101", port="sim", park_speed=3.0)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that arms, moves, is refused, stops, rearms and parks."""
    path = tmp_path_factory.mktemp("box") / "run.box"
    with start_bridge(dataclasses.replace(SIM, black_box=str(path))) as bridge:
        client = bridge.client
        raise_arm(client)
        assert not client.send_chunk(dataclasses.replace(chunk_from(client.status()), arm="yam")).ok
        client.estop()
        assert not client.send_chunk(chunk_from(client.status())).ok
        client.rearm()
        until(client, lambda s: s.mode == "ready")
        assert bridge.close() == "parked; torque off"
    return path


def rows(path: Path) -> list[Any]:
    return list(read_records(path, []))


def write(path: Path, records: list[Any]) -> Path:
    with open(path, "wb") as file:
        for record in records:
            write_record(file, pack(record))
    return path


def test_a_real_run_replays_equal(recorded: Path) -> None:
    found = replay(recorded)
    assert found.equal and found.rest == "" and found.ticks > 50 and found.records > 2 * found.ticks
    names = {row[0] for row in rows(recorded)}
    assert {"step", "command", "chunk", "torque_is", "torque_asked", "published", "leave", "heard"} <= names
    done = subprocess.run(
        [sys.executable, "-m", "firmware_bridge.black_box", str(recorded)], capture_output=True, text=True
    )
    assert done.returncode == 0 and "ticks: equal" in done.stdout


def test_another_input_is_another_answer(recorded: Path, tmp_path: Path) -> None:
    """Negative control: one joint of one reading, read a thousandth of a rad elsewhere."""
    records = rows(recorded)
    assert replay(write(tmp_path / "same", records)).equal  # written again, unchanged
    place = next(i for i, row in enumerate(records) if row[0] == "step")
    name, (reading,), named, answer = records[place]
    assert isinstance(reading, Reading) and isinstance(reading.state, ArmState)
    position = reading.state.position.copy()
    position[2] += 1e-3
    other = dataclasses.replace(reading, state=dataclasses.replace(reading.state, position=position))
    records[place] = (name, (other,), named, answer)
    found = replay(write(tmp_path / "other", records))
    assert not found.equal and found.records == place + 1 and "step: recorded" in found.difference
    done = subprocess.run(
        [sys.executable, "-m", "firmware_bridge.black_box", str(tmp_path / "other")], capture_output=True, text=True
    )
    assert done.returncode == 1 and "replayed" in done.stdout


def test_rules_that_changed_since_are_said(recorded: Path, tmp_path: Path) -> None:
    records = rows(recorded)
    begin, kind, text, facts, rules = records[0]
    changed = text.replace('"park_speed": 3.0', '"park_speed": 2.0')
    assert changed != text
    found = replay(write(tmp_path / "x", [(begin, kind, changed, facts, rules), *records[1:]]))
    assert not found.equal and "not the recorded ones" in found.rules


@pytest.mark.parametrize("where", [0.3, 0.6, 0.9])
def test_any_flipped_byte_is_found(where: float, recorded: Path, tmp_path: Path) -> None:
    data = bytearray(recorded.read_bytes())
    data[int(len(data) * where)] ^= 0x10
    (tmp_path / "flipped").write_bytes(data)
    found = replay(tmp_path / "flipped")
    assert "damaged" in found.rest and found.equal and 1 < found.records < replay(recorded).records


def test_a_file_that_was_cut_replays_as_far_as_it_is_whole(recorded: Path, tmp_path: Path) -> None:
    data = recorded.read_bytes()
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    found = replay(tmp_path / "cut")
    assert found.equal and "cut off" in found.rest and found.ticks > 10


def test_files_that_are_no_black_box_are_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is no black box at all")
    for name in ("text", "missing"):
        with pytest.raises(ConfigError, match="a black box"):
            replay(tmp_path / name)
    write(tmp_path / "foreign", [("begin", 999, "{}", None, b"")])
    with pytest.raises(ConfigError, match="black box of format"):
        replay(tmp_path / "foreign")


def test_a_folder_that_does_not_exist_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make the folder"):
        start_bridge(dataclasses.replace(SIM, black_box=str(tmp_path / "no" / "box")))


def test_an_earlier_file_is_kept_and_a_takeover_has_its_own(tmp_path: Path, recorded: Path) -> None:
    path = tmp_path / "box"
    shutil.copy(recorded, path)
    with start_bridge(dataclasses.replace(SIM, black_box=str(path))) as bridge:
        raise_arm(bridge.client)
        os.kill(bridge.bridge_pid, signal.SIGKILL)
        until(bridge.client, lambda s: s.mode == "fault", patient=True)
    assert (tmp_path / "box.before").read_bytes() == recorded.read_bytes()
    first, second = replay(path), replay(tmp_path / "box.1")
    assert first.equal and first.ticks > 10
    assert second.equal and second.ticks > 0


def test_a_disk_that_blocks_ends_the_recording_and_not_the_ticks(
    config: BridgeConfig, servos: ServoProcess, tmp_path: Path
) -> None:
    """A pipe that nobody reads: its writer blocks for good, as on a disk that hangs."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with start_bridge(dataclasses.replace(config, black_box=str(path))) as bridge:
        raise_arm(bridge.client)
        slow = until(bridge.client, lambda s: "the disk is too slow" in s.note, timeout_s=60.0)
        assert slow.fault == "" and slow.torque == "on"
        later = until(bridge.client, lambda s: s.seq > slow.seq + 50)
        assert later.fault == "" and np.abs(later.measured - slow.measured).max() < 0.02
        assert bridge.close() == "parked; torque off" and bridge.takeovers() == []
    os.close(reader)
