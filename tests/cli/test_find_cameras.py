"""find-cameras and calibrate --views as a person types them, with real files as cameras."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.calib.scenes import later, scene
from tests.cli.bridges import Home, home


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        yield made


def pictures(folder: Path, **views: np.ndarray) -> dict[str, Path]:
    """One image file each, as a camera that does not move would give them."""
    folder.mkdir(exist_ok=True)
    for name, view in views.items():
        Image.fromarray(view).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in views}


def test_which_is_which_is_asked_and_saved(place: Home, tmp_path: Path) -> None:
    files = pictures(tmp_path / "in", front=scene(1), wrist=scene(2), black=np.zeros((48, 64, 3), np.uint8))
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"answers": {"slot.cam0": "2", "slot.cam1": "1"}}))
    sheet, result = tmp_path / "sheet.png", tmp_path / "found.json"
    words = [*files.values(), "--id", "new", "--script", script, "--output", sheet, "--json", result]
    done = place.call("find-cameras", *words)
    assert done.returncode == 0, done.stderr
    assert "all black" in done.stdout
    profile = (place.robots / "new.toml").read_text()
    assert f'cam0 = "{files["wrist"]}"' in profile and f'cam1 = "{files["front"]}"' in profile
    with Image.open(sheet) as drawn:
        assert drawn.width > 1000
    assert json.loads(result.read_text())["slots"] == {"cam0": str(files["wrist"]), "cam1": str(files["front"])}


def test_cancelled_and_unanswered_save_nothing(place: Home, tmp_path: Path) -> None:
    files = pictures(tmp_path / "in", front=scene(1), wrist=scene(2))
    for answers, code in (({"slot.cam0": "1", "slot.cam1": "cancel"}, 130), ({"slot.cam0": "1"}, 2)):
        script = tmp_path / "script.json"
        script.write_text(json.dumps({"answers": answers}))
        done = place.call(
            "find-cameras", *files.values(), "--id", "new", "--script", script, "--output", tmp_path / "s.png"
        )
        assert done.returncode == code, done.stderr
        assert not (place.robots / "new.toml").exists()


def test_one_camera_under_two_names_is_told(place: Home, tmp_path: Path) -> None:
    files = pictures(tmp_path / "in", one=scene(1), two=scene(1), other=scene(2))
    done = place.call("find-cameras", *files.values(), "--output", tmp_path / "s.png")
    assert done.stdout.count("one camera under two names") == 1


def test_json_alone_on_stdout(place: Home, tmp_path: Path) -> None:
    done = place.call("find-cameras", "test:64x48", "--output", tmp_path / "s.png", "--json", "-")
    assert json.loads(done.stdout)["cameras"][0]["size"] == [64, 48]


def test_a_day_later_swapped_cameras_are_found(place: Home, tmp_path: Path) -> None:
    then = pictures(tmp_path / "then", cam0=scene(1), cam1=scene(2))
    words = [f"--camera={slot}={file}" for slot, file in then.items()]
    kept = place.call("calibrate", "--robot", "blue", "--save-views", *words)
    assert kept.returncode == 0, kept.stderr
    now = pictures(tmp_path / "now", cam0=later(scene(1), 1), cam1=later(scene(2), 2))
    picture, result = tmp_path / "v.png", tmp_path / "v.json"
    words = [f"--camera={slot}={file}" for slot, file in now.items()]
    good = place.call("calibrate", "--robot", "blue", "--views", *words, "--picture", picture, "--json", result)
    assert good.returncode == 0, good.stdout + good.stderr
    assert [row["word"] for row in json.loads(result.read_text())["slots"]] == ["good", "good"]
    words = [f"--camera=cam0={now['cam1']}", f"--camera=cam1={now['cam0']}"]
    bad = place.call("calibrate", "--robot", "blue", "--views", *words, "--picture", picture)
    assert bad.returncode == 1 and bad.stdout.count("swapped") >= 2


def test_a_folder_of_expected_pictures_and_one_without(place: Home, tmp_path: Path) -> None:
    expected = pictures(tmp_path / "views", cam0=scene(1))
    upside = pictures(tmp_path / "now", cam0=np.ascontiguousarray(np.rot90(later(scene(1), 1), 2)))
    words = ["--camera", f"cam0={upside['cam0']}", "--picture", tmp_path / "v.png"]
    done = place.call("calibrate", "--robot", "blue", "--views", expected["cam0"].parent, *words)
    assert done.returncode == 1 and "upside down" in done.stdout
    done = place.call("calibrate", "--robot", "blue", "--views", tmp_path / "nowhere", *words)
    assert done.returncode == 2 and "no expected pictures" in done.stderr


def test_a_recordings_pictures_are_what_is_expected(place: Home, tmp_path: Path, bundle: Path) -> None:
    files = pictures(tmp_path / "in", cam0=scene(1), cam1=scene(2))
    words = [word for slot, file in files.items() for word in ("--camera", f"{slot}={file}")]
    run = tmp_path / "run"
    done = place.call(
        "run", bundle, "--robot", "so101", "--port", "sim", *words, "--task", "wave", "--duration", 1, "--record", run
    )
    assert done.returncode == 0, done.stderr
    good = place.call("calibrate", "--robot", "so101", "--views", run, *words, "--picture", tmp_path / "v.png")
    assert good.returncode == 0 and good.stdout.count(" good ") == 2, good.stdout + good.stderr
