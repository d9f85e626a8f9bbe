"""`armside demo` with a checkpoint: exported once, told errands and filmed, run in real time; and when it is random."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mujoco")
pytest.importorskip("torch")

from armside import demo_policy
from armside.cli import main
from armside.demo import bundles, next_free
from armside.demo_policy import SHIPPED, choose
from armside.demo_trained import commands, exported, mark, slots_of
from armside.eval_film import BAND, Shown, write_film
from armside.make_bundle import ExportOptions, export_bundle
from policy_spec.errors import UsageError
from tests.cli.conftest import Armside
from tests.sim.drawing import need_drawing
from tests.train.material import micro_checkpoint


@pytest.fixture(scope="module")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return micro_checkpoint(tmp_path_factory.mktemp("micro") / "policy")


@pytest.mark.slow
def test_a_checkpoint_is_told_filmed_and_run(armside: Armside, micro: Path, tmp_path: Path) -> None:
    """Its bundles are there, so that this is not the export's test again, which the demo of random weights is."""
    need_drawing()
    full, small = map(Path, bundles(tmp_path))
    export_bundle(ExportOptions(str(micro), full, precision="fp32"), lambda *_: None)
    shutil.copytree(full, small)
    assert not exported(tmp_path, micro)
    mark(tmp_path, micro)
    words = ("demo", "--folder", tmp_path, "--policy", micro, "--task", "reach", "--episodes", 1, "--duration", 1)
    done = armside(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to export" in done.stdout and "$ armside export" not in done.stdout
    assert "Told 1 things, it did 0" in done.stdout and "not done" in done.stdout
    page = (tmp_path / "report.html").read_text()
    assert "data:image/webp;base64," in page and "https://" not in page and "not done: " in page
    with Image.open(next((tmp_path / "told-1").glob("*/film.webp"))) as film:
        assert film.n_frames > 20 and film.size == (2 * 2 * 56, 2 * 56 + BAND)
    assert (tmp_path / "run-1" / "report.html").is_file()
    assert exported(tmp_path, micro)  # a second demo does not export
    other = micro_checkpoint(tmp_path / "other", seed=1)
    assert not exported(tmp_path, other)
    (tmp_path / "exported.json").write_text(json.dumps({"policy": "another"}))
    assert not exported(tmp_path, micro)


def test_what_follows_the_export_is_what_a_person_would_type(micro: Path, tmp_path: Path) -> None:
    import argparse

    args = argparse.Namespace(folder=tmp_path, seed=3, episodes=2, task="reach,push", duration=4.0)
    found = commands(args, micro, next_free(tmp_path, "told"), next_free(tmp_path, "run"))
    assert [command[0] for command in found] == ["inspect", "eval", "run", "report"]
    assert slots_of(micro) == {"cam0": "front", "cam1": "wrist"}
    assert "cam1=sim:wrist" in found[2] and found[2][found[2].index("--scene") + 1] == "reach:3"
    assert all(command[1] == bundles(tmp_path)[1] for command in found[:3])


def test_a_demo_without_a_policy_or_pictures_says_so(
    micro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_policy, "shipped", lambda: None)  # as where a wheel was installed
    policy, why = choose(None)
    assert policy is None and str(SHIPPED) in why and "wheel" in why
    assert choose("random") == (None, "Random weights, as asked for.")
    with pytest.raises(UsageError, match=r"config\.json"):
        choose(str(tmp_path))
    assert main(["demo", "--policy", str(tmp_path)]) == 2 and "config.json" in capsys.readouterr().err
    monkeypatch.setenv("MUJOCO_GL", "crayon")
    policy, why = choose(str(micro))
    assert policy is None and "cannot be drawn here" in why and "crayon" in why and "armside sim setup" in why


def test_the_repository_s_policy_is_found_from_inside(
    micro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_policy, "__file__", str(tmp_path / "site-packages" / "armside" / "demo_policy.py"))
    assert demo_policy.shipped() is None
    (tmp_path / SHIPPED).mkdir(parents=True)
    (tmp_path / SHIPPED / "config.json").write_text("{}")
    assert demo_policy.shipped() == tmp_path / SHIPPED


def test_a_film_shows_words_pictures_and_outcomes(tmp_path: Path) -> None:
    grey = np.full((20, 120, 3), 128, np.uint8)
    episodes = [Shown("reach it", True, "done", [grey] * 3), Shown("push it", False, "not done", [grey] * 2)]
    write_film(tmp_path / "film.webp", episodes, 10.0)
    frames = []
    with Image.open(tmp_path / "film.webp") as film:
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB"), np.int64))
    assert frames[0].shape == (40 + BAND, 240, 3) and len(frames) >= 4  # equal ones may have become one
    assert np.abs(frames[0][BAND + 5 :] - 128).max() < 12

    def coloured(frame: np.ndarray, more: int, less: int) -> bool:
        return bool((frame[:BAND, :, more] - frame[:BAND, :, less] > 60).any())

    green = [coloured(frame, 1, 0) for frame in frames]
    red = [coloured(frame, 0, 1) for frame in frames]
    assert any(green) and red[-1] and not green[0] and not red[0]
    with pytest.raises(ValueError, match="without pictures"):
        write_film(tmp_path / "none.webp", [Shown("x", True, "y", [])], 10.0)
