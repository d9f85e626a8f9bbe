"""Views as files, and the sheets that people look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calib import views
from calib.sheet import CELL, Cell, in_rows, overlay, save, sheet
from policy_spec.errors import CameraError
from tests.calib.scenes import later, scene


def test_kept_views_are_read_as_they_were(tmp_path: Path) -> None:
    pictures = {"cam0": scene(1), "observation.images.top": scene(2)}
    views.keep(pictures, tmp_path / "v")
    found = views.load(tmp_path / "v")
    assert set(found) == set(pictures) and all((found[slot] == pictures[slot]).all() for slot in pictures)
    assert sorted(item.name for item in (tmp_path / "v").iterdir()) == ["cam0.png", "observation.images.top.png"]


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "cam0.png").write_text("no picture")
    with pytest.raises(CameraError, match=r"cam0\.png is no picture"):
        views.load(tmp_path)


def test_a_check_draws_a_row_for_each_slot() -> None:
    live = {"cam0": later(scene(1), 1), "cam1": None}
    verdicts, picture = views.check(live, {"cam0": scene(1), "cam1": scene(2)}, {})
    assert [item.word for item in verdicts] == ["good", "missing"]
    assert picture.width > 3 * CELL[0] and picture.height > 2 * CELL[1]


def test_a_sheet_shows_the_pictures_and_its_alarm() -> None:
    red = np.zeros((50, 100, 3), np.uint8)
    red[..., 0] = 255
    calm = np.asarray(sheet([[Cell(red, ("one",))]]))
    assert (calm == (255, 0, 0)).all(axis=2).sum() == CELL[0] * CELL[0] // 2  # scaled to the cell's width
    loud = np.asarray(sheet([[Cell(red, ("one",), alarm=True)]]))
    assert (calm != loud).any()
    assert [len(row) for row in in_rows([Cell(None, ())] * 7)] == [3, 3, 1]


def test_an_overlay_is_grey_only_where_both_agree() -> None:
    same = overlay(scene(1), scene(1))
    assert (same[..., 0] == same[..., 1]).all()
    other = overlay(scene(1), scene(2))
    assert (other[..., 0] != other[..., 1]).mean() > 0.3


def test_a_sheet_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(OSError):
        save(Image.new("RGB", (4, 4)), target)
    assert [item.name for item in tmp_path.iterdir()] == ["taken"]
