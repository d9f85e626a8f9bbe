"""The recorder's thread: nobody waits for it, and what it cannot write it says."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest

from edge import recorder as module
from edge.recorder import Recorder
from episodes.layout import EndRecord
from episodes.recording import Recording
from policy_spec.errors import RecordingError
from tests.episodes import helpers


def test_what_is_put_is_written_before_it_closes(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run", helpers.header())
    for index in range(500):
        recorder.put(helpers.tick(index))
    recorder.put(helpers.observation(0))
    recorder.put(helpers.chunk(0))
    recorder.close(EndRecord(1.0, "quit", "by key"))
    recorder.close(EndRecord(2.0, "again"))  # twice is once
    run = Recording.open(tmp_path / "run")
    assert len(run.ticks) == 500 and len(run.chunks) == 1
    assert run.end is not None and run.end.reason == "quit" and run.end.counts["lost_records"] == 0


def test_a_slow_disk_costs_records_and_never_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_RECORDS", 10)
    recorder = Recorder(tmp_path / "run", helpers.header())
    gate = threading.Event()
    write = recorder._writer.write

    def wait_then_write(record: module.Record) -> None:
        gate.wait(20)
        write(record)

    monkeypatch.setattr(recorder._writer, "write", wait_then_write)
    for index in range(100):
        recorder.put(helpers.tick(index))
    lost = recorder.lost
    gate.set()
    recorder.close(EndRecord(1.0, "quit"))
    run = Recording.open(tmp_path / "run")
    assert 88 <= lost <= 90
    assert len(run.ticks) == 100 - lost
    assert run.end is not None and run.end.counts["lost_records"] == lost


def test_a_record_that_cannot_be_written_stops_only_the_recording(tmp_path: Path) -> None:
    said: list[str] = []
    recorder = Recorder(tmp_path / "run", helpers.header(), said.append)
    recorder.put(helpers.tick(0))
    recorder.put(dataclasses.replace(helpers.tick(1), measured=np.zeros(7)))  # one joint too many
    recorder.put(helpers.tick(2))
    recorder.close(EndRecord(1.0, "quit"))
    assert len(said) == 1 and said[0].startswith("recording stopped: ") and recorder.error == said[0]
    run = Recording.open(tmp_path / "run")
    assert len(run.ticks) == 1 and run.end is not None and "recording stopped" in run.end.text


def test_it_refuses_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="cannot be written"):
        Recorder(tmp_path / "file" / "run", helpers.header())
