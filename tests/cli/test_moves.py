"""`jog`, `home`, `park` and `replay` as programs: real bridges, virtual servos behind real ptys."""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from armside.jog_words import keys_of, wishes
from armside.replay_path import JUMP, check_arm, commanded_path
from episodes.layout import EndRecord, RunHeader, TickRecord
from episodes.recording import Recording
from episodes.writer import RecordingWriter
from firmware_bridge.robots import ROBOTS
from policy_spec.errors import RecordingError, UsageError
from tests.cli.bridges import DEADLINE_S, Home, home, wait_for
from tests.edge.arm import Servos, servos
from tests.speeds import fastest

SO101 = ROBOTS["so101"]
FAST = ("--speed", "2")


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        yield made


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Servos]:
    with servos(tmp_path) as made:
        yield made


def measured(place: Home) -> np.ndarray:
    done = place.call("bridge", "status", "--json")
    return np.array(json.loads(done.stdout)[0]["status"]["measured"])


def mode(place: Home) -> str:
    done = place.call("bridge", "status", "--json")
    return str(json.loads(done.stdout)[0]["status"]["mode"])


def real(arm: Servos) -> tuple[str, ...]:
    return ("--robot", "so101", "--port", arm.port, "--calibration", str(arm.calibration))


def test_home_and_park_on_a_bridge_of_their_own(place: Home, arm: Servos) -> None:
    done = place.call("home", *real(arm), "--live", *FAST)
    assert done.returncode == 0, done.stderr
    assert re.search(r"shoulder_lift: -96\.\d° -> -4[56]\.\d°", done.stdout), done.stdout
    assert "the arm: torque on: the arm holds" in done.stdout
    assert arm.torque() == [1] * 6  # it stands at home, and does not fall
    parked = place.call("park", *real(arm), "--live", *FAST)
    assert parked.returncode == 0, parked.stderr
    assert re.search(r"shoulder_lift: -4[56]\.\d° -> -96\.\d°", parked.stdout), parked.stdout
    assert "torque off" in parked.stdout and arm.torque() == [0] * 6


def test_without_live_nothing_is_moved(place: Home, arm: Servos) -> None:
    for verb in (["home"], ["park"], ["jog", "shoulder_pan=+5deg"]):
        done = place.call(*verb, *real(arm))
        assert done.returncode == 2 and "--live" in done.stderr, done.stderr
    assert arm.goals() == 0 and arm.torque() == [0] * 6


def test_a_move_is_slow(place: Home) -> None:
    """0.3 rad/s by default: seen in what the bridge commanded, by another client."""
    from firmware_bridge.link import BridgeClient

    with place.bridge("--robot", "blue"):
        [record] = place.root.glob("armside-*/blue.json")
        with BridgeClient(json.loads(record.read_text())["endpoint"]) as watcher:
            assert place.call("jog", "--robot", "blue", "elbow_flex=-30deg").returncode == 0
            seen = watcher.statuses()
    speed = fastest([status.commanded for status in seen], [status.tick for status in seen], SO101.rate_hz)
    assert 0.1 < speed < 0.33


def test_jog_moves_what_it_names_and_leaves_anothers_bridge_running(place: Home) -> None:
    with place.bridge("--robot", "blue") as bridge:
        before = measured(place)
        done = place.call("jog", "--robot", "blue", "shoulder_pan=+5deg", "elbow_flex=80deg", "gripper=30%", *FAST)
        assert done.returncode == 0, done.stderr
        went = measured(place) - before
        assert went[0] == pytest.approx(math.radians(5), abs=0.02)
        assert measured(place)[2] == pytest.approx(math.radians(80), abs=0.02)
        assert measured(place)[5] == pytest.approx(0.3, abs=0.02)
        assert np.abs(went[[1, 3, 4]]).max() < 0.02
        assert "its bridge goes on" in done.stdout and bridge.poll() is None
        back = place.call("jog", "--robot", "blue", "shoulder_pan=@-5deg", *FAST)
        assert back.returncode == 0 and measured(place)[0] == pytest.approx(math.radians(-5), abs=0.02)


def test_a_goal_outside_the_limits_is_refused_by_name(place: Home) -> None:
    with place.bridge("--robot", "blue"):
        before = measured(place)
        done = place.call("jog", "--robot", "blue", "wrist_roll=170deg")
        assert done.returncode == 1 and "wrist_roll would leave its limits" in done.stderr
        assert np.abs(measured(place) - before).max() < 0.02


def test_ctrl_c_stops_a_move_where_it_is(place: Home, arm: Servos) -> None:
    with place.bridge(*real(arm), "--live"):
        process = place.start("home", "--robot", "so101", "--live", "--speed", "0.1")
        wait_for(lambda: arm.goals() > 50, "the move's beginning")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 130 and "broken off: Ctrl-C" in out, out
        here = measured(place)
        assert abs(here[1] - SO101.home_pose[1]) > 0.1  # it never got there
        goals = arm.goals()
        assert mode(place) in ("ready", "parking", "shadow") and arm.goals() >= goals


def test_a_stop_from_another_terminal_ends_a_move(place: Home) -> None:
    with place.bridge("--robot", "blue"):
        process = place.start("home", "--robot", "blue", "--speed", "0.1")
        wait_for(lambda: mode(place) == "running", "the move's beginning")
        assert place.call("bridge", "stop", "blue").returncode == 0
        out, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 1 and "broken off" in out and "estop" in out, out
        assert mode(place) == "estop"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("jog", "--robot", "blue"), 2, "needs a terminal"),
        (("jog", "--robot", "blue", "elbow=+5deg"), 1, "no joint 'elbow'"),
        (("jog", "--robot", "blue", "elbow_flex=+5"), 2, "a unit: deg or rad"),
        (("jog", "--robot", "blue", "elbow_flex=up"), 2, "JOINT=+5deg"),
        (("jog", "--robot", "blue", "gripper=+5deg"), 2, "0 (closed) to 1 (open)"),
        (("home", "--robot", "blue", "--speed", "0"), 2, "--speed"),
        (("park", "--robot", "bleu"), 2, "no robot 'bleu'"),
        (("home", "--robot", "so101"), 2, "so101 has no port"),
        (("replay", "nowhere", "--to", "sim"), 1, "is not a recording"),
        (("replay", "nowhere", "--to", "sim", "--rate", "9"), 2, "--rate"),
    ],
)
def test_wrong_words_are_refused(place: Home, words: tuple[str, ...], code: int, said: str) -> None:
    done = place.call(*words)
    assert done.returncode == code and said in done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_words_of_jog() -> None:
    degree = math.pi / 180
    assert wishes(["a=+5deg", "b=-5deg", "c=5deg", "d=@-5deg", "e=.1rad", "g=30%"], ["g"]) == {
        "a": ("by", pytest.approx(5 * degree)),
        "b": ("by", pytest.approx(-5 * degree)),
        "c": ("to", pytest.approx(5 * degree)),
        "d": ("to", pytest.approx(-5 * degree)),
        "e": ("to", 0.1),
        "g": ("to", 0.3),
    }
    with pytest.raises(UsageError, match="given twice"):
        wishes(["a=1rad", "a=2rad"], [])
    assert keys_of("\x1b[A\x1bOB\x1b[15~ +x\x1b[De") == ["up", "down", "halt", "more", "less", "estop"]


# -- replay


def recorded(folder: Path, path: np.ndarray, **changes: object) -> Path:
    """A recording whose bridge commanded `path` [N, 6] at 100 Hz, with a parking move after it."""
    header = dict(
        arm="so101", joints=SO101.joints, joint_units=("rad",) * 5 + ("1",), cameras={}, horizon=30, dt_s=1 / 30,
        execute=15, seed=0, task="wave", rate_hz=100.0,
    )  # fmt: skip
    writer = RecordingWriter(folder, RunHeader(**{**header, **changes}))  # type: ignore[arg-type]
    for number, row in enumerate(path):
        writer.write(TickRecord(number + 1, 500 + number, number / 100, "running", row, row, chunk_seq=7))
    for number in range(20):
        far = np.full(6, 9.0)
        writer.write(TickRecord(len(path) + number + 1, 500 + len(path) + number, 9.0, "parking", far, far))
    writer.finish(EndRecord(9.0, "quit"))
    return folder


def wave(seconds: float = 2.0) -> np.ndarray:
    """From home, the base turns left and right and back, as fast as 0.5 rad/s."""
    t = np.arange(0, seconds, 0.01)
    path = np.tile(SO101.home_pose, (len(t), 1))
    path[:, 0] += 0.2 * np.sin(2 * np.pi * t / seconds)
    return path


def test_a_recorded_path_is_what_was_commanded(tmp_path: Path) -> None:
    recording = Recording.open(recorded(tmp_path / "run", wave()))
    path = commanded_path(recording, 0.02, 1.0)
    assert np.allclose(path[:100], wave()[::2], atol=1e-6) and np.abs(path).max() < 2  # no parking in it
    assert len(commanded_path(recording, 0.02, 0.5)) == pytest.approx(2 * len(path), abs=2)


def test_what_cannot_be_replayed_is_said(tmp_path: Path) -> None:
    recording = Recording.open(recorded(tmp_path / "run", wave()))
    with pytest.raises(RecordingError, match=r"recorded on another arm; expected: yam; got: so101"):
        check_arm(recording, "yam", SO101.joints)
    with pytest.raises(RecordingError, match="other joints than the arm"):
        check_arm(recording, "so101", SO101.joints[::-1])
    check_arm(recording, "so101", SO101.joints)
    jumping = wave()
    jumping[100:, 2] += JUMP + 0.1
    with pytest.raises(RecordingError, match=r"jumps: elbow_flex by 0\.45 rad"):
        commanded_path(Recording.open(recorded(tmp_path / "jump", jumping)), 0.02, 1.0)
    missing = wave()
    missing[50, 3] = np.nan
    with pytest.raises(RecordingError, match=r"lacks numbers.*wrist_flex"):
        commanded_path(Recording.open(recorded(tmp_path / "nan", missing)), 0.02, 1.0)
    with pytest.raises(RecordingError, match="no chunk was followed"):
        commanded_path(Recording.open(recorded(tmp_path / "still", wave()[:0])), 0.02, 1.0)


def test_replay_follows_the_recording(place: Home, tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", wave())
    done = place.call("replay", run, "--to", "sim", *FAST)
    assert done.returncode == 0, done.stderr
    match = re.search(r"the arm was off by at most ([\d.]+)°", done.stdout)
    assert match and float(match[1]) < 10, done.stdout
    assert "the arm: parked; torque off" in done.stdout


def test_replay_on_another_arm_or_without_live(place: Home, tmp_path: Path, arm: Servos) -> None:
    run = recorded(tmp_path / "run", wave())
    other = place.call("replay", run, "--to", "so100", "--port", "sim")
    assert other.returncode == 1 and "recorded on another arm" in other.stderr
    still = place.call("replay", run, "--to", "so101", "--port", arm.port, "--calibration", arm.calibration)
    assert still.returncode == 2 and "--live" in still.stderr
    assert arm.goals() == 0


def test_replay_through_a_bridge_that_runs(place: Home, tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", wave())
    shutil.rmtree(run / "images", ignore_errors=True)  # pictures are not needed
    with place.bridge("--robot", "blue") as bridge:
        done: subprocess.CompletedProcess[str] = place.call("replay", run, "--to", "blue", *FAST)
        assert done.returncode == 0, done.stderr
        assert "its bridge goes on" in done.stdout and bridge.poll() is None
