"""`armside calibrate --port sim` of an SO arm: virtual hands do what is asked; a real arm's files are never touched."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from armside import calibrate_sim, calibrate_so, calibrate_yam
from armside.cli import build_parser
from calib.person import AGAIN, Scripted
from firmware_bridge.robots import find
from firmware_bridge.sts.calibration import load
from policy_spec.errors import Cancelled, UsageError
from tests.calib.hands import QUICK

REAL = 'type = "so101"\nport = "/dev/ttyACM0"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with hands in a hurry."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "HF_LEROBOT_CALIBRATION"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "XDG_RUNTIME_DIR").mkdir()
    monkeypatch.setattr(calibrate_sim, "SPEED_DEG_S", 800.0)
    monkeypatch.setattr(calibrate_sim, "REST_S", 0.04)
    whole = calibrate_so._job
    monkeypatch.setattr(calibrate_so, "_job", lambda *given: dataclasses.replace(whole(*given), pace=QUICK))
    return tmp_path


def given(*words: str) -> argparse.Namespace:
    return build_parser("calibrate").parse_args(["calibrate", "--port", "sim", *words])


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def profile(folder: Path, name: str, text: str) -> None:
    path = folder / "XDG_CONFIG_HOME/armside/robots" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_an_id_nothing_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate_so.run(given("--yes", "--json", "-")) == 0
    said = capsys.readouterr()
    assert files(folder) == {}
    assert said.err.startswith("SIMULATION") and "nothing was kept" in said.err and "/armside-" not in said.err
    data = json.loads(said.out)
    assert data["simulated"] is True and data["files"] == [] and len(data["joints"]) == 6


def test_a_new_id_is_kept_as_a_virtual_arm(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lerobot = folder / "HF_LEROBOT_CALIBRATION/robots/so_follower/try.json"
    lerobot.parent.mkdir(parents=True)
    lerobot.write_text("of a real arm")
    assert calibrate_so.run(given("--yes", "--id", "try", "--lerobot", "always")) == 0
    assert lerobot.read_text() == "of a real arm"
    config = folder / "XDG_CONFIG_HOME/armside"
    assert 'port = "sim"' in (config / "robots/try.toml").read_text()
    rows = dict(load(config / "calibration/try.json", find("so101").joints).joints)
    assert 330 <= rows["shoulder_lift"].homing_offset <= 350  # its horn: 30 degrees
    assert abs(rows["wrist_roll"].homing_offset) <= 2  # turned back into the pose
    assert "kept as the virtual arm try" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("--robot", "real"), ("--id", "real"), ("--id", "lone")])
def test_a_real_arms_name_is_refused(folder: Path, words: tuple[str, str]) -> None:
    profile(folder, "real", REAL)
    lone = folder / "XDG_CONFIG_HOME/armside/calibration/lone.json"
    lone.parent.mkdir(parents=True)
    lone.write_text("{}")
    before = files(folder)
    with pytest.raises(UsageError, match="is a real arm, this is a simulation"):
        calibrate_so.run(given("--yes", *words))
    assert files(folder) == before


def test_nor_does_a_virtual_yam_take_a_real_ones(folder: Path) -> None:
    profile(folder, "left", 'type = "yam"\nport = "can0"\n')
    with pytest.raises(UsageError, match="its port is can0"):
        calibrate_yam.run(given("--yes", "--robot", "left"))


def test_cancelled_nothing_is_kept(folder: Path) -> None:
    script = folder / "script.json"
    script.write_text(json.dumps({"answers": {"roll": "cancel"}}))
    with pytest.raises(Cancelled):
        calibrate_so.run(given("--id", "try", "--script", str(script)))
    assert list(files(folder)) == ["script.json"]


class _Restless(Scripted):
    """Presses r in the middle of the sweep, once."""

    def hear(self) -> str:
        sweeps = self.views and self.views[-1].title.endswith("stop to stop")
        if sweeps and self.views[-1].rows[0].low != self.views[-1].rows[0].high and "r" not in self.told:
            self.told.append("r")
            return AGAIN
        return super().hear()


def test_hands_sweep_once_more_when_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person: Any = _Restless(yes=True)
    monkeypatch.setattr("armside.person_args.person_of", lambda args: contextlib.nullcontext(person))
    assert calibrate_so.run(given()) == 0
    assert "r" in person.told and all(view.title.startswith("simulation: ") for view in person.views)
