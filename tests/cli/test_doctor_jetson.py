"""What `armside doctor` says of Jetsons that are planted for it, and of users with few rights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from armside.checks import MISSING, NOTE, OK, Check, Machine, all_checks
from armside.jetson_checks import accelerator_checks, python_check
from armside.rights_checks import Rights, rights_checks
from edge.jetson import LINES
from tests.edge.jetson_files import AGX_ORIN, ORIN_NANO, plant

PLAIN = Rights(1000, ("dialout", "video"), 0)


def checks(root: Path, files: dict[str, str], **installed: str) -> dict[str, Check]:
    machine = Machine(plant(root, files), installed, {})
    return {check.name: check for check in accelerator_checks(machine)}


def rights(root: Path, files: dict[str, str], given: Rights) -> dict[str, Check]:
    machine = Machine(plant(root, files), {}, {})
    return {check.name: check for check in rights_checks(machine, given)}


def test_a_nano_that_could_be_faster(tmp_path: Path) -> None:
    found = checks(tmp_path, ORIN_NANO)
    assert found["Jetson"].state == OK and "Jetson Linux 36.4.3, JetPack 6.2" in found["Jetson"].text
    assert found["power mode"].text == "25W (mode 1); there are 15W, 25W, MAXN_SUPER"
    assert found["power mode"].state == NOTE and "nvpmodel -m 2" in found["power mode"].do
    assert (
        found["GPU clock"].text == "17000000.gpu 306 to 918 MHz, now 306" and "jetson_clocks" in found["GPU clock"].do
    )
    assert found["CPU clocks"].state == NOTE and found["CPU clocks"].text == "0 of 1 cores locked, up to 1344 MHz"
    assert "this Python does not see it" in found["TensorRT"].text and "--system-site-packages" in found["TensorRT"].do
    assert "nvidia-l4t-dla-compiler" in found["libnvdla_compiler"].do
    assert found["cuda-python"].state == NOTE and "'cuda-python>=12.6,<13'" in found["cuda-python"].do
    newer = checks(tmp_path, ORIN_NANO, **{"cuda-bindings": "13.4.4"})["cuda-python"]
    assert newer.state == NOTE and newer.text == "13.4.4, and the driver here is of CUDA 12.6"


def test_an_agx_that_is_ready(tmp_path: Path) -> None:
    found = checks(tmp_path, AGX_ORIN, tensorrt="10.16.2.10", **{"cuda-python": "13.4.4"})
    states = {name: check.state for name, check in found.items() if name != "python of JetPack"}
    assert set(states.values()) == {OK}, found
    assert found["TensorRT"].text == "10.16.2.10, of JetPack 7.2"
    assert "1300 MHz, locked" in found["GPU clock"].text and "libnvdla_compiler" not in found


@pytest.mark.parametrize(("version", "whose"), [("10.3.0", "of JetPack 6.2"), ("11.2.1.2", "of no JetPack")])
def test_a_tensorrt_of_another_jetpack(tmp_path: Path, version: str, whose: str) -> None:
    found = checks(tmp_path, AGX_ORIN, tensorrt=version)["TensorRT"]
    assert found.state == NOTE and whose in found.text and "libnvinfer10=10.16.2.10-1+cuda13.2" in found.do


def test_a_board_without_super_mode(tmp_path: Path) -> None:
    modes = {"etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=7W >\n"}
    found = checks(tmp_path, {**ORIN_NANO, **modes, "var/lib/nvpmodel/status": "pmode:0000"})["power mode"]
    assert found.state == NOTE and "without Super mode" in found.do


def test_a_jetpack_that_armside_is_not_made_for(tmp_path: Path) -> None:
    old = {"etc/nv_tegra_release": "# R35 (release), REVISION: 4.1, GCID: 1, BOARD: t186ref\n"}
    found = checks(tmp_path, {**ORIN_NANO, **old})
    assert found["Jetson"].state == NOTE and "35.4.1, an unknown JetPack" in found["Jetson"].text
    assert "JetPack 6.2 and 7.2" in found["Jetson"].do and "python of JetPack" not in found
    odd = checks(tmp_path, {"etc/nv_tegra_release": "something else\n"})["Jetson"]
    assert odd.state == NOTE and "something else" in odd.text


def test_the_python_of_a_jetpack() -> None:
    line = LINES[0]
    assert next(python_check(line, (3, 10))).state == OK
    other = next(python_check(line, (3, 12)))
    assert other.state == NOTE and "python3.10 -m venv --system-site-packages" in other.do


def test_elsewhere_nothing_fails(tmp_path: Path) -> None:
    found = checks(tmp_path, {})
    assert found["Jetson"].text == "this is none" and found["GPU"].state == NOTE
    assert checks(tmp_path, {}, **{"tensorrt-rtx": "1.7.1"})["TensorRT"].state == OK
    here = list(all_checks(Machine(Path("/"), {}, {}), "edge"))
    groups = {check.group for check in here if check.name in ("Jetson", "groups", "real time", "swap")}
    assert groups == {"machine", "accelerator"}
    assert not any(check.state == MISSING for check in here if check.group in groups)


def test_rights_of_a_user(tmp_path: Path) -> None:
    found = rights(tmp_path, ORIN_NANO, PLAIN)
    assert found["groups"].text == "not in render (a GPU)" and "usermod -aG render $USER" in found["groups"].do
    assert found["real time"].state == NOTE and "rtprio 30" in found["real time"].do
    assert found["swap"].state == NOTE and "1.3 GB of zram" in found["swap"].text
    allowed = rights(tmp_path, AGX_ORIN, Rights(1000, ("dialout", "video", "render"), 30))
    assert {check.state for check in allowed.values()} == {OK} and "PREEMPT_RT" in allowed["real time"].text
    root = rights(tmp_path, ORIN_NANO, Rights(0, (), 0))
    assert root["groups"].state == root["real time"].state == OK


def test_a_kernel_that_gives_no_time(tmp_path: Path) -> None:
    files = {**ORIN_NANO, "proc/sys/kernel/sched_rt_runtime_us": "0\n"}
    assert "no time" in rights(tmp_path, files, Rights(0, (), -1))["real time"].text


def test_ones_own_rights_are_read() -> None:
    own = Rights.own()
    assert own.uid >= 0 and own.rtprio >= -1 and all(own.groups), sys.platform
