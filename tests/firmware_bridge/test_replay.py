"""A recorded run through today's safety core gives the recorded commands, byte for byte; another core does not.

When a difference is meant: `python -m tests.goldens.make_run` records the golden again.
"""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware_bridge import black_box
from firmware_bridge.black_box import replay
from firmware_bridge.black_box_file import pack, read_records, unpack, write_record
from firmware_bridge.safety import motion
from firmware_bridge.safety.modes import Rules
from tests.goldens.make_run import GOLDEN


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "golden.box"
    path.write_bytes(gzip.decompress(GOLDEN.read_bytes()))
    return path


def rows(path: Path) -> list[Any]:
    return list(read_records(path, []))


def test_the_golden_run_holds_what_its_maker_says(recorded: Path) -> None:
    records = rows(recorded)
    words = [args[0] for name, args, *_ in records if name == "command"]
    assert words == ["arm", "pause", "resume", "estop", "rearm"]
    assert sum(name == "chunk" for name, *_ in records) == 4 and sum(name == "leave" for name, *_ in records) == 1
    steps = [unpack(answer)[0][1] for name, _, _, answer in records[1:] if name == "step"]
    goals = [step["goal"] for step in steps if step["goal"] is not None]
    assert len(goals) > 50 and np.ptp(np.array(goals), axis=0).max() > 0.3
    assert any(any("shoulder_pan upper" in cut for cut in step["clamped"]) for step in steps)
    assert [step["torque"] for step in steps if step["torque"] is not None] == [True, True, False]


def test_a_recorded_run_gives_the_same_commands_byte_for_byte(recorded: Path) -> None:
    found = replay(recorded)
    assert found.rest == "" and found.rules == "" and found.difference == "", found.text()
    assert found.equal and found.ticks > 100


@pytest.mark.parametrize("part", ["speed", "acceleration"])
def test_another_core_gives_other_commands(part: str, recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: limits that differ by one part in a billion."""
    made = black_box.make_rules

    def other(*args: Any) -> Rules:
        rules = made(*args)
        envelope = rules.envelope
        if part == "acceleration":
            envelope = dataclasses.replace(envelope, acceleration=envelope.acceleration * (1 + 1e-9))
        else:
            limits = dataclasses.replace(envelope.limits, speed=envelope.limits.speed * (1 + 1e-9))
            envelope = dataclasses.replace(envelope, limits=limits)
        return dataclasses.replace(rules, envelope=envelope)

    monkeypatch.setattr(black_box, "make_rules", other)
    found = replay(recorded)
    assert "not the recorded ones" in found.rules and "step: recorded" in found.difference


def test_a_core_that_rounds_once_more_is_found(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the rules are the same, its arithmetic is not."""
    whole = motion.approach

    def rounded(*args: Any) -> Any:
        return np.asarray(whole(*args)) * (1 + 1e-15)

    monkeypatch.setattr(motion, "approach", rounded)
    found = replay(recorded)
    assert found.rules == "" and "step: recorded" in found.difference


def test_another_reading_gives_another_command(recorded: Path, tmp_path: Path) -> None:
    """Negative control: in the first driven tick after arming, a joint stands a thousandth of a rad elsewhere."""
    records = rows(recorded)
    place = next(i for i, row in enumerate(records) if row[0] == "torque_is" and row[1][0] is True)
    name, args, named, answer = records[place]
    records[place] = (name, (args[0], args[1] + 1e-3), named, answer)
    with open(tmp_path / "other", "wb") as file:
        for record in records:
            write_record(file, pack(record))
    assert replay(tmp_path / "other").difference.startswith(f"record {place + 1}, torque_is")
