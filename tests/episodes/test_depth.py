"""Depth codes in recordings, as pictures, and in the report; discrete answers beside them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from episodes.depth_picture import OUTLINE, code_map, outlined, palette, rim
from episodes.generated_lines import generated_json, generated_of
from episodes.layout import EVENTS_FILE
from episodes.recording import Recording
from episodes.report import make_report
from episodes.writer import RecordingWriter
from policy_spec.generated import Depth, Discrete
from tests.episodes import helpers
from tests.episodes.test_report import Page


def depth(index: int = 0) -> Depth:
    random = np.random.default_rng(index)
    codes, changed = random.integers(0, 128, 100), random.random(100) < 0.2 if index else np.ones(100, np.bool_)
    tokens = np.concatenate([[7], codes + 100, [8]])
    return Depth(codes, changed, tokens, 2 + index, 102 + index, 11, index, 10)


def answer(differs: int | None) -> Discrete:
    return Discrete(np.array([5, 40, 41, 6]), 2, 5, 3, differs, 1)


def write(path: Path, **first: Depth | Discrete) -> None:
    """Four chunks; the first has what is given, the others a map each where it is a depth map."""
    writer = RecordingWriter(path, helpers.header())
    for index in range(4):
        what = {kind: depth(index) if kind == "depth" else value for kind, value in first.items()}
        writer.write(dataclasses.replace(helpers.observation(index), begins=index == 0))
        writer.write(dataclasses.replace(helpers.chunk(index), **what))
        writer.write(helpers.tick(index))
    writer.close()


def equal(one: Depth | Discrete | None, two: Depth | Discrete | None) -> bool:
    assert one is not None and two is not None
    pairs = [(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(one)]
    return all(np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype for a, b in pairs)


def test_what_was_generated_is_recorded_and_read_again(tmp_path: Path) -> None:
    write(tmp_path / "run", depth=depth())
    run = Recording.open(tmp_path / "run")
    assert all(equal(chunk.depth, depth(chunk.index)) and chunk.discrete is None for chunk in run.chunks)
    assert not equal(run.chunks[1].depth, depth(2))  # the control
    assert [seen.begins for seen in run.observations] == [True, False, False, False]
    lines = (tmp_path / "run" / EVENTS_FILE).read_text().splitlines()
    assert all(len(line) < 2000 for line in lines)


@pytest.mark.parametrize("differs", [None, 3])
def test_a_discrete_answer_is_recorded_and_read_again(tmp_path: Path, differs: int | None) -> None:
    write(tmp_path / "run", discrete=answer(differs))
    assert equal(Recording.open(tmp_path / "run").chunks[2].discrete, answer(differs))


def test_a_recording_from_before_there_were_depth_maps_reads_as_it_did(tmp_path: Path) -> None:
    """Byte for byte: chunks without a map add nothing to their line."""
    assert generated_json(helpers.chunk(0)) == {} and generated_of({"index": 0}) == {}
    write(tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / EVENTS_FILE).read_text().splitlines()]
    assert next(list(line) for line in lines if line["kind"] == "chunk") == [
        "kind", "index", "row", "t", "status_seq", "start_tick", "outcome", "timings_s"
    ]  # fmt: skip
    assert "begins" not in [line for line in lines if line["kind"] == "observation"][1]
    run = Recording.open(tmp_path / "run")
    assert all(chunk.depth is None and chunk.discrete is None for chunk in run.chunks)
    page = make_report(tmp_path / "run").read_text()
    assert "Depth maps" not in page and "Discrete answers" not in page


def test_equal_codes_have_equal_colours_and_others_do_not() -> None:
    colours = palette(128).astype(int)
    apart = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 1000 * np.eye(128, dtype=int)
    assert apart.min() >= 3  # 128 names are many: no two are the same
    codes = np.arange(100) % 7
    picture = code_map(codes, 10, cell=4)
    assert picture.shape == (40, 40, 3)
    for cell, code in enumerate(codes):
        y, x = divmod(cell, 10)
        assert (picture[4 * y : 4 * y + 4, 4 * x : 4 * x + 4] == palette(128)[code]).all()


def test_the_rim_is_every_edge_between_changed_and_not() -> None:
    """The slow truth: each of the four edges of each cell, kept where its two sides differ."""
    changed = np.random.default_rng(5).random(100) < 0.3
    grid = changed.reshape(10, 10)

    def at(y: int, x: int) -> bool:
        return bool(0 <= y < 10 and 0 <= x < 10 and grid[y, x])

    wanted = set()
    for y in range(11):
        for x in range(11):
            if x < 10 and at(y, x) != at(y - 1, x):
                wanted.add((x, y, x + 1, y))
            if y < 10 and at(y, x) != at(y, x - 1):
                wanted.add((x, y, x, y + 1))
    assert set(rim(changed, 10)) == wanted and len(rim(changed, 10)) == len(wanted)
    assert rim(np.zeros(100, np.bool_), 10) == []


@pytest.mark.parametrize("size", [(120, 160), (480, 640), (200, 100)])
def test_changed_cells_are_outlined_wherever_they_lie_in_a_picture_of_any_size(size: tuple[int, int]) -> None:
    height, width = size
    image = np.full((height, width, 3), 90, np.uint8)
    changed = np.zeros(100, np.bool_)
    changed[[34, 35]] = True  # row 3, columns 4 and 5
    drawn = outlined(image, changed, 10)
    ys, xs = np.nonzero((drawn == OUTLINE).all(axis=2))
    off = max(2, min(size) // 80)
    assert abs(ys.min() - 0.3 * height) <= off and abs(ys.max() - 0.4 * height) <= off
    assert abs(xs.min() - 0.4 * width) <= off and abs(xs.max() - 0.6 * width) <= off
    assert (drawn[int(0.35 * height), int(0.45 * width)] == 90).all()  # what is inside is seen
    assert (image == 90).all() and (outlined(image, np.zeros(100, np.bool_), 10) == image).all()


def test_the_report_shows_maps_and_what_they_cost(tmp_path: Path) -> None:
    write(tmp_path / "run", depth=depth())
    path = make_report(tmp_path / "run")
    page, text = Page(path.read_text()), path.read_text()
    assert page.open == ["html"] and "http" not in text
    words = " ".join(page.words)
    maps = [depth(index) for index in range(4)]
    changed = sum(int(one.changed.sum()) for one in maps)
    for part in (
        "4, of which 1 decoded in full", "3.5 on average, 2 to 5", f"44 of {changed}, {4400 / changed:.0f} %",
        "6 (the best two logits closer than 0.001)", "A code is a name, not a distance",
        "prediction 0: 100 changed, 2 passes",
    ):  # fmt: skip
        assert part in words, part
    assert (tmp_path / "run" / "plots" / "depth.png").stat().st_size > 5000
    assert text.count('alt="cam0, changed cells outlined"') == 4 == text.count('alt="codes, prediction')


def test_a_map_whose_picture_is_lost_is_shown_without(tmp_path: Path) -> None:
    write(tmp_path / "run", depth=depth())
    run = Recording.open(tmp_path / "run")
    (tmp_path / "run" / run.observations[1].image_files["cam0"]).unlink()
    text = make_report(tmp_path / "run").read_text()
    assert text.count('alt="cam0, changed cells outlined"') == 3 and text.count('alt="codes, prediction') == 4


@pytest.mark.parametrize(("differs", "said"), [(2, "8"), (None, "this bundle's head cannot say")])
def test_the_report_says_what_discrete_answers_cost(tmp_path: Path, differs: int | None, said: str) -> None:
    write(tmp_path / "run", discrete=answer(differs))
    words = " ".join(Page(make_report(tmp_path / "run").read_text()).words)
    for part in ("Discrete answers", "4.0 on average, 4 to 4", "12 of 16, 75 %", said):
        assert part in words, part
