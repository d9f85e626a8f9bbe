"""`armside doctor`: what it says of this machine, and of machines that are planted for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from armside.checks import MISSING, NOTE, OK, Check, Machine, all_checks, parse_pins
from armside.doctor import show
from armside.extras import EXTRAS
from tests.cli.conftest import Armside

PINS = """
# a comment
numpy==2.2.6; python_version < "3.11"
numpy==2.4.6; python_version >= "3.11"
huggingface-hub==2.4.0
"""


def machine(root: Path, **installed: str) -> Machine:
    """A machine with everything installed, but for what `installed` says."""
    packages = {name.replace("_", "-"): "1.0" for group in EXTRAS.values() for name in group}
    changed = {name.replace("_", "-"): version for name, version in installed.items()}
    return Machine(root, {k: v for k, v in {**packages, **changed}.items() if v}, {})


def find(found: Machine, name: str, needed: str = "edge") -> Check:
    return next(check for check in all_checks(found, needed) if check.name == name)


def test_on_this_machine(armside: Armside) -> None:
    done = armside("doctor")
    assert done.returncode == 0 and "ready for `edge`" in done.stdout, done.stdout
    checks = json.loads(armside("doctor", "--for", "export", "--json").stdout)
    assert {"group", "name", "state", "text", "do"} == set(checks[0])
    states = {check["name"]: check["state"] for check in checks}
    assert states["onnxruntime"] == states["numpy"] == OK  # pinned, and installed from the pins


def test_pins_are_those_of_the_python_that_runs() -> None:
    assert parse_pins(PINS, (3, 10)) == {"numpy": "2.2.6", "huggingface-hub": "2.4.0"}
    assert parse_pins(PINS, (3, 12)) == {"numpy": "2.4.6", "huggingface-hub": "2.4.0"}


def test_a_missing_package_matters_only_to_who_needs_it(tmp_path: Path) -> None:
    bare = machine(tmp_path, torch="", msgpack="")
    assert find(bare, "msgpack").state == MISSING and "armside[edge]" in find(bare, "msgpack").do
    assert find(bare, "torch").state == NOTE
    assert find(bare, "torch", "export").state == MISSING


def test_brackets_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show([find(machine(tmp_path, msgpack=""), "msgpack")])
    assert "pip install 'armside[edge]'" in capsys.readouterr().out


def test_another_version_than_tested_is_noted(tmp_path: Path) -> None:
    planted = machine(tmp_path, torch="2.13.0+cpu", numpy="2.5.0")
    tested = Machine(planted.root, planted.installed, {"torch": "2.13.0", "numpy": "2.4.6"})
    assert find(tested, "numpy").state == NOTE and find(tested, "numpy").text == "2.5.0, tested with 2.4.6"
    assert find(tested, "torch").state == OK  # a local label is the same version


def test_onnxruntime_twice(tmp_path: Path) -> None:
    both = machine(tmp_path, onnxruntime_gpu="1.31.1")
    assert any(c.state == MISSING and "installed twice" in c.text for c in all_checks(both, "edge"))
    alone = machine(tmp_path, onnxruntime="", onnxruntime_gpu="1.31.1")
    assert find(alone, "onnxruntime").state == OK


def test_ports_and_cameras_with_and_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ttyACM0", "video2"):
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / name).touch()
    label = tmp_path / "sys/class/video4linux/video2/name"
    label.parent.mkdir(parents=True)
    label.write_text("Wrist Camera\n")
    planted = machine(tmp_path)
    assert (find(planted, "/dev/ttyACM0").state, find(planted, "/dev/video2").text) == (OK, "Wrist Camera")
    monkeypatch.setattr("armside.checks.os.access", lambda path, mode: False)
    closed = find(planted, "/dev/ttyACM0")
    assert closed.state == MISSING and closed.do.startswith("sudo usermod -aG ")
    empty = machine(tmp_path / "empty")
    assert find(empty, "serial port").state == find(empty, "camera").state == NOTE


def test_a_jetson_is_recognised(tmp_path: Path) -> None:
    for name, text in {
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic, EABI: aarch64\n",
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
        "proc/cpuinfo": "Features : fp asimd asimddp\n",
        "proc/meminfo": "MemTotal:        7800000 kB\nMemAvailable:    6100000 kB\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    planted = machine(tmp_path)
    assert find(planted, "Jetson").text == "NVIDIA Jetson Orin Nano Developer Kit; Jetson Linux 36.4.3, JetPack 6.2"
    assert find(planted, "processor").state == OK and "asimddp" in find(planted, "processor").text
    assert find(planted, "memory").text == "6.1 of 7.8 GB free"
    assert find(machine(tmp_path / "none"), "Jetson").text == "this is none"
