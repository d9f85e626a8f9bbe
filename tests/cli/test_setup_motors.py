"""`armside setup-motors` as a person runs it: a real terminal, hands that plug motors in, a kill in the middle."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.robots import find
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.cli.bridges import Home, home, wait_for
from tests.cli.test_terminal import Terminal
from tests.firmware_bridge.conftest import VirtualProcess

SO101 = find("so101")
JOINTS = SO101.joints
NEW = dict.fromkeys(JOINTS, 1)
POSE = {joint: 3.0 * number for number, joint in enumerate(JOINTS, 1)}


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        yield made


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(SO101, Plant(ids=NEW, pose=POSE), link=str(tmp_path / "ttyACM0")) as made:
        made.attach()
        yield made


def progress(place: Home, name: str = "red") -> dict[str, dict[str, object]]:
    path = place.root / "s/armside/setup" / f"{name}.json"
    return json.loads(path.read_text())["joints"] if path.exists() else {}


def answers(path: Path, **given: str) -> Path:
    path.write_text(json.dumps({"answers": {key.replace("__", "."): value for key, value in given.items()}}))
    return path


def test_at_a_terminal(place: Home, bench: Bench) -> None:
    """All six by keys; the second one is connected too late and has to be asked for again."""
    words = ("setup-motors", "--robot", "so101", "--id", "red", "--port", bench.path)
    terminal = Terminal(place, *words)
    for joint in reversed(JOINTS):
        terminal.wait_for(f"Connect only the {joint} motor")
        if joint == "wrist_roll":
            terminal.type("\r")
            terminal.wait_for("this is the gripper motor")
            terminal.wait_for(f"Connect only the {joint} motor")
        bench.attach(joint)
        terminal.type("\r")
        if joint == "shoulder_pan":
            terminal.wait_for("is set already")  # id 1 is the factory's and its own
            continue
        terminal.wait_for("plug it in again")
        if joint == "gripper":  # first Enter, then the cable
            terminal.type("\r")
            terminal.wait_for("it still has power")
            bench.attach()
            terminal.wait_for("it is without power")
            bench.attach(joint)
        else:
            bench.attach()
            bench.attach(joint)
            terminal.type("\r")
        terminal.wait_for("kept its id without power")
    terminal.wait_for("Connect all motors")
    bench.attach(*JOINTS)
    terminal.type("\r")
    terminal.wait_for("all 6 motors answer")
    assert terminal.end() == 0
    assert [bench.stored(joint)["ID"] for joint in JOINTS] == [1, 2, 3, 4, 5, 6]
    assert 'type = "so101"' in (place.robots / "red.toml").read_text()


def test_killed_and_resumed(place: Home, bench: Bench, tmp_path: Path) -> None:
    words = ("setup-motors", "--id", "red", "--port", bench.path, "--wait", "60")
    bench.attach("gripper")
    process = place.start(*words, "--yes", "--no-cycle")
    wait_for(lambda: progress(place).get("gripper", {}).get("how") == "unchecked", "the gripper is done")
    bench.attach("wrist_roll")
    wait_for(lambda: progress(place).get("wrist_roll", {}).get("how") == "unchecked", "the wrist is done")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [bench.stored(joint)["ID"] for joint in JOINTS] == [1, 1, 1, 1, 5, 6]
    script = answers(tmp_path / "answers.json", motor__wrist_flex="cancel")
    done = place.call(*words, "--script", script)
    assert done.returncode == 130, done.stdout + done.stderr
    assert "gripper: id 6, unchecked on" in done.stdout and "wrist_roll: id 5" in done.stdout
    done = place.call(*words, "--script", answers(tmp_path / "b.json", motor__gripper="cancel"), "--restart")
    assert done.returncode == 130 and progress(place) == {}


def test_killed_between_two_writes(place: Home, tmp_path: Path) -> None:
    """Its id is new, its baud rate old, its memory open: the next run finds it there and ends what was begun."""
    with Bench(SO101, Plant(ids=NEW, eeprom={"gripper": {"Baud_Rate": 4}}), link=str(tmp_path / "ttyACM0")) as made:
        made.attach("gripper")
        words = ("setup-motors", "--port", made.path, "--only", "gripper", "--yes", "--no-cycle")
        process = place.start(*words)
        made.after_writes(3, process.kill)
        process.communicate()
        left = made.stored("gripper")
        assert (left["ID"], left["Baud_Rate"], made.servo("gripper").get("Lock")) == (6, 4, 0)
        script = answers(tmp_path / "a.json", motor__gripper="yes", chain="skip")
        done = place.call(*words[:-2], "--no-cycle", "--script", script)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "servo id 6 at 115200 baud" in done.stdout
        left = made.stored("gripper")
        assert (left["ID"], left["Baud_Rate"], made.servo("gripper").get("Lock")) == (6, 0, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_two_writes_waits(place: Home, tmp_path: Path, number: signal.Signals) -> None:
    """The motor at hand is done first, and what it is by then is said."""
    with Bench(SO101, Plant(ids=NEW, eeprom={"gripper": {"Baud_Rate": 4}}), link=str(tmp_path / "ttyACM0")) as made:
        made.attach("gripper")
        process = place.start("setup-motors", "--port", made.path, "--only", "gripper", "--yes")
        made.after_writes(3, lambda: process.send_signal(number))
        text = process.communicate()[0]
        left = made.stored("gripper")
        assert (left["ID"], left["Baud_Rate"], made.servo("gripper").get("Lock")) == (6, 0, 1)
    assert process.returncode == 130 and "gripper        id 6, written" in text, text


def test_one_that_was_replaced(place: Home, bench: Bench, tmp_path: Path) -> None:
    bench.attach("elbow_flex")
    script = answers(tmp_path / "a.json", motor__elbow_flex="yes", cycle__elbow_flex="skip", chain="skip")
    done = place.call("setup-motors", "--port", bench.path, "--only", "elbow_flex", "--script", script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert bench.stored("elbow_flex")["ID"] == 3 and "id 3, unchecked" in done.stdout
    assert progress(place, "so101")["elbow_flex"]["id"] == 3


def test_an_arm_that_is_set(place: Home, tmp_path: Path) -> None:
    with Bench(SO101) as made:
        done = place.call("setup-motors", "--id", "red", "--port", made.path, "--yes")
    assert done.returncode == 0 and "written now: nothing" in done.stdout
    assert "next: armside calibrate --robot red" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "sim"), "a virtual arm has its ids"),
        (("--port", "/dev/ttyACM77", "--yes"), "does not exist"),
        (("--port", "/dev/ttyACM77", "--yes", "--only", "elbow"), "elbow_flex"),
        (("--port", "/dev/ttyACM77"), "needs a terminal"),
    ],
)
def test_command_lines_that_cannot_be_obeyed(place: Home, words: tuple[str, ...], said: str) -> None:
    done = place.call("setup-motors", *words)
    assert done.returncode in (1, 2) and said in done.stderr


def test_a_yam_is_only_read(place: Home) -> None:
    with contextlib.closing(VirtualProcess("firmware_bridge.damiao.virtual_process", "--robot", "yam")) as motors:
        done = place.call("setup-motors", "--robot", "yam", "--port", motors.port)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "joint_1         id 1, DM4340: as it should be" in done.stdout
        motors.order(do="write", motor="joint_4", name="ESC_ID", value=9)
        motors.order(do="write", motor="joint_6", name="TIMEOUT", value=0)
        done = place.call("setup-motors", "--robot", "yam", "--port", motors.port)
        frames = motors.order(do="report")["frames"]
    assert done.returncode == 1
    assert "no answer from joint_4 (4)" in done.stdout and "id 9, DM4310" in done.stdout
    assert "ESC_ID 4, MST_ID 20" in done.stdout and "joint_6: TIMEOUT" in done.stdout
    assert "nothing was written" in done.stdout
    assert set(frames) == {"read", "strange"}, frames  # not one command; strange: to ids that nobody has
