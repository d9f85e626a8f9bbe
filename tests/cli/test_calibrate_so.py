"""`armside calibrate` of an SO arm as a process, its port a pseudo-terminal: by script, with hands that read along."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge import robots
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.travel import TRAVEL
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.cli.bridges import DEADLINE_S, Home, home, wait_for
from tests.cli.calibrating import rest

ROBOT = robots.find("so101")
ASKED = {
    "swing the whole arm to its left": {"shoulder_pan": -25.0},
    "tip the upper arm forward": {"shoulder_lift": 25.0},
    "bend the forearm up": {"elbow_flex": -25.0},
    "bend the gripper up": {"wrist_flex": -25.0},
    "turn the gripper clockwise": {"wrist_roll": -25.0},
    "open the gripper": {"gripper": 30.0},
}
LIMITED = [name for name, travel in TRAVEL.items() if not travel.free]


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as found:
        (found.robots / "blue.toml").unlink()
        found.env["HF_LEROBOT_CALIBRATION"] = str(found.root / "hf")
        yield found


def start(place: Home, bench: Bench, *words: object) -> subprocess.Popen[str]:
    script = place.root / "script.json"
    script.write_text(json.dumps({"answers": {"roll": "yes", "write": "yes", "pose": "yes"}}))
    return place.start(
        "calibrate", "--robot", "so101", "--id", "blue", "--port", bench.path, "--script", script, *words
    )


def play(process: subprocess.Popen[str], bench: Bench, until: str = "") -> str:
    """Hands that do what is printed; everything that was printed."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if until and until in line:
            return "".join(said)
        for words, move in ASKED.items():
            if words in line:
                bench.hand(200.0, **move)
                bench.wait()
                if "clockwise" in words:
                    bench.hand(200.0, wrist_roll=0.0)
        if line.startswith("sweep:"):
            for side in ("lower", "upper"):
                bench.hand(500.0, **{name: getattr(TRAVEL[name], side) for name in LIMITED})
                rest(bench)
        if line.startswith("now close"):
            bench.hand(500.0, gripper=0.0)
    process.stdout.close()
    process.wait(DEADLINE_S)
    return "".join(said)


def test_from_nothing_to_an_arm_that_passes_its_check(place: Home) -> None:
    plant = Plant(horns={"shoulder_lift": 180.0, "elbow_flex": 30.0}, pose={"gripper": 0.0})
    with Bench(ROBOT, plant) as bench:
        result = place.root / "result.json"
        process = start(place, bench, "--json", result, "--lerobot", "always")
        said = play(process, bench)
        assert process.returncode == 0, said
        data = json.loads(result.read_text())
        assert (data["format"], data["mode"], data["id"]) == ("armside-calibration", "mechanical", "blue")
        assert abs(data["horns_deg"]["elbow_flex"] - 30.0) < 1.0 and abs(data["horns_deg"]["shoulder_lift"]) > 179.0
        for joint, row in data["joints"].items():
            stored = bench.stored(joint)
            assert (stored["Homing_Offset"], stored["Max_Position_Limit"]) == (row["homing_offset"], row["range_max"])
        assert all(Path(path).is_file() for path in data["files"]) and len(data["files"]) == 3
        assert "calibration" in (place.robots / "blue.toml").read_text()
        assert "shoulder_lift: its horn sits half a turn off" in said and "next: armside calibrate" in said
        check = place.call("calibrate", "--robot", "blue", "--check")
        assert check.returncode == 0, check.stdout + check.stderr


def test_ctrl_c_and_a_closed_terminal_leave_everything(place: Home) -> None:
    with Bench(ROBOT, Plant()) as bench:
        before = bench.memory()
        for number in (signal.SIGINT, signal.SIGHUP):
            process = start(place, bench)
            play(process, bench, until="move by hand: shoulder_pan")
            os.kill(process.pid, number)
            process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 130
        assert bench.memory() == before
        assert not (place.robots / "blue.toml").exists() and not list(place.root.glob("c/armside/calibration/*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_arm_that_is_being_let_go_is_not_dropped(place: Home, number: signal.Signals) -> None:
    """Half way down somebody ends the program: it holds where it is, as firmly as before."""
    with Bench(ROBOT, Plant()) as bench:
        with bench.port.lock:
            for name in ROBOT.joints:
                bench.servo(name).write(REGISTERS["Torque_Enable"].address, b"\x01")
        process = start(place, bench, "--yes")
        wait_for(lambda: bench.servo("elbow_flex").get("Torque_Limit") < 900, "it is let go")
        process.send_signal(number)
        said, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 130, said
        found = {
            (bench.servo(name).get("Torque_Enable"), bench.servo(name).get("Torque_Limit")) for name in ROBOT.joints
        }
        assert found == {(1, 1000)}


def test_refused_before_anything_is_opened(place: Home) -> None:
    words = ("calibrate", "--robot", "so101", "--id", "blue", "--yes")
    drive = place.call(*words, "--port", "/dev/null", "--drive", "--mode", "pose")
    assert drive.returncode == 2 and "--mode mechanical" in drive.stderr


@pytest.mark.parametrize("other", [("--check",), ("--save-views",), ("--port", "sim")])
def test_a_file_is_taken_over_by_itself(place: Home, other: tuple[str, ...]) -> None:
    done = place.call("calibrate", "--robot", "so101", "--id", "new", "--from", "blue.json", *other)
    assert done.returncode == 2 and "--from alone" in done.stderr
