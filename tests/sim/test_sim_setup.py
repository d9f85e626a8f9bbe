"""`armside sim setup`: says what draws here, and installs the one package where nothing does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("mujoco")

from armside.cli import main
from tests.sim.drawing import need_drawing


def test_where_pictures_can_be_drawn_nothing_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    need_drawing()
    assert main(["sim", "setup"]) == 0
    assert "drawn by" in capsys.readouterr().out


def test_where_they_cannot_the_package_is_named_and_installed_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUJOCO_GL", "glfw")  # wants a display
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    for name in ("apt-get", "sudo"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/log\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert main(["sim", "setup", "--dry-run"]) == 1
    assert "apt-get install -y libosmesa6" in capsys.readouterr().out
    assert not (tmp_path / "log").exists()
    assert main(["sim", "setup"]) == 1  # nobody to ask
    assert "--yes" in capsys.readouterr().err and not (tmp_path / "log").exists()
    assert main(["sim", "setup", "--yes"]) == 1  # installed, and still no display
    assert "apt-get install -y libosmesa6" in (tmp_path / "log").read_text()
