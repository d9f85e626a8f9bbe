"""`armside find-port` as a person runs it: ports that come and go, real terminals, profiles that are written."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.robots import find
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.cli.bridges import Home, home, wait_for
from tests.cli.test_terminal import Terminal

SO101 = find("so101")


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        yield made


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder for ports, and a port in it that is no arm's."""
    (tmp_path / "ttyACM1").write_text("")
    return tmp_path


def data(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_without_any_adapter_it_says_what_to_look_for(place: Home, tmp_path: Path) -> None:
    done = place.call("find-port", "--ports", tmp_path / "ttyACM*")
    assert done.returncode == 1 and "some only charge" in done.stdout and "armside doctor" in done.stdout
    done = place.call("find-port", "--ports", tmp_path / "ttyACM*", "--json")
    assert done.returncode == 1 and data(done)["port"] is None


def test_asking_the_servos(place: Home, desk: Path) -> None:
    ports = str(desk / "ttyACM*")
    with Bench(SO101, link=str(desk / "ttyACM7")) as bench:
        listed = place.call("find-port", "--ports", ports)
        assert listed.returncode == 1 and "it could be one of 2: armside find-port --probe" in listed.stdout
        before = bench.memory()
        asked = place.call("find-port", "--probe", "--ports", ports)
        assert asked.returncode == 0, asked.stdout + asked.stderr
        assert "six servos, ids 1 to 6, STS3215 (777)" in asked.stdout
        assert f"the arm's port is {desk / 'ttyACM7'}" in asked.stdout
        assert "ttyACM1 is not a usable serial port" in asked.stdout
        saved = place.call("find-port", "--probe", "--ports", ports, "--id", "red", "--json")
        answer = data(saved)
        assert answer["port"] == str(desk / "ttyACM7") and answer["how"] == "servos"
        assert bench.memory() == before
    text = (place.robots / "red.toml").read_text()
    assert f'port = "{desk / "ttyACM7"}"' in text and 'type = "so101"' in text


def test_one_named_port(place: Home, desk: Path) -> None:
    with Bench(SO101, Plant(ids={"gripper": 1}), link=str(desk / "ttyACM7")) as bench:
        bench.attach("gripper")
        done = place.call("find-port", "--probe", "--port", bench.path)
        assert done.returncode == 0 and "one servo, id 1" in done.stdout and "a new motor" in done.stdout
        bench.attach()
        done = place.call("find-port", "--probe", "--port", bench.path)
        assert done.returncode == 1 and "check the arm's power supply" in done.stdout


def test_a_port_that_another_program_holds(place: Home, desk: Path) -> None:
    from firmware_bridge.sts.line import SerialLine

    with Bench(SO101, link=str(desk / "ttyACM7")) as bench:
        line = SerialLine(bench.path)
        done = place.call("find-port", "--probe", "--port", bench.path)
        assert done.returncode == 1 and "is busy" in done.stdout
        line.close()


def test_unplugged_in_a_terminal(place: Home, desk: Path) -> None:
    """Hands pull the arm's cable while something else comes; the profile is written."""
    ports = str(desk / "ttyACM*")
    with Bench(SO101, link=str(desk / "ttyACM7")) as bench:
        terminal = Terminal(place, "find-port", "--unplug", "--ports", ports, "--id", "green", "--wait", "60")
        terminal.wait_for("Pull the USB cable")
        terminal.type("\r")
        terminal.wait_for("waiting")  # nothing has happened yet
        bench.port.unplug()
        wait_for(lambda: not os.path.lexists(bench.path), "unplugged")
        (desk / "ttyACM3").write_text("")
        terminal.wait_for("Plug the cable in again")
        terminal.type("\r")
        bench.port.replug()
        terminal.wait_for("the arm's port is")
        assert terminal.end() == 0
    assert "ttyACM7" in (place.robots / "green.toml").read_text()


def test_cancelled_in_a_terminal(place: Home, desk: Path) -> None:
    terminal = Terminal(place, "find-port", "--unplug", "--ports", str(desk / "ttyACM*"), "--id", "green")
    terminal.wait_for("Pull the USB cable")
    terminal.type("q")
    assert terminal.end() == 130 and not (place.robots / "green.toml").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "/dev/ttyACM0"), "--port with --probe"),
        (("--ports", "ttyACM*"), "/dev/..."),
        (("--probe", "--robot", "yam"), "setup-motors --robot yam"),
        (("--unplug", "--robot", "nobody"), "no robot"),
        (("--unplug",), "needs a terminal"),
    ],
)
def test_command_lines_that_cannot_be_obeyed(place: Home, words: tuple[str, ...], said: str) -> None:
    done = place.call("find-port", *words)
    assert done.returncode == 2 and said in done.stderr
