"""A real arm that stands where the policy's data never were is refused, or moved slowly to where they were."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.control import Control
from edge.run import run
from edge.start_pose import Start, StartPose
from edge.state import ExitReason, LoopEvent
from episodes.recording import Recording
from firmware_bridge import robots
from firmware_bridge.client import BridgeConfig, Info, start_bridge
from firmware_bridge.errors import ConfigError
from firmware_bridge.kinematics.bodies import BODIES
from firmware_bridge.kinematics.chain import tcp
from policy_spec.errors import ObservationError
from policy_spec.frames import frame
from policy_spec.in_range import ranges_of
from policy_spec.norm import Normalizer
from tests.edge.arm import Servos, Watcher, children, run_and, servos, sim_config, until
from tests.policy_spec.test_in_range import SO, YAM
from tests.speeds import fastest

SO101 = robots.find("so101")
QUICK = StartPose(speed=2.0)  # the tests' patience; the default is checked below


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Servos]:
    """Its shoulder is turned to 80 degrees; the policy's data end at 48."""
    with servos(tmp_path, {"pose": standing(80.0)}) as made:
        yield made


def standing(pan: float) -> dict[str, float]:
    """Parked, but for the shoulder: degrees, the gripper's from closed."""
    angles = [pan, *map(math.degrees, SO101.park_pose[1:5]), 110.0 * SO101.park_pose[5]]
    return dict(zip(SO101.joints, angles, strict=True))


def turn(arm: Servos, pan: float) -> None:
    """By hand; the arm is limp."""
    arm.order("hand", joints={"shoulder_pan": pan}, speed=10000.0)
    time.sleep(0.05)


def live(bundle: Path, arm: Servos, **changes: Any) -> Any:
    bridge = changes.pop("bridge", {})
    return sim_config(bundle, **{"bridge": arm.bridge(**bridge), "duration_s": 0.5, **changes})


def test_a_real_arm_outside_is_refused_before_anything_is_armed(bundle: Path, arm: Servos) -> None:
    watcher = Watcher()
    with pytest.raises(ObservationError) as caught:
        run(live(bundle, arm), ui=watcher)
    text = str(caught.value)
    assert "the arm stands where the policy's data never were" in text
    assert "shoulder_pan at 80.0" in text and "the policy's q01..q99 is -41.91..48.29" in text
    assert "elbow_flex" not in text  # what is inside by the margin is not named
    assert "--start-pose moves it there slowly" in text and "armside calibrate --against" in text
    assert arm.goals() == 0 and arm.torque() == [0] * 6 and children("firmware_bridge.supervisor") == []
    assert watcher.names() == ["starting"]  # no camera and no session was opened for it


def test_the_same_arm_inside_runs(bundle: Path, arm: Servos) -> None:
    turn(arm, 50.0)  # beyond q99, within the margin
    result = run(live(bundle, arm))
    assert result.ok and arm.goals() > 10


def test_an_attached_live_bridge_is_refused_as_well(
    bundle: Path, arm: Servos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil
    import tempfile

    from edge.attach import Attach

    short = tempfile.mkdtemp(prefix="as-")  # ipc paths have 108 bytes
    monkeypatch.setenv("XDG_RUNTIME_DIR", short)
    try:
        with start_bridge(arm.bridge(id="blue")) as handle:
            with pytest.raises(ObservationError, match="shoulder_pan at 80"):
                run(sim_config(bundle, bridge=Attach("blue", "so101", arm.port)))
            assert handle.alive and arm.goals() == 0 and arm.torque() == [0] * 6
    finally:
        shutil.rmtree(short, ignore_errors=True)


def test_the_start_pose_is_reached_slowly_and_then_the_policy_runs(bundle: Path, arm: Servos, tmp_path: Path) -> None:
    watcher = Watcher()
    result = run(live(bundle, arm, start_pose=QUICK, record=tmp_path / "run", duration_s=1.0), ui=watcher)
    assert result.reason is ExitReason.DURATION and result.farewell == "parked; torque off" and result.chunks >= 1
    assert watcher.said("start pose", "shoulder_pan 80.0 -> 43.8") and watcher.said("start pose", "reached")
    assert watcher.names().index("armed") < watcher.names().index("start pose") < watcher.names().index("end")
    recording = Recording.open(tmp_path / "run")
    assert np.array_equal(np.diff(recording.ticks["seq"]), np.ones(len(recording.ticks) - 1))  # all of it is recorded
    first = recording.observations[0].state
    assert 40.0 < first[0] < 48.3  # the policy never saw the pose outside
    before = recording.ticks[recording.ticks["seq"] <= recording.observations[0].status_seq]
    assert fastest(before["commanded"], before["tick"], 100.0) <= QUICK.speed + 1e-3
    others = np.ptp(before["commanded"][:, 1:], axis=0)
    assert (others < 0.05).all()  # only what was outside moved


def test_an_arm_that_a_hand_moves_while_the_session_opens_is_not_armed(bundle: Path, arm: Servos) -> None:
    class Careless(Watcher):
        def event(self, event: LoopEvent) -> None:
            super().event(event)
            if event.name == "ready":
                turn(arm, 80.0)

    turn(arm, 0.0)
    watcher = Careless()
    with pytest.raises(ObservationError, match="shoulder_pan at 80"):
        run(live(bundle, arm), ui=watcher)
    assert watcher.said("ready") and not watcher.said("armed") and arm.goals() == 0


def test_it_is_slow_unless_told_otherwise() -> None:
    assert StartPose().speed == 0.3


def test_nothing_is_moved_for_an_arm_that_stands_inside(bundle: Path, arm: Servos) -> None:
    turn(arm, 0.0)
    watcher = Watcher()
    result = run(live(bundle, arm, start_pose=QUICK), ui=watcher)
    assert result.ok and watcher.said("start pose", "inside the policy's range already")


def test_a_start_pose_beyond_the_arms_own_limits_is_refused_before_it_moves(bundle: Path, arm: Servos) -> None:
    bridge = {"limits": {"shoulder_pan": (1.2, 1.9)}, "park_pose": {"shoulder_pan": 1.3}}
    bridge |= {"home_pose": {"shoulder_pan": 1.3}}
    with pytest.raises(ObservationError, match=r"own limits end before.*shoulder_pan at 68\.75"):
        run(live(bundle, arm, start_pose=QUICK, bridge=bridge))
    assert arm.goals() == 0 and arm.torque() == [0] * 6


def test_an_arm_outside_its_limits_is_refused_before_it_moves(bundle: Path, arm: Servos) -> None:
    with pytest.raises(ConfigError, match="shoulder_pan is outside its limits"):
        run(live(bundle, arm, start_pose=QUICK, bridge={"limits": {"shoulder_pan": (-1.0, 1.0)}}))
    assert arm.goals() == 0 and arm.torque() == [0] * 6


def test_something_in_the_way_is_named_and_the_arm_left_as_configured(bundle: Path, arm: Servos) -> None:
    pose = np.array([[math.radians(62.0), *SO101.park_pose[1:]]])
    x, y, z = tcp(BODIES["so101"], pose)[0][:3, 3]
    box = (x - 0.02, y - 0.02, z - 0.02, x + 0.02, y + 0.02, z + 0.02)
    bridge = {"keep_out": {"cup": box}, "exit_policy": "hold"}
    watcher = Watcher()
    result = run(live(bundle, arm, start_pose=QUICK, bridge=bridge), ui=watcher)
    assert result.reason is ExitReason.START and not result.ok and result.chunks == 0
    assert "shoulder_pan at 7" in result.text and "keep-out cup" in result.text
    assert "torque on" in result.farewell and arm.torque() == [1] * 6


def test_ctrl_c_on_the_way_holds_there(bundle: Path, arm: Servos) -> None:
    def act(control: Control, watcher: Watcher) -> None:
        until(lambda: watcher.said("start pose", "slowly to it"))
        until(lambda: bool(watcher.states) and watcher.states[-1].measured[0] < math.radians(78))
        control.interrupt()
        until(lambda: watcher.said("end"))

    result, watcher = run_and(live(bundle, arm, start_pose=StartPose()), act)
    assert result.reason is ExitReason.INTERRUPT and "start pose" in result.text and result.chunks == 0
    assert "torque on" in result.farewell and arm.torque() == [1] * 6  # held, although it would be parked else
    assert not watcher.said("start pose", "reached")


@pytest.mark.parametrize(("word", "reason"), [("quit", ExitReason.QUIT), ("estop", ExitReason.START)])
def test_keys_on_the_way(bundle: Path, arm: Servos, word: str, reason: ExitReason) -> None:
    def act(control: Control, watcher: Watcher) -> None:
        until(lambda: watcher.said("start pose", "slowly to it"))
        until(lambda: bool(watcher.states) and watcher.states[-1].measured[0] < math.radians(78))
        control.say(word)
        until(lambda: watcher.said("end"))

    result, _ = run_and(live(bundle, arm, start_pose=StartPose()), act)
    assert result.reason is reason and result.chunks == 0 and arm.torque() == [1] * 6
    if word == "estop":
        assert "broken off" in result.text and "emergency stop" in result.farewell


def test_a_simulated_arm_outside_is_told_of_and_not_refused(bundle: Path) -> None:
    result = run(sim_config(bundle, frame="lerobot-degrees", duration_s=0.3), ui=(watcher := Watcher()))
    assert result.ok and watcher.said("start pose", "shoulder_lift at -96.")
    result = run(sim_config(bundle, duration_s=0.3), ui=(watcher := Watcher()))
    assert result.ok and not watcher.said("start pose")  # the control: in its own frame it stands inside


def test_a_simulated_arm_is_moved_when_asked(bundle: Path) -> None:
    bridge = BridgeConfig("so101", "sim", park_speed=3.0, floor=None, self_collision=False)
    config = sim_config(bundle, frame="lerobot-degrees", bridge=bridge, duration_s=0.3, start_pose=StartPose(speed=3.0))
    result = run(config, ui=(watcher := Watcher()))
    assert watcher.said("start pose", "shoulder_lift -96.") and watcher.said("start pose", "reached"), result
    assert result.ok


def test_a_port_that_is_not_live_is_told_of_and_not_refused(bundle: Path, arm: Servos) -> None:
    for wanted in (None, QUICK):
        result = run(live(bundle, arm, bridge={"live": False}, start_pose=wanted), ui=(watcher := Watcher()))
        assert result.ok and watcher.said("start pose", "shoulder_pan at 80")
    assert arm.goals() == 0 and arm.torque() == [0] * 6


# -- the pure part


def start(arm: str, name: str, stats: dict[str, Any], **changes: Any) -> Start:
    robot = robots.find(arm)
    count = len(robot.joints)
    facts: dict[str, Any] = dict(
        arm=arm, id=arm, joints=robot.joints, grippers=robot.grippers, lower=(-4.0,) * count, upper=(4.0,) * count,
        speed=robot.speed, park_pose=robot.park_pose, home_pose=robot.home_pose, rate_hz=100.0, live=True, port="x",
        calibration="x", fingerprint="", units="si", frame="arm", exit_policy="park", status_endpoint="", pid=1,
    )  # fmt: skip
    info = Info(**{**facts, **changes})
    return Start(info, ranges_of(Normalizer.from_stats(stats, "q01_q99")), frame(name), False, StartPose())


def test_two_arms_and_only_the_joint_that_is_outside() -> None:
    robot = robots.find("bi-yam")
    both = start("bi-yam", "radians", YAM)
    pose = np.array(robot.home_pose)
    assert both.outside(pose) == []
    pose[robot.joints.index("right_joint_5")] = 1.4
    [only] = both.outside(pose)
    assert only.startswith("right_joint_5 at 1.40, the policy's q01..q99 is -0.97..0.53")
    goal = both.goal(pose, pose)
    assert both.outside(goal) == [] and np.flatnonzero(goal != pose).tolist() == [robot.joints.index("right_joint_5")]


def test_what_the_statistics_do_not_know_refuses_nothing() -> None:
    nothing = Start(
        start("so101", "so101-molmoact2", SO).info,
        ranges_of(Normalizer.from_stats({}, "none", 6)),
        frame("so101-molmoact2"),
        False,
        None,
    )
    assert nothing.outside(np.full(6, 3.0)) == []
