"""`armside run --robot ID`: cameras, calibration and frame from the profile, and a bridge that runs already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from armside.arm_args import ArmChoice, check_live, frame_of
from armside.profile import Profile
from episodes.recording import Recording
from firmware_bridge.client import Running
from policy_spec.errors import UsageError
from tests.cli.bridges import Home, home
from tests.edge.arm import Servos, servos

TASK = ("--task", "pick up the cube", "--duration", "1")
CAMERAS = '[cameras]\ncam0 = "test"\ncam1 = "test"\n'
PROFILE = 'type = "so101"\nport = "{port}"\ncalibration = "{calibration}"\npark_speed = 3\n{more}' + CAMERAS
FRAME = 'joint_frame = "so101-molmoact2"\n'


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        made.profile("blue", f'type = "so101"\nport = "sim"\npark_speed = 3\n{CAMERAS}')
        yield made


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Servos]:
    with servos(tmp_path) as made:
        yield made


def test_all_that_a_run_needs_is_in_the_profile(place: Home, bundle: Path, tmp_path: Path, arm: Servos) -> None:
    place.profile("red", PROFILE.format(port=arm.port, calibration=arm.calibration, more=FRAME))
    done = place.call("run", bundle, "--robot", "red", "--live", *TASK, "--record", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "parked; torque off" in done.stdout and arm.goals() > 50
    header = Recording.open(tmp_path / "run").header
    assert header.cameras == {"cam0": "test", "cam1": "test"} and header.frame == "so101-molmoact2"
    assert header.facts["calibration"] == str(arm.calibration)


def test_without_live_a_profiles_arm_gets_no_goal(place: Home, bundle: Path, arm: Servos) -> None:
    place.profile("red", PROFILE.format(port=arm.port, calibration=arm.calibration, more=FRAME))
    done = place.call("run", bundle, "--robot", "red", *TASK)
    assert done.returncode == 0 and "--live was not given" in done.stderr, done.stderr
    assert arm.goals() == 0 and arm.torque() == [0] * 6


def test_a_profile_without_a_frame_is_refused(place: Home, bundle: Path, arm: Servos) -> None:
    place.profile("red", PROFILE.format(port=arm.port, calibration=arm.calibration, more=""))
    done = place.call("run", bundle, "--robot", "red", *TASK)
    assert done.returncode == 2 and "joint frame by name" in done.stderr


def test_a_command_line_beats_the_profile(place: Home, bundle: Path, tmp_path: Path) -> None:
    done = place.call(
        "run", bundle, "--robot", "blue", "--camera", "cam1=test:64x48", *TASK, "--record", tmp_path / "run"
    )
    assert done.returncode == 0, done.stderr
    assert Recording.open(tmp_path / "run").header.cameras == {"cam0": "test", "cam1": "test:64x48"}


def test_a_bridge_that_runs_is_used_and_goes_on(place: Home, bundle: Path) -> None:
    with place.bridge("--robot", "blue") as bridge:
        done = place.call("run", bundle, "--robot", "blue", *TASK)
        assert done.returncode == 0, done.stderr
        assert "attached" in done.stdout and "parked; torque off; its bridge goes on" in done.stdout
        limp = place.call("run", bundle, "--robot", "blue", "--limp", *TASK)
        assert limp.returncode == 0 and "its bridge goes on" in limp.stdout, limp.stderr
        assert "torque off" in place.call("bridge", "status").stdout
        assert bridge.poll() is None
        refused = place.call("run", bundle, "--robot", "blue", "--speed", "1", *TASK)
        assert refused.returncode == 2 and "runs already with its own settings" in refused.stderr


def test_a_simulation_beside_the_arms_own_bridge(place: Home, bundle: Path, arm: Servos) -> None:
    """--port sim never reaches the real arm of that name."""
    place.profile("red", PROFILE.format(port=arm.port, calibration=arm.calibration, more=FRAME))
    with place.bridge("--robot", "red", "--live"):
        done = place.call("run", bundle, "--robot", "red", "--port", "sim", *TASK)
        assert done.returncode == 0 and "attached" not in done.stdout, done.stderr
        assert arm.goals() == 0
        careless = place.call("run", bundle, "--robot", "red", *TASK)
        assert careless.returncode == 2 and "moves a real arm" in careless.stderr and "--live" in careless.stderr
        assert arm.goals() == 0 and arm.torque() == [0] * 6


def test_live_must_agree_with_the_bridge() -> None:
    from firmware_bridge.messages import FRAME as ARM
    from firmware_bridge.messages import UNITS, Info

    def choice(given: bool, bridges: bool, calibration: str = "file") -> ArmChoice:
        running = Running("red", "so101", "/dev/ttyACM0", "ipc://x", "ipc://y", 1, 1, 0.0, "")
        info = Info(
            arm="so101", id="red", joints=(), grippers=(), lower=(), upper=(), speed=(), park_pose=(), home_pose=(),
            rate_hz=100.0, live=bridges, port="/dev/ttyACM0", calibration=calibration, fingerprint="", units=UNITS,
            frame=ARM, exit_policy="park", status_endpoint="", pid=1,
        )  # fmt: skip
        return ArmChoice(Profile("so101", id="red"), given, running, info)

    for agreed in (choice(True, True), choice(False, False), choice(False, True, "shipped")):
        check_live(agreed)
    with pytest.raises(UsageError, match="moves a real arm"):
        check_live(choice(False, True))
    with pytest.raises(UsageError, match="only reads"):
        check_live(choice(True, False))
    assert frame_of(choice(True, True), "radians") == "radians"
    with pytest.raises(UsageError, match="joint frame by name"):
        frame_of(choice(True, True), None)
    assert frame_of(ArmChoice(Profile("yam", port="sim"), False), None) == "radians"
