"""`armside run`, `report` and `demo` as programs: a simulated arm moves, and wrong words are refused before it does."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from armside.demo import next_free, steps
from armside.run import half_ranges, parse_cameras
from episodes.recording import Recording
from policy_spec.errors import UsageError
from tests.cli.conftest import Armside, armside_program

CAMERAS = ("--camera", "cam0=test", "--camera", "cam1=test")
SIM = ("--port", "sim", "--task", "pick up the cube", *CAMERAS)


@pytest.fixture(scope="module")
def recorded(armside: Armside, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two seconds."""
    folder = tmp_path_factory.mktemp("run") / "run"
    done = armside("run", bundle, *SIM, "--robot", "so101", "--duration", 2, "--record", folder, "--seed", 3)
    assert done.returncode == 0, done.stderr
    assert "ended: duration" in done.stdout and "the arm: parked; torque off" in done.stdout
    return folder


def test_a_run_moves_the_arm_and_records_it(recorded: Path) -> None:
    run = Recording.open(recorded)
    assert run.header.seed == 3 and run.header.task == "pick up the cube" and run.end is not None
    assert any(chunk.outcome == "sent" for chunk in run.chunks)
    moved = run.ticks["measured"].max(axis=0) - run.ticks["measured"].min(axis=0)
    assert (moved > 0.01).all()


def test_the_report_is_one_page_without_a_network(armside: Armside, recorded: Path, tmp_path: Path) -> None:
    done = armside("report", recorded, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text()
    assert "p95" in page and "data:image/png;base64," in page
    assert "http://" not in page and "https://" not in page
    assert (tmp_path / "plots" / "joints.png").read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_parks_the_arm(bundle: Path, tmp_path: Path) -> None:
    command = [*armside_program(), "run", str(bundle), *SIM, "--record", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    rows = tmp_path / "run" / "chunks.rows"
    deadline = time.monotonic() + 60
    while not (rows.exists() and rows.stat().st_size > 10_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert "ended: interrupt" in out and "the arm: parked; torque off" in out
    assert Recording.open(tmp_path / "run").end is not None


def calibration_file(folder: Path) -> Path:
    """A LeRobot calibration of an SO-101."""
    from firmware_bridge.robots import find
    from firmware_bridge.sts.robots import servos_of

    robot = find("so101")
    rows = {
        name: {key: getattr(joint, key) for key in ("id", "drive_mode", "homing_offset", "range_min", "range_max")}
        for name, joint in zip(robot.joints, servos_of(robot).virtual, strict=True)
    }
    (folder / "arm.json").write_text(json.dumps(rows))
    return folder / "arm.json"


REAL = ("--port", "/dev/armside-no-such-port", "--task", "x", *CAMERAS)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (REAL, 2, ["needs its calibration", "--calibration FILE"]),
        ((*REAL, "--calibration", "ARM"), 2, ["joint frame by name", "so101-molmoact2"]),
        ((*REAL, "--calibration", "nowhere.json", "--joint-frame", "so101-molmoact2"), 1, ["nowhere.json"]),
        (
            (*REAL, "--calibration", "ARM", "--joint-frame", "so101-molmoact2"),
            1,
            ["/dev/armside-no-such-port"],
        ),
        ((*SIM, "--camera", "cam2=test"), 1, ["cam2", "cam0", "cam1"]),
        (SIM[:-2], 1, ["'cam1' is not filled"]),
        ((*SIM, "--camera", "cam1=0"), 2, ["cam1 is given twice"]),
        ((*SIM[:-1], "cam1"), 2, ["SLOT=SOURCE"]),
        ((*SIM[:-1], "cam1=nowhere.mp4"), 1, ["nowhere.mp4"]),
        ((*SIM, "--norm-tag", "libero"), 1, ["libero", "so100_so101_molmoact2"]),
        ((*SIM, "--execute", "31"), 2, ["1 to 30", "31"]),
        ((*SIM, "--rate", "0"), 2, ["--rate"]),
        ((*SIM, "--duration", "nan"), 2, ["--duration"]),
        ((*SIM, "--seed", "-1"), 2, ["--seed"]),
        ((*SIM, "--threads", "9999"), 2, ["--threads", "9999"]),
        ((*SIM, "--task", " "), 2, ["--task"]),
    ],
)
def test_wrong_words_are_refused_before_anything_moves(
    armside: Armside, bundle: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: list[str]
) -> None:
    arm = str(calibration_file(tmp_path))
    given = [arm if word == "ARM" else word for word in arguments]
    done = armside("run", bundle, *given, "--duration" if "--duration" not in given else "--seed", "1")
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "armed" not in done.stdout
    assert all(word in done.stderr for word in words), done.stderr


def test_a_bundle_for_another_arm(armside: Armside, tmp_path: Path) -> None:
    checkpoint, bundle = tmp_path / "yam", tmp_path / "yam.bundle"
    assert armside("init", checkpoint, "--robot", "yam").returncode == 0
    assert armside("export", checkpoint, bundle, "--precision", "fp32").returncode == 0
    done = armside("run", bundle, *SIM, "--duration", "1")  # the arm is refused first, not its cameras
    assert done.returncode == 1 and "for another arm" in done.stderr and "bi-yam" in done.stderr


def test_a_folder_that_is_no_recording(armside: Armside, tmp_path: Path) -> None:
    done = armside("report", tmp_path)
    assert done.returncode == 1 and "is not a recording" in done.stderr


def test_camera_words() -> None:
    assert parse_cameras(["a=0", "b=rtsp://host/x?y=1"]) == {"a": "0", "b": "rtsp://host/x?y=1"}
    for wrong in ("a", "=0", "a="):
        with pytest.raises(UsageError, match="SLOT=SOURCE"):
            parse_cameras([wrong])


def test_half_ranges_of_a_calibration(tmp_path: Path) -> None:
    shipped = half_ranges("so101", None)
    assert shipped == half_ranges("so101", str(calibration_file(tmp_path)))
    assert len(shipped) == 5  # the gripper counts otherwise
    # The first joint goes from 796 to 3298 ticks of 4095 a turn.
    assert shipped[0] == pytest.approx((3298 - 796) / 2 * 2 * 3.141592653589793 / 4095)


@pytest.mark.slow
def test_demo_does_all_of_it_also_over_an_earlier_one(
    armside: Armside, checkpoint: Path, bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(checkpoint, tmp_path / "policy")
    shutil.copytree(bundle, tmp_path / "policy-int8.bundle")
    (tmp_path / "run-1").mkdir()
    done = armside("demo", "--folder", tmp_path, "--duration", 1, "--policy", "random")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run-2" / "report.html").is_file() and not list((tmp_path / "run-1").iterdir())
    for step in steps(tmp_path, tmp_path / "run-2", 1, 0):
        assert f"$ armside {step[0]}" in done.stdout
    assert next_free(tmp_path, "run").name == "run-3"


def test_demo_stops_where_a_step_fails(armside: Armside, tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "letter.txt").write_text("mine")
    done = armside("demo", "--folder", tmp_path, "--policy", "random")
    assert done.returncode == 1 and "stopped at `armside init`" in done.stderr
    assert (tmp_path / "policy" / "letter.txt").read_text() == "mine"
