"""Whole runs: a bundle on ONNX Runtime, cameras, the real bridge process, virtual servos."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.camera import CameraPatience
from edge.control import Control
from edge.run import run
from edge.schedule import call_seed
from edge.session import Session
from edge.state import ExitReason, LoopEvent
from episodes.recording import Recording
from firmware_bridge.client import BridgeConfig, BridgeError, Timing
from policy_spec.errors import ArmsideError, RecordingError
from policy_spec.frames import frame
from policy_spec.pipeline import Observation
from tests.edge.arm import Watcher, children, moving, run_and, servos, sim_config, until
from tests.edge.small_bundle import small_bundle
from tests.edge.test_cameras import write_folder


def test_a_run_moves_the_arm_and_can_be_predicted_again(bundle: Path, tmp_path: Path) -> None:
    config = sim_config(bundle, record=tmp_path / "run", image_format="png", seed=5, duration_s=3.0)
    result = run(config, ui=(watcher := Watcher()))
    assert (result.reason, result.ok) == (ExitReason.DURATION, True)
    assert result.farewell == "parked; torque off"
    assert watcher.names()[:4] == ["starting", "opening", "ready", "armed"]
    assert children("firmware_bridge") == []
    recording = Recording.open(tmp_path / "run")
    assert recording.end is not None and recording.torn == {}
    sent = [chunk for chunk in recording.chunks if chunk.outcome == "sent"]
    assert len(sent) == result.chunks >= 3
    assert np.ptp(recording.ticks["measured"], axis=0).max() > 0.3  # it moved
    assert np.array_equal(np.diff(recording.ticks["seq"]), np.ones(len(recording.ticks) - 1))
    words = [recording.modes[number] for number in recording.ticks["mode"]]
    assert words[0] == "shadow" and "running" in words and "parking" in words and words[-1] == "shadow"
    _check_replay(recording, bundle)


def _check_replay(recording: Recording, bundle: Path) -> None:
    """What was recorded is enough to get every chunk again, to the bit; another seed gives another."""
    to_si = frame("so101-molmoact2").to_si
    with Session.open(bundle) as session:
        for chunk in recording.chunks:
            seen = recording.observations[chunk.index]
            assert seen.index == chunk.index and seen.seed == call_seed(5, chunk.index)
            images = tuple(recording.image(seen, slot) for slot in session.slots)
            assert [image.shape for image in images] == [(120, 160, 3), (48, 64, 3)]
            again = session.predict(Observation(images, seen.state), seen.task, seen.seed)
            assert np.array_equal(again.actions, chunk.policy_actions.astype(np.float32))
            assert np.array_equal(to_si(again.actions), chunk.actions)
            other = session.predict(Observation(images, seen.state), seen.task, seen.seed + 1)
            assert not np.array_equal(other.actions, again.actions)


def test_the_state_is_the_measured_arm_in_the_policys_units(bundle: Path, tmp_path: Path) -> None:
    run(sim_config(bundle, record=tmp_path / "run"))
    recording = Recording.open(tmp_path / "run")
    by_seq = {int(row["seq"]): row for row in recording.ticks}
    for seen in recording.observations:
        measured = by_seq[seen.status_seq]["measured"]
        degrees = np.rad2deg(measured[:5]) * [1, -1, 1, 1, 1] + [0, 90, 90, 0, 0]
        assert np.allclose(seen.state, [*degrees, 100 * measured[5]], atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cameras": {"cam0": "test"}}, "camera slot 'cam1' is not filled"),
        (
            {"cameras": {"cam0": "test", "cam1": "test", "top": "test"}},
            "no camera slot 'top'; expected: one source",
        ),
        ({"cameras": {"cam0": "test", "cam1": "nowhere.mp4"}}, "camera cam1: there is no camera or file"),
        ({"frame": "degrees"}, "unknown joint frame"),
        ({"norm_tag": "yam"}, "so100_so101_molmoact2"),
        ({"execute": 31}, "steps used of each chunk; expected: 1 to 30; got: 31"),
        (
            {"bridge": BridgeConfig("so100", "sim")},
            "the policy is for another arm; expected: one of ['so101']",
        ),
        ({"bridge": BridgeConfig("so101", "/dev/ttyNONE", "missing.json")}, "missing.json"),
        ({"bundle": Path("nowhere.bundle")}, "manifest.json is missing; expected: a bundle"),
    ],
)
def test_what_is_wrong_is_said_before_anything_moves(bundle: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises((ArmsideError, BridgeError)) as caught:
        run(sim_config(bundle, **changes))
    assert said in str(caught.value)
    assert children("firmware_bridge") == []


def test_an_existing_recording_is_refused_before_anything_moves(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    watcher = Watcher()
    with pytest.raises(RecordingError, match="is a recording already"):
        run(sim_config(bundle, record=tmp_path / "run"), ui=watcher)
    assert not watcher.events  # not even a bridge was started
    assert children("firmware_bridge") == []


def test_a_bundle_that_names_no_arm_runs_on_any(bundle: Path, tmp_path: Path) -> None:
    """The control to the refusal above."""
    anyones = small_bundle(tmp_path / "any.bundle", bundle.parent, arm=())
    config = sim_config(anyones, bridge=BridgeConfig("so100", "sim", park_speed=3.0), duration_s=0.5)
    assert run(config).ok


def test_words_while_it_runs(bundle: Path, tmp_path: Path) -> None:
    def act(control: Control, watcher: Watcher) -> None:
        until(moving(watcher))
        control.say("pause")
        until(lambda: watcher.states[-1].mode == "paused")
        standing = watcher.states[-1].chunks
        control.say("task", "push the button")
        until(lambda: watcher.said("task"))
        assert watcher.states[-1].chunks == standing
        control.say("resume")
        until(moving(watcher, standing + 2))
        control.say("task", "a task that is too long " * 100)
        until(lambda: watcher.said("task", "not taken: the task is too long"))
        until(moving(watcher, watcher.states[-1].chunks + 2))

    config = sim_config(bundle, record=tmp_path / "run", duration_s=None)
    result, watcher = run_and(config, act)
    assert result.reason is ExitReason.QUIT
    assert watcher.states[-1].task == "push the button"
    tasks = [seen.task for seen in Recording.open(tmp_path / "run").observations]
    assert tasks[0] == "pick up the red cube" and tasks[-1] == "push the button"


def test_after_an_emergency_stop_no_goal_is_sent_until_rearm(bundle: Path, tmp_path: Path) -> None:
    with servos(tmp_path) as arm:
        counts: list[int] = []

        def act(control: Control, watcher: Watcher) -> None:
            until(moving(watcher))
            control.say("estop")
            until(lambda: watcher.states[-1].mode == "estop")
            counts.append(arm.goals())
            seen = len(watcher.states)
            until(lambda: len(watcher.states) > seen + 5)
            counts.append(arm.goals())
            control.say("rearm")
            until(moving(watcher, watcher.states[-1].chunks + 2))
            counts.append(arm.goals())

        result, _ = run_and(sim_config(bundle, bridge=arm.bridge(), duration_s=None), act)
        assert counts[0] == counts[1] < counts[2]
        assert result.reason is ExitReason.QUIT and result.farewell == "parked; torque off"
        assert arm.torque() == [0] * 6


def test_without_live_a_real_port_gets_no_goal(bundle: Path, tmp_path: Path) -> None:
    with servos(tmp_path) as arm:
        config = sim_config(bundle, bridge=arm.bridge(live=False), record=tmp_path / "run")
        result = run(config, ui=(watcher := Watcher()))
        assert watcher.said("shadow", "is not live: goals are computed and shown, none is sent")
        assert result.ok and result.chunks >= 2
        assert arm.goals() == 0 and arm.torque() == [0] * 6
    ticks = Recording.open(tmp_path / "run").ticks
    assert np.abs(ticks["commanded"] - ticks["measured"]).max() > 0.2  # what would have been sent is published


def test_hold_as_exit_policy_leaves_the_torque_on(bundle: Path, tmp_path: Path) -> None:
    with servos(tmp_path) as arm:
        result = run(sim_config(bundle, bridge=arm.bridge(exit_policy="hold")))
        assert "torque on: the arm holds its last goal" in result.farewell
        assert arm.torque() == [1] * 6


def test_a_servo_that_falls_silent_ends_the_run_and_says_the_torque(bundle: Path, tmp_path: Path) -> None:
    with servos(tmp_path) as arm:

        def act(control: Control, watcher: Watcher) -> None:
            until(moving(watcher))
            arm.order("fault", servo=3, silent=True)
            until(lambda: watcher.said("end"))

        config = sim_config(bundle, bridge=arm.bridge(), record=tmp_path / "run", duration_s=None)
        result, watcher = run_and(config, act)
    assert result.reason is ExitReason.FAULT and not result.ok
    assert "elbow_flex has not answered" in result.text and "torque: on" in result.text
    assert watcher.said("servo", "elbow_flex did not answer: holding")
    end = Recording.open(tmp_path / "run").end
    assert end is not None and end.reason == "fault" and "elbow_flex" in end.text


def test_a_bridge_that_is_killed_with_its_supervisor_is_reported(bundle: Path, tmp_path: Path) -> None:
    def act(control: Control, watcher: Watcher) -> None:
        until(moving(watcher))
        for process in children("firmware_bridge.supervisor"):  # the supervisor, then the bridge that it forked
            process.kill()
        until(lambda: watcher.said("end"))

    result, _ = run_and(sim_config(bundle, record=tmp_path / "run", duration_s=None), act)
    assert result.reason is ExitReason.BRIDGE and not result.ok
    assert "hold the arm by hand before you switch its power off" in result.farewell
    recording = Recording.open(tmp_path / "run")
    assert recording.end is not None and recording.end.reason == "bridge"
    assert len(recording.chunks) >= 2 and len(recording.ticks) > 20


def test_a_bridge_that_is_killed_is_taken_over_from_and_the_run_ends_with_the_arm_held(
    bundle: Path, tmp_path: Path
) -> None:
    def act(control: Control, watcher: Watcher) -> None:
        until(moving(watcher))
        [_, bridge] = children("firmware_bridge.supervisor")  # the second is the first one's fork
        bridge.kill()
        until(lambda: watcher.said("end"))

    result, _ = run_and(sim_config(bundle, record=tmp_path / "run", duration_s=None), act)
    assert result.reason is ExitReason.FAULT and not result.ok
    assert "was killed by SIGKILL" in result.text and "torque on" in result.farewell


def test_a_terminal_that_was_closed_does_not_stop_the_arm(bundle: Path, tmp_path: Path) -> None:
    class Closed(Watcher):
        def event(self, event: LoopEvent) -> None:
            super().event(event)
            raise BrokenPipeError("the terminal is gone")

    result = run(sim_config(bundle, record=tmp_path / "run"), ui=(watcher := Closed()))
    assert result.reason is ExitReason.DURATION and result.farewell == "parked; torque off"
    assert watcher.said("end") and Recording.open(tmp_path / "run").end is not None


def test_a_policy_too_slow_for_the_bridge_ends_with_what_to_do(bundle: Path, tmp_path: Path) -> None:
    timing = Timing(max_observation_age_s=0.01)
    bridge = BridgeConfig("so101", "sim", park_speed=3.0, timing=timing)
    config = sim_config(bundle, bridge=bridge, record=tmp_path / "run", duration_s=None)
    result = run(config, ui=(watcher := Watcher()))
    assert result.reason is ExitReason.REFUSED and result.chunks == 0 and result.refused == 5
    assert "a chunk from a stale observation" in result.text and "raise timing.max_observation_age_s" in result.text
    assert watcher.said("chunk refused")
    recording = Recording.open(tmp_path / "run")
    assert [chunk.outcome == "sent" for chunk in recording.chunks] == [False] * 5
    assert np.ptp(recording.ticks["commanded"], axis=0).max() < 0.01  # it never moved


def test_a_camera_that_vanishes_makes_the_arm_hold_and_then_ends_the_run(bundle: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "pictures")

    def act(control: Control, watcher: Watcher) -> None:
        until(moving(watcher))
        shutil.rmtree(tmp_path / "pictures")
        until(lambda: watcher.said("end"))

    config = sim_config(
        bundle,
        cameras={"cam0": "test:64x48", "cam1": str(tmp_path / "pictures")},
        patience=CameraPatience(stale_s=0.2, attempts=4, retry_s=0.2),
        duration_s=None,
    )
    result, watcher = run_and(config, act)
    assert result.reason is ExitReason.CAMERA and "camera cam1" in result.text and "is lost" in result.text
    assert watcher.said("pause", "camera cam1: its newest frame is")
    assert watcher.said("camera", "opening it again, at most 4 times")
    assert result.farewell == "parked; torque off"


def test_a_camera_that_comes_back_lets_the_run_go_on(bundle: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "pictures")

    def act(control: Control, watcher: Watcher) -> None:
        until(moving(watcher))
        (tmp_path / "pictures").rename(tmp_path / "away")
        until(lambda: watcher.said("pause"))
        (tmp_path / "away").rename(tmp_path / "pictures")
        until(lambda: watcher.said("resume", "every camera is fresh again"))
        until(moving(watcher, watcher.states[-1].chunks + 2))

    config = sim_config(
        bundle,
        cameras={"cam0": str(tmp_path / "pictures"), "cam1": "test:64x48"},
        patience=CameraPatience(stale_s=0.2, attempts=1000, retry_s=0.05),
        duration_s=None,
    )
    result, _ = run_and(config, act)
    assert result.reason is ExitReason.QUIT
