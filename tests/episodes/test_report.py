"""The page: it opens without a network, its numbers are those of the recording, and gaps are no obstacle."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from episodes.layout import EventRecord
from episodes.recording import Recording
from episodes.report import make_report
from episodes.report_numbers import numbers
from episodes.writer import RecordingWriter
from policy_spec.errors import RecordingError
from tests.episodes import helpers

VOID = ("meta", "img", "br")


class Page(HTMLParser):
    """All links, the text, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_needs_no_network_and_holds_its_plots(tmp_path: Path) -> None:
    helpers.write_run(tmp_path / "run")
    path = make_report(tmp_path / "run")
    page = Page(path.read_text())
    assert page.open == ["html"]  # closed by its end
    assert len(page.links) == 4 + 2 + 1  # plots, first and last picture of cam0, servos
    assert all(link.startswith("data:image/") for link in page.links)
    assert "http" not in path.read_text()
    plots = sorted(file.name for file in (tmp_path / "run" / "plots").iterdir())
    assert plots == ["cadence.png", "health.png", "joints.png", "latency.png", "tracking.png"]
    inlined = [base64.b64decode(link.split(",")[1]) for link in page.links if "image/png" in link]
    assert sorted(inlined) == sorted((tmp_path / "run" / "plots" / name).read_bytes() for name in plots)
    for data in inlined:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image.shape[1] > 1000 and image.std() > 10  # something is drawn


def test_its_numbers_are_those_of_the_recording(tmp_path: Path) -> None:
    helpers.write_run(tmp_path / "run")
    said = numbers(Recording.open(tmp_path / "run"))
    vision = next(row for row in said.stages if row.name == "vision")
    assert (vision.count, vision.p50, vision.worst) == (4, pytest.approx(0.0215), pytest.approx(0.023))
    assert vision.p99 == pytest.approx(np.percentile([0.02, 0.021, 0.022, 0.023], 99))
    assert said.cadence[0].p50 == pytest.approx(1.0)
    assert said.late_ticks == 4 and said.missing_statuses == 0
    assert said.clamps[0].what == "speed elbow_flex" and said.clamps[0].ticks == 8
    phase = np.arange(400) / 40
    off = np.sin(phase) - np.sin(phase - 0.1)
    assert said.tracking[0].rms == pytest.approx(np.sqrt(np.mean(off**2)))
    assert said.tracking[0].worst == pytest.approx(np.abs(off).max())
    text = " ".join(Page(make_report(tmp_path / "run").read_text()).words)
    for part in (
        "p50 ms",
        "21.5",
        "speed elbow_flex",
        "duration: 10 s are over",
        "pick up the red cube",
        "by key",
    ):
        assert part in text


def test_missing_statuses_are_counted(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "run", helpers.header())
    for index in (0, 1, 2, 7, 8):
        writer.write(helpers.tick(index))
    writer.close()
    assert numbers(Recording.open(tmp_path / "run")).missing_statuses == 4


def test_a_run_that_was_cut_off_has_a_page_that_says_so(tmp_path: Path) -> None:
    helpers.write_run(tmp_path / "run", end=False)
    ticks = tmp_path / "run" / "ticks.rows"
    ticks.write_bytes(ticks.read_bytes()[:-9])
    text = " ".join(Page(make_report(tmp_path / "run").read_text()).words)
    assert "it was cut off: the process was killed or the power went" in text
    assert re.search(r"\d+ bytes of ticks.rows", text)


def test_a_run_that_never_began_has_a_page(tmp_path: Path) -> None:
    helpers.write_run(tmp_path / "run", chunks=0, ticks=0)
    text = " ".join(Page(make_report(tmp_path / "run").read_text()).words)
    assert "No prediction was made." in text and "Torque was never on." in text


def test_what_people_typed_cannot_break_the_page(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "run", helpers.header(task="<script>alert(1)</script> & co"))
    writer.write(EventRecord(1.0, "task", "</table><b>bold"))
    writer.close()
    page = Page(make_report(tmp_path / "run").read_text())
    assert page.open == ["html"]
    assert "<script>alert(1)</script> & co" in " ".join(page.words)


def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is not a recording"):
        make_report(tmp_path)
    helpers.write_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="the report cannot be written"):
        make_report(tmp_path / "run", tmp_path / "file")
