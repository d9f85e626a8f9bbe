"""`armside bridge` and its words, as programs against real bridge processes on virtual servos."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from armside import at_once
from armside.bridge import WORDS
from tests.cli.bridges import DEADLINE_S, Home, home, wait_for
from tests.edge.arm import servos


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        yield made


def status(place: Home) -> dict:
    done = place.call("bridge", "status", "blue", "--json")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)
    return row


def test_a_bridge_runs_is_shown_and_ends(place: Home) -> None:
    with place.bridge("--robot", "blue") as process:
        shown = place.call("bridge", "status")
        assert shown.returncode == 0, shown.stderr
        for word in ("blue", "so101", "shadow", "torque off", "elbow_flex", "°C", "ok"):
            assert word in shown.stdout, shown.stdout
        row = status(place)
        assert row["info"]["id"] == "blue" and row["status"]["mode"] == "shadow" and len(row["status"]["measured"]) == 6
        ended = place.call("bridge", "end", "blue")
        assert ended.returncode == 0 and "ended; torque off" in ended.stdout, ended.stderr
        assert process.wait(timeout=DEADLINE_S) == 0
    none = place.call("bridge", "status", "--once")
    assert none.returncode == 1 and "no bridge runs here" in none.stderr
    named = place.call("bridge", "status", "blue")
    assert named.returncode == 1 and "no bridge for 'blue' runs" in named.stderr


def test_stop_latches_and_rearm_is_the_way_out(place: Home) -> None:
    with place.bridge("--robot", "blue"):
        moved = place.call("jog", "--robot", "blue", "shoulder_pan=+5deg")
        assert moved.returncode == 0, moved.stderr
        stopped = place.call("bridge", "stop")
        assert stopped.returncode == 0, stopped.stderr
        assert "blue: emergency stop latched" in stopped.stdout and "torque on" in stopped.stdout
        assert "armside bridge rearm blue" in stopped.stdout
        assert status(place)["status"]["mode"] == "estop"
        refused = place.call("home", "--robot", "blue")
        assert refused.returncode == 1 and "is latched" in refused.stderr and "rearm blue" in refused.stderr
        assert status(place)["status"]["mode"] == "estop"  # nothing but rearm leads out
        rearmed = place.call("bridge", "rearm", "blue")
        assert rearmed.returncode == 0 and "mode ready, torque on" in rearmed.stdout
        again = place.call("bridge", "rearm", "blue")
        assert again.returncode == 1 and "what to do" in again.stderr
        place.call("bridge", "stop")
        ended = place.call("bridge", "end", "blue")  # a latched arm is not parked: no success, as it was to be
        assert ended.returncode == 1 and "ended; torque on; emergency stop latched" in ended.stdout


def test_stop_needs_no_socket(place: Home) -> None:
    """The signal alone latches: this is what makes it fast, and what works when a socket does not."""
    with place.bridge("--robot", "blue"):
        place.call("jog", "--robot", "blue", "shoulder_pan=+5deg")
        [record] = place.root.glob("armside-*/blue.json")
        os.kill(json.loads(record.read_text())["supervisor"], signal.SIGUSR1)
        wait_for(lambda: status(place)["status"]["mode"] == "estop", "the stop by a signal")
        assert status(place)["status"]["mode"] == "estop"


def test_the_stop_before_all_else(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds what the registry records, signals what lives, and imports next to nothing."""
    from firmware_bridge import registry

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place.root))
    assert at_once.folder() == str(registry.folder())
    assert at_once.stop_now([]) == 0
    with place.bridge("--robot", "blue"):
        assert place.call("jog", "--robot", "blue", "shoulder_pan=+5deg").returncode == 0
        assert at_once.stop_now(["--help"]) == at_once.stop_now(["bleu"]) == at_once.stop_now(["--keys", "x"]) == 0
        assert status(place)["status"]["mode"] in ("ready", "parking", "shadow")
        assert at_once.stop_now(["blue", "--cut"]) == 1
        wait_for(lambda: status(place)["status"]["mode"] == "estop", "the stop by a signal")
        record = registry.folder() / "blue.json"
        facts = record.read_text()
    record.write_text(facts)  # left behind: its lock is free, so its pid is nobody's that we know
    assert at_once.stop_now([]) == 0
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    assert at_once.folder() == f"/tmp/armside-{os.getuid()}"


def test_the_stop_reaches_a_bridge_whose_supervisor_died(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place.root))
    with place.bridge("--robot", "blue") as bridge:
        assert place.call("jog", "--robot", "blue", "shoulder_pan=+5deg").returncode == 0
        bridge.kill()
        bridge.wait(DEADLINE_S)
        assert at_once.stop_now(["blue"]) == 1
        wait_for(lambda: status(place)["status"]["mode"] == "estop", "the stop by a signal to the bridge")
        assert place.call("bridge", "end", "blue", "--exit", "limp").returncode == 0


def test_the_stop_imports_next_to_nothing() -> None:
    code = "import sys; before = set(sys.modules); import armside.at_once; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    heavy = {"argparse", "dataclasses", "numpy", "zmq", "msgpack", "firmware_bridge", "policy_spec", "rich"}
    assert "armside.at_once" in done.stdout.split() and not heavy & set(done.stdout.split()), done.stdout


def test_stop_cuts_the_torque_where_asked(place: Home, tmp_path: Path) -> None:
    with servos(tmp_path) as arm:
        real = ("--robot", "so101", "--port", arm.port, "--calibration", arm.calibration, "--live")
        with place.bridge(*real):
            moved = place.call("jog", "--robot", "so101", "--live", "shoulder_pan=+5deg")
            assert moved.returncode == 0, moved.stderr
            place.call("bridge", "stop", "so101")
            assert arm.torque() == [1] * 6  # held: the negative control to the cut
            cut = place.call("bridge", "stop", "so101", "--cut")
            assert cut.returncode == 0, cut.stderr
            assert arm.torque() == [0] * 6


def test_stop_where_nothing_runs_says_so(place: Home) -> None:
    done = place.call("bridge", "stop")
    assert done.returncode == 1 and "nothing was stopped" in done.stderr and "switch its power off" in done.stderr
    with place.bridge("--robot", "blue"):
        wrong = place.call("bridge", "stop", "bleu")
        assert wrong.returncode == 1 and "no bridge for 'bleu'" in wrong.stderr
        assert status(place)["status"]["mode"] == "shadow"


def test_stop_of_a_bridge_that_does_not_answer_says_what_that_means(place: Home) -> None:
    with place.bridge("--robot", "blue"):
        [record] = place.root.glob("armside-*/blue.json")
        facts = json.loads(record.read_text())
        record.write_text(json.dumps({**facts, "endpoint": f"ipc://{place.root}/nobody", "supervisor": 2**22 + 7}))
        done = place.call("bridge", "stop")
        assert done.returncode == 1 and "did not answer" in done.stderr
        assert "hold their last goal by themselves" in done.stderr and "NOT confirmed" in done.stderr
        record.write_text(json.dumps(facts))


def test_a_second_bridge_of_the_same_id_is_refused_by_name(place: Home) -> None:
    with place.bridge("--robot", "blue"):
        second = place.call("bridge", "--robot", "blue")
        assert second.returncode == 1 and "'blue' runs already" in second.stdout + second.stderr
        assert status(place)["status"]["mode"] == "shadow"


def test_ctrl_c_leaves_by_the_exit_policy(place: Home, tmp_path: Path) -> None:
    with servos(tmp_path) as arm:
        real = ("--robot", "so101", "--port", arm.port, "--calibration", arm.calibration, "--live", "--exit", "hold")
        with place.bridge(*real) as process:
            assert place.call("jog", "--robot", "so101", "--live", "gripper=30%").returncode == 0
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 0 and "torque on: the arm holds" in out
        assert arm.torque() == [1] * 6


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("bridge",), 2, ["which robot?", "blue", "--port sim"]),
        (("bridge", "--robot", "so101"), 2, ["so101 has no port", "--port sim"]),
        (("bridge", "--robot", "bleu"), 2, ["no robot 'bleu'", "armside robot set bleu"]),
        (("bridge", "--robot", "so101", "--port", "/dev/armside-none"), 1, ["calibration"]),
        (("bridge", "--robot", "blue", "--endpoint", "tcp://0.0.0.0:5600"), 1, ["CURVE keys", "armside bridge keys"]),
        (("bridge", "--robot", "blue", "--floor", "low"), 2, ["floor_m", "a number"]),
        (("bridge", "--robot", "blue", "--limp", "--exit", "hold"), 2, ["not allowed with"]),
        (("bridge", "rearm"), 2, ["which robot?", "running: none"]),
        (("bridge", "end", "blue"), 1, ["no bridge for 'blue' runs"]),
        (("bridge", "fly"), 2, ["invalid choice: 'fly'"]),
    ],
)
def test_wrong_words_are_refused(place: Home, words: tuple[str, ...], code: int, said: list[str]) -> None:
    done = place.call(*words)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and all(part in done.stderr for part in said), done.stderr


@pytest.mark.parametrize("word", WORDS)
def test_each_word_explains_itself(place: Home, word: str) -> None:
    done = place.call("bridge", word, "--help")
    assert done.returncode == 0 and f"usage: armside bridge {word}" in done.stdout, done.stderr


def test_keys_are_made_once_and_open_a_bridge_to_its_clients(place: Home) -> None:
    keys = place.root / "keys"
    made = place.call("bridge", "keys", "--out", keys, "--client", "laptop")
    assert made.returncode == 0 and "laptop.key_secret" in made.stdout, made.stderr
    assert {file.stat().st_mode & 0o077 for file in keys.rglob("*.key_secret")} == {0}
    again = place.call("bridge", "keys", "--out", keys, "--client", "laptop")
    assert again.returncode == 1 and "exists" in again.stderr
    with place.bridge("--robot", "blue", "--endpoint", "tcp://127.0.0.1:*", "--keys", keys):
        [record] = place.root.glob("armside-*/blue.json")
        endpoint = json.loads(record.read_text())["endpoint"]
        assert place.call("bridge", "status", endpoint, "--keys", keys).returncode == 0
        stranger = place.call("bridge", "status", endpoint)
        assert stranger.returncode == 1 and "did not answer" in stranger.stderr
        by_id = place.call("bridge", "stop", "blue")  # the registry knows where the keys are
        assert by_id.returncode == 0 and "latched" in by_id.stdout, by_id.stderr
