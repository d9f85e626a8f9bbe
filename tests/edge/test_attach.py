"""A run on a bridge that runs already: it uses it, leaves the arm as asked, and leaves the bridge running."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.attach import Attach, open_bridge
from edge.control import Control
from edge.run import run
from edge.state import ExitReason
from firmware_bridge.client import BridgeGone, BridgeHandle, CommandRefused, find_running, start_bridge
from tests.edge.arm import Servos, Watcher, moving, run_and, servos, sim_config, until


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Servos]:
    with servos(tmp_path) as made:
        yield made


@pytest.fixture
def bridge(arm: Servos, monkeypatch: pytest.MonkeyPatch) -> Iterator[BridgeHandle]:
    """A live bridge of somebody else's, found by its id."""
    short = tempfile.mkdtemp(prefix="as-")  # ipc paths have 108 bytes
    monkeypatch.setenv("XDG_RUNTIME_DIR", short)
    try:
        with start_bridge(arm.bridge(id="blue")) as handle:
            until(lambda: find_running("blue") is not None)
            yield handle
    finally:
        shutil.rmtree(short, ignore_errors=True)


def attach(**changes: str) -> Attach:
    return Attach(**{"where": "blue", "robot": "so101", "port": "its port", **changes})


def test_a_run_parks_and_lets_go(bundle: Path, arm: Servos, bridge: BridgeHandle) -> None:
    result = run(sim_config(bundle, bridge=attach()), ui=(watcher := Watcher()))
    assert result.reason is ExitReason.DURATION and result.chunks >= 2
    assert watcher.said("attached", "blue")
    assert "parked; torque off" in result.farewell and "its bridge goes on" in result.farewell
    assert bridge.alive and bridge.client.status().mode == "shadow" and arm.torque() == [0] * 6


def test_hold_as_the_runs_own_exit(bundle: Path, arm: Servos, bridge: BridgeHandle) -> None:
    result = run(sim_config(bundle, bridge=attach(exit_policy="hold")))
    assert "torque on: the arm holds here" in result.farewell and "parks it" in result.farewell
    assert arm.torque() == [1] * 6 and bridge.alive


def test_an_arm_that_holds_already_is_taken_over(bundle: Path, arm: Servos, bridge: BridgeHandle) -> None:
    bridge.client.arm()
    result = run(sim_config(bundle, bridge=attach()), ui=(watcher := Watcher()))
    assert watcher.said("armed", "holds already") and result.chunks >= 2
    assert "parked" in result.farewell and bridge.alive


def test_a_run_that_never_began_leaves_the_arm_as_it_was(bundle: Path, arm: Servos, bridge: BridgeHandle) -> None:
    bridge.client.arm()
    until(lambda: arm.torque() == [1] * 6)
    goals = arm.goals()
    with pytest.raises(Exception, match=r"nowhere\.mp4"):
        run(sim_config(bundle, bridge=attach(), cameras={"cam0": "test", "cam1": "nowhere.mp4"}))
    assert bridge.client.status().mode == "ready" and arm.torque() == [1] * 6
    assert arm.goals() == goals  # not even parked


def test_what_is_latched_or_moving_is_refused(bundle: Path, arm: Servos, bridge: BridgeHandle) -> None:
    bridge.client.estop()
    with pytest.raises(CommandRefused, match=r"is latched.*armside bridge rearm blue"):
        run(sim_config(bundle, bridge=attach()))
    assert bridge.client.status().mode == "estop"


def test_another_arm_than_expected_is_refused(bridge: BridgeHandle) -> None:
    with pytest.raises(CommandRefused, match="drives another arm; expected: so100; got: so101"):
        open_bridge(attach(robot="so100"))
    assert bridge.client.status().mode == "shadow"


def test_a_stop_from_elsewhere_is_latched_and_stays(bundle: Path, arm: Servos, bridge: BridgeHandle) -> None:
    def act(control: Control, watcher: Watcher) -> None:
        until(moving(watcher))
        bridge.client.estop()
        until(lambda: watcher.states[-1].mode == "estop")

    result, _ = run_and(sim_config(bundle, bridge=attach(), duration_s=None), act)
    assert "emergency stop" in result.farewell and "its bridge goes on" in result.farewell
    assert bridge.client.status().mode == "estop" and arm.torque() == [1] * 6


def test_a_bridge_that_does_not_run_is_named(bundle: Path, bridge: BridgeHandle) -> None:
    with pytest.raises(BridgeGone, match="no bridge for 'red' runs"):
        run(sim_config(bundle, bridge=attach(where="red")))
