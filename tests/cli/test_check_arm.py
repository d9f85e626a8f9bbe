"""`armside check-arm` as a program: its own bridge, a real pseudo-terminal, and an arm with planted faults."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from firmware_bridge.robots import ROBOTS
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.cli.bridges import DEADLINE_S, Home, home, wait_for
from tests.cli.test_terminal import Terminal

SO101 = ROBOTS["so101"]
SHIPPED = shipped_calibration(SO101)
POSE = {"shoulder_lift": -40.0, "elbow_flex": 40.0, "wrist_flex": 40.0, "gripper": 30.0}
FAULTY = Plant(
    calibration=SHIPPED, pose=POSE, backlash={"shoulder_lift": 2.0}, sticks={"elbow_flex": 1.5},
    heats={"wrist_flex": 120.0}, sag_v=60.0, gravity=0.1,
)  # fmt: skip
QUICK = ("--quick", "--speed", "1.5")
MOVED = ("shoulder_pan", "shoulder_lift", "elbow_flex")  # the others are read all the while
SPOILED_S = 0.2  # between two answers of wrist_roll that are spoiled


@dataclass
class Room:
    """A home, and how to check the arm on a bench."""

    place: Home
    folder: Path

    def __post_init__(self) -> None:
        self.place.env["XDG_STATE_HOME"] = str(self.folder / "state")
        self.calibration = self.folder / "arm.json"
        rows = {name: dataclasses.asdict(joint) for name, joint in SHIPPED.joints}
        self.calibration.write_text(json.dumps(rows))

    def words(self, bench: Bench, *more: str) -> tuple[str, ...]:
        self.place.profile("red", f'type = "so101"\nport = "{bench.path}"\ncalibration = "{self.calibration}"\n')
        return ("check-arm", "--robot", "red", "--live", *QUICK, *more)

    @property
    def kept(self) -> list[Path]:
        return sorted((self.folder / "state" / "armside" / "check-arm" / "red").glob("*.json"))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with home() as place:
        yield Room(place, tmp_path)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.CompletedProcess[str], Any, Room]]:
    """One check of an arm with a fault in each of four joints; shoulder_pan has none."""
    with home() as place, Bench(SO101, FAULTY) as bench:
        room = Room(place, tmp_path_factory.mktemp("check"))
        over, moving = threading.Event(), bench.servo("shoulder_pan")

        def spoil() -> None:
            while not over.wait(SPOILED_S):
                if moving.get("Torque_Enable"):  # not while it connects: there an answer that fails is fatal
                    bench.bus.faults[5].corrupt = 1

        thread = threading.Thread(target=spoil)
        thread.start()
        try:
            moved = [word for name in MOVED for word in ("--joint", name)]
            done = place.call(*room.words(bench, "--json", "-", *moved))
        finally:
            over.set()
            thread.join()
        yield done, json.loads(done.stdout), room


def rows(data: Any) -> dict[str, Any]:
    return {row["joint"]: row for row in data["joints"]}


def findings(data: Any) -> set[tuple[str, str]]:
    return {(row["joint"], row["quantity"]) for row in data["findings"]}


def test_each_planted_fault_is_found_on_its_joint_with_its_number(faulty: Any) -> None:
    done, data, _ = faulty
    found = rows(data)
    assert done.returncode == 1 and data["verdict"] == "bad", done.stderr
    assert found["shoulder_lift"]["backlash"] == pytest.approx(2.0, abs=0.2)
    assert found["elbow_flex"]["dead_band"] == pytest.approx(1.5, abs=0.3)
    assert found["wrist_flex"]["temperature"] - found["wrist_flex"]["temperature_began"] >= 3
    assert found["wrist_roll"]["missed"] >= 20
    assert found["wrist_roll"]["unread"] < found["wrist_roll"]["missed"]  # a retry saved most of them
    assert {
        ("shoulder_lift", "backlash"), ("elbow_flex", "dead_band"), ("wrist_flex", "heating"),
        ("wrist_roll", "missed_per_1000"),
    } <= findings(data)  # fmt: skip


def test_and_nothing_on_the_joints_that_have_none(faulty: Any) -> None:
    """Negative control: the same run, the other joints. A busy machine lets all servos answer late at times."""
    _, data, _ = faulty
    found = rows(data)
    mechanical = ("followed", "backlash", "dead_band", "error", "heating")
    assert {pair for pair in findings(data) if pair[1] in mechanical} == {
        ("shoulder_lift", "backlash"), ("elbow_flex", "dead_band"), ("wrist_flex", "heating"),
    }  # fmt: skip
    assert abs(found["shoulder_pan"]["backlash"]) < 0.2 and found["shoulder_pan"]["dead_band"] < 0.4
    assert found["gripper"]["heating"] == 0 and found["gripper"]["firmware"] == "3.6"
    for name in set(found) - {"wrist_roll"}:
        assert found[name]["missed"] < 0.5 * found["wrist_roll"]["missed"]


def test_it_sags_when_all_pull(faulty: Any) -> None:
    _, data, _ = faulty
    lows = [row["voltage_low_together"] for row in data["joints"]]
    assert min(lows) < rows(data)["shoulder_pan"]["voltage"]


def test_words_go_to_stderr_beside_json_and_the_check_is_kept(faulty: Any) -> None:
    done, data, room = faulty
    assert "red is bad: mend what is named" in done.stderr and "[worn] shoulder_lift: backlash" in done.stderr
    [kept] = room.kept
    assert json.loads(kept.read_text()) == data
    assert data["facts"]["id"] == "red" and not data["facts"]["simulated"] and not data["facts"]["ended"]


def test_without_live_nothing_moves(room: Room) -> None:
    with Bench(SO101, Plant(calibration=SHIPPED)) as bench:
        words = [word for word in room.words(bench) if word != "--live"]
        done = room.place.call(*words)
        assert done.returncode == 2 and "--live" in done.stderr
        assert bench.bus.frames["goal"] == 0 and not room.kept


def test_a_blocked_joint_is_named_and_compared_with_the_check_before(room: Room) -> None:
    before = {"when": "2026-01-01T10:00:00", "fingerprint": "of another calibration"}
    numbers = [{"joint": "elbow_flex", "followed": 1.0, "temperature": 31}]
    folder = room.folder / "state" / "armside" / "check-arm" / "red"
    folder.mkdir(parents=True)
    last = {"format": "armside-check-arm", "version": 1, "facts": before, "joints": numbers}
    (folder / "2026-01-01T10-00-00.json").write_text(json.dumps(last))
    with Bench(SO101, Plant(calibration=SHIPPED, pose=POSE)) as bench:
        bench.block("elbow_flex", bench.angle("elbow_flex"))
        done = room.place.call(*room.words(bench, "--joint", "elbow_flex"))
    assert "elbow_flex: follows 0.5" in done.stdout and "free it; check its plug" in done.stdout, done.stdout
    assert re.search(r"since the check of 2026-01-01 10:00:00:\n  elbow_flex: follows 1.00 -> 0\.5\d", done.stdout)
    assert "wrist_roll was left out" not in done.stdout  # nobody asked for it
    assert len(room.kept) == 2


def test_a_servo_lost_in_the_middle_ends_it_and_the_rest_is_kept(room: Room) -> None:
    with Bench(SO101, Plant(calibration=SHIPPED, pose=POSE)) as bench:
        picture = room.folder / "check.png"
        words = room.words(bench, "--joint", "shoulder_pan", "--joint", "elbow_flex", "--picture", str(picture))
        process = room.place.start(*words)
        assert process.stdout is not None
        seen = ""
        while "elbow_flex" not in seen:
            line = process.stdout.readline()
            assert line, seen
            seen = line if line.strip() == "elbow_flex" else ""
        bench.lose("wrist_roll")
        out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1 and "before its end: wrist_roll has not answered" in out, out
    with Image.open(picture) as drawn:  # one row of panels: both joints had begun
        assert drawn.size == (1140, 320) and len(drawn.getcolors(maxcolors=100_000)) > 4
    data = json.loads(room.kept[0].read_text())
    assert rows(data)["shoulder_pan"]["backlash"] is not None and rows(data)["elbow_flex"]["dead_band"] is None


def test_ctrl_c_in_the_middle_holds_and_keeps_what_is_known(room: Room) -> None:
    with Bench(SO101, Plant(calibration=SHIPPED, pose=POSE)) as bench:
        process = room.place.start(*room.words(bench))
        wait_for(lambda: bench.bus.frames["goal"] > 150, "the first joint's moves")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 130 and "before its end: Ctrl-C" in out, out
        assert "the arm: torque on: the arm holds" in out
        assert [bench.servo(name).get("Torque_Enable") for name in SO101.joints] == [1] * 6
        assert json.loads(room.kept[0].read_text())["facts"]["ended"].startswith("Ctrl-C")


def test_the_live_screen_shows_whose_turn_it_is_and_q_stops(room: Room) -> None:
    with Bench(SO101, Plant(calibration=SHIPPED, pose=POSE)) as bench:
        terminal = Terminal(room.place, *room.words(bench, "--no-save"))
        terminal.wait_for(r"shoulder_pan: stay clear of the arm; \d+ s of about \d+ s")
        terminal.type("q")
        terminal.wait_for("cancelled: holding here")
        assert terminal.end() == 130 and not room.kept


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--joint", "knee"), 1, "no joint 'knee'"),
        (("--amplitude", "90"), 2, "--amplitude"),
        (("--speed", "0"), 2, "--speed"),
        (("--json", "/nowhere/x.json"), 2, "a folder that exists"),
    ],
)
def test_wrong_words_are_refused(room: Room, words: tuple[str, ...], code: int, said: str) -> None:
    done = room.place.call("check-arm", "--robot", "so101", "--port", "sim", *words)
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_yam_through_a_bridge_that_runs_and_goes_on(room: Room) -> None:
    room.place.profile("yam1", 'type = "yam"\nport = "sim"\npark_speed = 3\n')
    with room.place.bridge("--robot", "yam1") as bridge:
        done = room.place.call("check-arm", "--robot", "yam1", *QUICK, "--joint", "joint_6", "--json", "-")
        assert "its bridge goes on" in done.stderr and bridge.poll() is None, done.stderr
    found = json.loads(done.stdout)
    # A busy machine makes all virtual motors answer late at once: said of the whole arm, and never of a joint.
    assert not {joint for joint, _ in findings(found) if joint}, done.stderr
    assert done.returncode == (1 if found["verdict"] == "bad" else 0), done.stderr
    row = rows(found)["joint_6"]
    assert abs(row["backlash"]) < 0.3 and row["voltage"] is None and row["firmware"] == "5013"
    assert not room.kept  # virtual servos have no history
