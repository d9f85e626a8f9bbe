"""`armside calibrate --robot yam` as people start it: whole, in a terminal, scripted, and killed in the middle."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator

import pytest

from armside import calibrate_yam
from armside.cli import build_parser
from calib.damiao.save import save
from firmware_bridge.damiao import nibbles
from policy_spec.errors import Cancelled
from tests.calib.yam_rig import NOW, YAM, YamRig, with_zeros
from tests.cli.bridges import Home, home, wait_for
from tests.cli.test_terminal import Terminal
from tests.firmware_bridge.damiao.conftest import MotorProcess

Motors = Callable[..., MotorProcess]


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        yield made


@pytest.fixture
def motors() -> Iterator[Motors]:
    """A virtual arm with a crank, its gears nearly without friction; more words go to virtual_process."""
    opened: list[MotorProcess] = []

    def start(*words: str) -> MotorProcess:
        common = ("--robot", "yam", "--link", "slcan", "--gripper", "crank_4310", "--friction", "0.02")
        opened.append(MotorProcess(*common, *words))
        return opened[-1]

    yield start
    for process in opened:
        process.close()


def words(process: MotorProcess, *more: object) -> list[str]:
    start = ["calibrate", "--robot", "yam", "--id", "bench", "--port", process.port]
    return [*start, "--gripper", "crank_4310", *map(str, more)]


def files(place: Home) -> list[str]:
    return sorted(str(path.relative_to(place.root)) for path in (place.root / "c").rglob("*") if path.is_file())


def what(process: MotorProcess) -> list[str]:
    return [row[2] for row in process.order("report")["journal"] if row[2] != "mit"]


@pytest.mark.slow
def test_from_nothing_to_an_arm_that_a_bridge_opens(place: Home, motors: Motors) -> None:
    process = motors("--timeout-ms", "1000")
    done = place.call(*words(process, "--yes", "--json", place.root / "result.json"))
    assert done.returncode == 0, done.stderr
    assert "their own zero is right" in done.stdout and "written: " in done.stdout
    result = json.loads((place.root / "result.json").read_text())
    assert result["format"] == "armside-calibrate-yam" and result["details"]["most_newtons"] == 10.0
    file = place.root / "c/armside/calibration/bench.json"
    assert json.loads(file.read_text()) == result["calibration"]
    assert what(process) == ["enable", "disable"]
    profile = (place.robots / "bench.toml").read_text()
    assert 'gripper = "crank_4310"' in profile and str(file) in profile
    with place.bridge("--robot", "bench"):
        assert place.call("bridge", "status", "bench").returncode == 0


def test_a_terminal_shows_the_pose_and_q_leaves_everything(place: Home, motors: Motors) -> None:
    process = motors()
    before = files(place)
    terminal = Terminal(place, *words(process))
    seen = terminal.wait_for(r"Is it so\?")
    assert "joint_3   3  DM4340" in seen and "seen from" in seen
    terminal.type("q")
    assert terminal.end() != 0
    assert files(place) == before and what(process) == []


def test_q_while_the_gripper_moves_switches_it_off(place: Home, motors: Motors) -> None:
    process = motors("--timeout-ms", "1000")
    terminal = Terminal(place, *words(process))
    for question, key in ((r"Is it so\?", "\r"), ("turns the right way", "s"), ("hands away", "y")):
        terminal.wait_for(question + r"[^$]*cancel")
        terminal.type(key)
    terminal.wait_for("10 N at most: keep your hands away")
    terminal.type("q")
    assert "its motor is off again" in terminal.wait_for("off again")
    assert terminal.end() != 0
    assert process.nibbles()[6] == nibbles.DISABLED and what(process) == ["enable", "disable"]


@pytest.mark.parametrize("key", ["home", "directions", "stroke"])
def test_a_script_that_cancels_leaves_everything(key: str, place: Home, motors: Motors) -> None:
    process = motors()
    before = files(place)
    script = place.root / "script.json"
    script.write_text(json.dumps({"answers": {key: "cancel"}}))
    done = place.call(*words(process, "--yes", "--script", script))
    assert done.returncode != 0 and "cancelled at" in done.stderr and "Traceback" not in done.stderr
    assert files(place) == before and what(process) == []


@pytest.mark.parametrize("answer", ["cancel", "no"])
def test_what_was_found_is_not_written_unasked(answer: str, place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last question; in this process, so that the gripper may be quick."""
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, place.env[name])
    script = place.root / "script.json"
    script.write_text(json.dumps({"answers": {"write": answer}}))
    with YamRig(with_zeros(YAM)) as rig:
        monkeypatch.setattr(calibrate_yam, "_job", lambda *_: contextlib.nullcontext(rig.job()))
        words = ["calibrate", "--robot", "yam", "--id", "bench", "--port", rig.port, "--yes", "--script", str(script)]
        save(with_zeros(YAM, joint_1=0.2), NOW, place.root / "c/armside/calibration/bench.json")
        before = [(name, (place.root / name).read_bytes()) for name in files(place)]
        with pytest.raises(Cancelled):
            calibrate_yam.run(build_parser("calibrate").parse_args(words))
        assert [(name, (place.root / name).read_bytes()) for name in files(place)] == before
        assert rig.nibbles() == [nibbles.DISABLED] * 7


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_switches_the_gripper_off(end: signal.Signals, place: Home, motors: Motors) -> None:
    process = motors("--timeout-ms", "1000")
    verb = place.start(*words(process, "--yes"))
    wait_for(lambda: process.nibbles()[6] == nibbles.ENABLED, "the gripper is driven")
    verb.send_signal(end)
    out, _ = verb.communicate(timeout=30)
    assert verb.returncode != 0 and "its motor is off again" in out and "Traceback" not in out
    assert process.nibbles()[6] == nibbles.DISABLED and what(process)[-1] == "disable"


def test_a_killed_program_leaves_the_gripper_to_its_watchdog(place: Home, motors: Motors) -> None:
    process = motors()
    before = files(place)
    verb = place.start(*words(process, "--yes"))
    wait_for(lambda: process.nibbles()[6] == nibbles.ENABLED, "the gripper is driven")
    verb.kill()
    verb.communicate(timeout=30)
    wait_for(lambda: process.nibbles()[6] == nibbles.COMMUNICATION_LOST, "the watchdog bites")
    assert abs(process.order("report")["motors"]["gripper"]["torque"]) == 0.0
    assert files(place) == before


def test_what_is_for_so_arms_is_refused(place: Home) -> None:
    done = place.call("calibrate", "--robot", "yam", "--id", "bench", "--port", "can0", "--yes", "--drive")
    assert done.returncode == 2 and "--drive is for SO arms" in done.stderr
