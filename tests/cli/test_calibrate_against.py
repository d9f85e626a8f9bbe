"""`armside calibrate --against BUNDLE` as a program: virtual arms with mistakes and without, a terminal, a bridge."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from calib.direction_test import steps
from firmware_bridge import robots
from firmware_bridge.kinematics.bodies import bodies_of
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.calib.test_language import IN_M100
from tests.cli.bridges import Home, home
from tests.cli.test_terminal import Terminal
from tests.edge.small_bundle import rewrite, small_bundle
from tests.edge.test_start_pose import standing
from train.init_checkpoint import InitOptions, init_checkpoint

SO101 = robots.find("so101")
SHIPPED = shipped_calibration(SO101)
MOLMO = 'joint_frame = "so101-molmoact2"\n'
CAMERAS = ("--camera", "cam0=test", "--camera", "cam1=test")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scratch = tmp_path_factory.mktemp("against")
    os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")  # remembered hashes stay out of the user's home
    return small_bundle(scratch / "so101.bundle", scratch)


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        yield made


def known(place: Home, bench: Bench, more: str = MOLMO, **gripper: int) -> None:
    """The profile `red` of the arm on the bench; `gripper`: what its file says differently of it."""
    rows = {name: dataclasses.asdict(row) for name, row in SHIPPED.joints}
    rows["gripper"] |= gripper
    (place.root / "red.json").write_text(json.dumps(rows))
    text = f'type = "so101"\nport = "{bench.path}"\ncalibration = "{place.root}/red.json"\npark_speed = 3\n'
    place.profile("red", text + more)


def parked(**changes: object) -> Plant:
    return Plant(**{"calibration": SHIPPED, "pose": standing(0.0), "gravity": 0.0, **changes})  # type: ignore[arg-type]


def against(place: Home, bundle: Path, *words: object) -> tuple[int, str]:
    done = place.call("calibrate", "--against", bundle, *words)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_shipped_arm_speaks_the_language(place: Home, small: Path, tmp_path: Path) -> None:
    picture, facts = tmp_path / "fit.png", tmp_path / "fit.json"
    code, text = against(
        place, small, "--robot", "so101", "--port", "sim", "--no-directions", "--picture", picture, "--json", facts
    )
    assert code == 0, text
    assert "q01..q99" in text and "├" in text and "this pose lies where the policy's data were" in text
    assert "one pose proves little" in text and "--no-directions" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    data = json.loads(facts.read_text())
    assert data["format"] == "armside-language" and data["ok"] is True and data["directions"] is None
    assert data["norm_tag"] == "so100_so101_molmoact2" and data["pose"]["frame"] == "so101-molmoact2"
    assert [row["verdict"] for row in data["pose"]["joints"]] == ["inside"] * 6


def test_json_on_stdout_is_json_alone(place: Home, small: Path) -> None:
    words = ("--robot", "so101", "--port", "sim", "--no-directions", "--json", "-")
    done = place.call("calibrate", "--against", small, *words)
    assert done.returncode == 0 and json.loads(done.stdout)["ok"] is True, done.stdout
    assert "q01..q99" in done.stderr


def test_a_wrong_frame_is_found_and_none_is_chosen(place: Home, small: Path) -> None:
    sim = ("--robot", "so101", "--port", "sim", "--no-directions")
    code, text = against(place, small, *sim, "--joint-frame", "lerobot-degrees")
    assert code == 1 and "every joint fits in so101-molmoact2" in text and "Nothing is chosen for you" in text
    assert "does not speak the policy's language as it is" in text


def test_a_policy_of_m100(place: Home, small: Path, tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "m100.bundle", small.parent)
    spec = json.loads((bundle / "spec.json").read_text())
    [tag] = spec["tags"].values()
    tag["state"] |= {"first": list(IN_M100["q01"]), "second": list(IN_M100["q99"])}
    rewrite(bundle, "spec.json", json.dumps(spec).encode())
    sim = ("--robot", "so101", "--port", "sim", "--no-directions")
    code, text = against(place, bundle, *sim)
    assert code == 1 and "lerobot-m100" in text
    code, text = against(place, bundle, *sim, "--joint-frame", "lerobot-m100")
    assert code == 0 and "does not tell them apart" in text, text


def test_two_yam(place: Home, tmp_path: Path) -> None:
    init_checkpoint(InitOptions(tmp_path / "checkpoint", "tiny", "yam", 0, False))
    bundle = small_bundle(tmp_path / "yam.bundle", tmp_path, arm=("bi-yam",))
    code, text = against(place, bundle, "--robot", "bi-yam", "--port", "sim", "--no-directions")
    assert code == 0 and "right_joint_6" in text, text
    code, text = against(place, bundle, "--robot", "so101", "--port", "sim", "--no-directions")
    assert code == 1 and "for another arm" in text


def test_a_gripper_that_was_calibrated_the_wrong_way(place: Home, small: Path) -> None:
    with Bench(SO101, parked()) as bench:
        known(place, bench)
        assert against(place, small, "--robot", "red", "--no-directions")[0] == 0
        known(place, bench, drive_mode=1)
        code, text = against(place, small, "--robot", "red", "--no-directions")
        assert code == 1 and "the wrong way round" in text  # refused at connect already, by the file alone
        known(place, bench, MOLMO + "mechanics = false\n", drive_mode=1)
        code, text = against(place, small, "--robot", "red", "--no-directions")
    assert code == 1 and "closed and open were exchanged" in text, text


def test_what_is_missing_is_asked_for(place: Home, small: Path, tmp_path: Path) -> None:
    with Bench(SO101, parked()) as bench:
        known(place, bench, more="")
        code, text = against(place, small, "--robot", "red", "--no-directions")
        assert code == 2 and "joint frame by name" in text
        code, text = against(place, small, "--robot", "so101", "--port", bench.path, "--no-directions")
        assert code == 2 and "has no calibration yet" in text
        known(place, bench)
        code, text = against(place, small, "--robot", "red")
        assert code == 2 and "needs a terminal" in text
        code, text = against(place, small, "--robot", "red", "--no-directions", "--picture", tmp_path / "x.nothing")
        assert code == 2 and "--picture" in text
    code, text = against(place, tmp_path, "--robot", "red", "--no-directions")
    assert code == 1 and "manifest.json is missing" in text


REVERSED = ("shoulder_pan",)  # in the next test


def walk(terminal: Terminal, bench: Bench) -> None:
    """A person: the drawn pose, then each joint the way that is asked for, once more where it is asked once more."""
    [arm] = bodies_of(SO101, {})
    terminal.wait_for("as drawn")
    bench.hand(**dict.fromkeys(SO101.joints[:5], 0.0))
    bench.wait()
    terminal.type("\r")
    for step in steps(arm):
        for _ in range(1 + (step.joint in REVERSED)):
            terminal.wait_for(rf"{step.joint}: (move only|close it)")
            bench.hand(gripper=0.0)
            bench.wait()
            terminal.wait_for("skip")
            terminal.type("\r")
            terminal.wait_for("hold still|open it wide")
            way = 60.0 if step.gripper else step.sign * 20.0
            bench.hand(**{step.joint: bench.angle(step.joint) + way})


def test_a_person_at_a_terminal_finds_the_mirrored_joint(place: Home, small: Path, tmp_path: Path) -> None:
    with Bench(SO101, parked(reversed=REVERSED)) as bench:
        known(place, bench)
        assert against(place, small, "--robot", "red", "--no-directions")[0] == 0  # a pose cannot see it
        facts = tmp_path / "facts.json"
        terminal = Terminal(place, "calibrate", "--robot", "red", "--against", str(small), "--json", str(facts))
        walk(terminal, bench)
        text = terminal.wait_for("do not let it run live")
        assert terminal.end() == 1
        assert "shoulder_pan is mirrored" in text and text.count("is mirrored") == 1
        data = json.loads(facts.read_text())
        verdicts = {row["joint"]: row["verdict"] for row in data["directions"]["joints"]}
        assert verdicts == {joint: "reversed" if joint in REVERSED else "good" for joint in SO101.joints}
        assert data["pose"]["ok"] is True and data["ok"] is False


def test_an_arm_that_holds_is_let_go_only_when_the_person_agrees(place: Home, small: Path, tmp_path: Path) -> None:
    script = tmp_path / "answers.json"
    with Bench(SO101, parked()) as bench:
        known(place, bench)
        bench.servo("elbow_flex").write(40, b"\x01")
        before = bench.memory()
        script.write_text(json.dumps({"answers": {"release": "no"}}))
        code, text = against(place, small, "--robot", "red", "--script", script)
        assert code == 130 and "still holds" in text and bench.servo("elbow_flex").get("Torque_Enable") == 1
        skipped = {f"direction.{joint}": "skip" for joint in SO101.joints}
        script.write_text(json.dumps({"answers": {"release": "yes", "pose": "yes", **skipped}}))
        code, text = against(place, small, "--robot", "red", "--script", script)
        assert code == 1 and "was skipped: nothing is known of its sign" in text, text
        assert bench.servo("elbow_flex").get("Torque_Enable") == 0
        assert bench.memory() == before


def test_through_the_bridge_that_runs(place: Home, small: Path) -> None:
    with place.bridge("--robot", "blue"):
        code, text = against(place, small, "--robot", "blue", "--no-directions")
        assert code == 0, text
        assert place.call("jog", "--robot", "blue", "gripper=30%", "--exit", "hold").returncode == 0
        code, text = against(place, small, "--robot", "blue", "--yes")
        assert code == 2 and "holds the arm: no hand can move it" in text, text


def test_a_hand_under_a_bridge_that_only_reads(place: Home, small: Path, tmp_path: Path) -> None:
    script = tmp_path / "answers.json"
    skipped = {f"direction.{joint}": "skip" for joint in SO101.joints if joint != "shoulder_pan"}
    script.write_text(json.dumps({"answers": {"pose": "yes", "direction.shoulder_pan": "yes", **skipped}}))
    with Bench(SO101, parked(pose={})) as bench:
        known(place, bench)
        with place.bridge("--robot", "red"):
            with place.start("calibrate", "--robot", "red", "--against", small, "--script", script) as process:
                assert process.stdout is not None
                lines = []
                for line in process.stdout:
                    lines.append(line)
                    if line.startswith("shoulder_pan: move only"):
                        time.sleep(1.0)  # the baseline is read first
                        bench.hand(shoulder_pan=-20.0)
            assert process.returncode == 1, lines  # for the joints that were skipped
    assert "the policy's number 0.0 -> -20.0  good" in "".join(lines), lines


def test_run_refuses_the_same_arm_outside_and_takes_it_inside(place: Home, small: Path) -> None:
    task = ("--task", "pick up the cube", "--duration", "0.5", *CAMERAS)
    with Bench(SO101, parked(pose=standing(60.0))) as bench:
        known(place, bench)
        code, text = against(place, small, "--robot", "red", "--no-directions")
        assert code == 1 and "shoulder_pan reads 60" in text
        refused = place.call("run", small, "--robot", "red", "--live", *task)
        assert refused.returncode == 1 and "--start-pose moves it there slowly" in refused.stderr, refused.stderr
        assert bench.angle("shoulder_pan") == pytest.approx(60.0, abs=0.2)
        done = place.call("run", small, "--robot", "red", "--live", "--start-pose", *task)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "shoulder_pan 60.0 -> 43.8; at most 0.3 rad/s" in done.stdout and "parked; torque off" in done.stdout
