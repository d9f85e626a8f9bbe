"""`armside run --scene`: a policy, a bridge and a simulated table in their own processes, on the wall clock."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("torch")  # the small bundle's checkpoint is made by train

from armside.cli import main
from episodes.recording import Recording
from policy_spec.bundle import open_bundle
from tests.edge.small_bundle import small_bundle
from tests.sim.drawing import need_drawing


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    need_drawing()
    scratch = tmp_path_factory.mktemp("bundle")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(scratch / "cache"))
    patch.setenv("XDG_RUNTIME_DIR", str(scratch))
    bundle = small_bundle(scratch / "small.bundle", scratch)
    slots = open_bundle(bundle).spec.tag().camera_slots
    cameras = [f"--camera={slot}=sim:{name}" for slot, name in zip(slots, ("front:64x48", "wrist"), strict=True)]
    yield ["run", str(bundle), "--robot", "so101", "--port", "sim", *cameras, "--rate", "10", "--threads", "1"]
    until = time.monotonic() + 10.0
    while list(scratch.glob("armside-*/sim~*")) and time.monotonic() < until:
        time.sleep(0.02)
    assert not list(scratch.glob("armside-*/sim~*"))  # no socket is left behind, not even by what was killed
    patch.undo()


def test_it_sees_and_moves_the_scene(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    ending = ["--duration", "1.5", "--record", str(run), "--exit", "hold"]
    assert main([*words, "--scene", "reach:0", *ending]) == 0
    assert "duration" in capsys.readouterr().out
    recording = Recording.open(run)
    assert recording.header.task == recording.observations[0].task and "green ball" in recording.header.task
    slots = list(recording.header.cameras)
    image = recording.image(recording.observations[0], slots[0])
    assert image.shape == (48, 64, 3) and image.std() > 10
    own = open_bundle(Path(words[1])).spec.image_size
    assert recording.image(recording.observations[0], slots[1]).shape == (*own, 3)  # as the policy wants them
    assert any(chunk.outcome == "sent" for chunk in recording.chunks)


def test_a_simulation_that_dies_ends_the_run_with_a_reason(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = tmp_path / "run" / "events.jsonl"

    def kill() -> None:
        until = time.monotonic() + 100.0
        while time.monotonic() < until:
            time.sleep(0.05)
            if events.exists() and b'"kind": "chunk"' in events.read_bytes():  # the policy drives
                break
        for process in psutil.Process(os.getpid()).children(recursive=True):
            if "sim.process" in process.cmdline():
                process.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    ending = ["--duration", "120", "--record", str(tmp_path / "run"), "--exit", "hold"]
    assert main([*words, "--scene", "reach:0", *ending]) == 1
    killer.join()
    said = capsys.readouterr().out
    assert "went away" in said or "camera" in said


def test_a_scene_needs_a_simulated_port(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    other = [word if word != "sim" else "/dev/ttyACM9" for word in words]
    real = ["--calibration", "none.json", "--joint-frame", "so101-molmoact2"]
    assert main([*other, "--scene", "reach:0", *real]) == 2
    assert "--scene" in capsys.readouterr().err
    assert main([*words, "--scene", "reach", "--duration", "1"]) != 0
    assert "TASK:SEED" in capsys.readouterr().err
    assert main([*words, "--duration", "1"]) == 2
    assert "--task" in capsys.readouterr().err
