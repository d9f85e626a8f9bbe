"""`armside calibrate --check` and `--from` as programs, against virtual arms on real ports and behind a bridge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomlkit

from armside.calib_target import Target
from armside.calibrate_check import _beyond
from armside.profile import Profile
from firmware_bridge.robots import find
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.calib.arm_files import BLUE, DATA, GREEN, ROBOT, registers_of, write_file
from tests.cli.bridges import Home, home


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        made.env |= {"XDG_STATE_HOME": str(made.root / "s"), "HF_LEROBOT_HOME": str(made.root / "hf")}
        made.env.pop("HF_LEROBOT_CALIBRATION", None)
        yield made


def arm(place: Home, calibration: Calibration, held: Calibration | None = None) -> Bench:
    """A virtual arm and the profile `red` that names its port and file."""
    bench = Bench(ROBOT, Plant(calibration=held or calibration))
    path = write_file(place.root / "c" / "armside" / "calibration" / "red.json", calibration)
    place.profile("red", f'type = "so101"\nport = "{bench.path}"\ncalibration = "{path}"\n')
    return bench


def test_an_arm_that_agrees(place: Home) -> None:
    with arm(place, BLUE):
        done = place.call("calibrate", "--robot", "red", "--check", "--json", "-")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert (data["format"], data["ok"], data["bridge"]) == ("armside-calibration-check", True, None)
    assert data["joints"]["gripper"]["registers"]["Max_Position_Limit"] == {"file": 3517, "servo": 3517}
    assert "file, servo memory and mechanics agree" in done.stderr


def test_another_arms_memory(place: Home) -> None:
    with arm(place, BLUE, GREEN) as bench:
        before = bench.memory()
        done = place.call("calibrate", "--robot", "red", "--check")
        assert bench.memory() == before and not bench.bus.journal
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "1554 / -2047" in done.stdout and "879 / 950" in done.stdout
    assert "red: does not agree" in done.stdout


def test_lerobots_copy_a_spoilt_side_file_and_a_journal_are_said(place: Home) -> None:
    write_file(place.root / "hf" / "calibration" / "robots" / "so101_follower" / "red.json", GREEN)
    journal = place.root / "s" / "armside" / "calibration" / "red.eeprom.json"
    journal.parent.mkdir(parents=True)
    journal.write_text("{}")
    with arm(place, BLUE):
        (place.root / "c" / "armside" / "calibration" / "red.provenance.json").write_text("{")
        done = place.call("calibrate", "--robot", "red", "--check")
    said = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert "LeRobot's copy disagrees" in said and "so101_follower/red.json: shoulder_pan homing_offset" in said
    assert "side file" in said and "cannot be used" in said
    assert "broke off" in said


def test_no_file_and_no_port_are_named(place: Home) -> None:
    place.profile("bare", 'type = "so101"\nport = "/dev/ttyNONE"\n')
    done = place.call("calibrate", "--robot", "bare", "--check")
    assert done.returncode == 1 and "calibration file" in done.stderr and "bare.json" in done.stderr
    done = place.call("calibrate", "--robot", "so101", "--id", "new", "--check")
    assert done.returncode == 2 and "has no port" in done.stderr


@pytest.mark.parametrize("robot", ["so101", "yam"])
def test_a_virtual_arm_agrees(place: Home, robot: str) -> None:
    done = place.call("calibrate", "--robot", robot, "--port", "sim", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{robot}: file, servo memory and mechanics agree" in done.stdout


def test_a_yam_whose_zero_moved_is_found() -> None:
    target = Target(Profile("yam"), find("yam"), "", False)
    assert _beyond(target, {"joint_2": 0.5, "joint_3": -0.1, "gripper": 1.1}) == []
    (words,) = _beyond(target, {"joint_2": -0.5})
    assert words.startswith("joint_2 reads -0.50 rad, its stops are at 0.00 and 3.67: its zero moved")


def test_a_bridge_that_runs_is_asked_and_a_file_changed_since_is_found(place: Home) -> None:
    path = write_file(place.root / "c" / "armside" / "calibration" / "red.json", BLUE)
    place.profile("red", f'type = "so101"\nport = "sim"\ncalibration = "{path}"\n')
    with place.bridge("--robot", "red"):
        done = place.call("calibrate", "--robot", "red", "--check")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the bridge of red holds" in done.stdout
        write_file(path, GREEN)
        done = place.call("calibrate", "--robot", "red", "--check", "--json", "-")
        assert done.returncode == 1
        assert "the bridge drives with" in json.loads(done.stdout)["problems"][0]


def test_a_bridge_refuses_the_difference_and_an_arm_that_cannot_be(place: Home) -> None:
    with arm(place, BLUE, GREEN):
        done = place.call("bridge", "--robot", "red")
        said = done.stdout + done.stderr
        assert done.returncode == 1 and "is not the one in the servos" in said
        assert "shoulder_pan Homing_Offset: file 1554, servo -2047" in said
        assert "elbow_flex Max_Position_Limit: file 3117, servo 3190" in said
    short = json.loads((DATA / "blue.json").read_text())
    short["elbow_flex"] |= {"range_min": 1500, "range_max": 2500}
    path = place.root / "short.json"
    path.write_text(json.dumps(short))
    place.profile("short", f'type = "so101"\nport = "sim"\ncalibration = "{path}"\n')
    done = place.call("bridge", "--robot", "short")
    assert done.returncode == 1 and "cannot be this arm's" in done.stdout and "swept too little" in done.stdout


# -- --from


def taken(place: Home, bench: Bench, source: object, *words: str) -> tuple[int, str]:
    given = ("--robot", "so101", "--id", "new", "--port", bench.path, "--from", source, *words)
    done = place.call("calibrate", *given)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_from_lerobot_by_id_makes_an_arm_of_ours(place: Home) -> None:
    """Calibrated by LeRobot, then: profile, calibration, side file; and a check that agrees."""
    write_file(place.root / "hf" / "calibration" / "robots" / "so_follower" / "new.json", BLUE)
    with Bench(ROBOT, Plant(calibration=BLUE)) as bench:
        before = bench.memory()
        code, said = taken(place, bench, "lerobot", "--yes")
        assert code == 0, said
        assert bench.memory() == before
        ours = place.root / "c" / "armside" / "calibration" / "new.json"
        assert ours.read_bytes() == (DATA / "blue.json").read_bytes()
        profile = tomlkit.parse((place.robots / "new.toml").read_text())
        assert profile.unwrap() == {"type": "so101", "port": bench.path, "calibration": str(ours)}
        assert json.loads(ours.with_name("new.provenance.json").read_text())["mode"] == "taken over"
        done = place.call("calibrate", "--robot", "new", "--check")
        assert done.returncode == 0 and "taken over, armside" in done.stdout, done.stdout


def test_from_a_file_that_differs_asks_and_a_script_answers(place: Home, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    with Bench(ROBOT, Plant(calibration=GREEN)) as bench:
        before = bench.memory()
        script.write_text('{"answers": {"from.write": "no"}}')
        code, said = taken(place, bench, DATA / "blue.json", "--script", str(script))
        assert code == 130 and "nothing was written" in said
        assert bench.memory() == before and not (place.robots / "new.toml").exists()
        script.write_text('{"answers": {"from.write": "yes"}}')
        code, said = taken(place, bench, DATA / "blue.json", "--script", str(script))
        assert code == 0 and "shoulder_pan: Homing_Offset -2047 -> 1554" in said, said
        held = {joint: bench.stored(joint) for joint in ROBOT.joints}
    for joint, row in registers_of(BLUE).items():
        assert {name: held[joint][name] for name in row} == row


def test_from_a_file_of_another_robot_is_refused(place: Home, tmp_path: Path) -> None:
    other = tmp_path / "yam.json"
    other.write_text('{"format": "armside-damiao-1", "robot": "yam", "gripper": "linear_4310", "joints": {}}')
    with Bench(ROBOT, Plant(calibration=GREEN)) as bench:
        before = bench.memory()
        code, said = taken(place, bench, other, "--yes")
        assert code == 1 and "joints of" in said and "shoulder_pan" in said
        code, said = taken(place, bench, "lerobot", "--yes")
        assert code == 1 and "LeRobot has no calibration of new" in said
        assert bench.memory() == before
