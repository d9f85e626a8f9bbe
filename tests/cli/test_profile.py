"""Profiles: what a file may say, how a mistake is named, and that an edit keeps what it does not change."""

from __future__ import annotations

import dataclasses
import math
import os
import threading
from pathlib import Path

import pytest

from armside import profile_file
from armside.profile import Profile, known_ids, resolve, robots_folder, to_bridge_config
from armside.profile_file import changed, diff, file_of, load, parse, write
from armside.profile_keys import KEYS
from policy_spec.errors import UsageError

FULL = """
# the blue one, on the left table
type = "so101"
port = "/dev/armside-blue"
calibration = "blue.json"
joint_frame = "so101-molmoact2"
exit = "hold"
rate_hz = 50
speed = 1.5  # careful
floor_m = false
self_collision = false
max_observation_age_s = 3

[cameras]
cam0 = "/dev/video0"

[limits]
elbow_flex = [-1, 1.5]

[limits_deg]
wrist_roll = [-90, 90]

[poses.park]
gripper = 0.1

[poses.park_deg]
elbow_flex = 90

[poses.home]
shoulder_pan = 0.2

[keep_out]
wall = [0.3, -1, 0, 0.4, 1, 1]

[levels]
temperature = [50, 55, 60]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    robots_folder().mkdir(parents=True)
    return robots_folder()


def test_all_that_a_file_says_reaches_the_bridge(folder: Path) -> None:
    (folder / "blue.toml").write_text(FULL)
    profile = resolve("blue")
    assert (profile.id, profile.type, profile.cameras) == ("blue", "so101", {"cam0": "/dev/video0"})
    config = to_bridge_config(profile, live=True)
    assert (config.robot, config.port, config.id, config.live) == ("so101", "/dev/armside-blue", "blue", True)
    assert config.calibration == str(folder / "blue.json")  # relative to the profile, not to where one stands
    assert (config.exit_policy, config.speed, config.floor, config.self_collision) == ("hold", 1.5, None, False)
    assert (config.timing.rate_hz, config.timing.max_observation_age_s) == (50, 3)
    assert config.limits == {"elbow_flex": (-1, 1.5), "wrist_roll": pytest.approx((-math.pi / 2, math.pi / 2))}
    assert config.park_pose == {"gripper": 0.1, "elbow_flex": pytest.approx(math.pi / 2)}
    assert config.home_pose == {"shoulder_pan": 0.2}
    assert config.keep_out == {"wall": (0.3, -1, 0, 0.4, 1, 1)} and config.levels == {"temperature": (50, 55, 60)}


def test_what_is_not_said_stays_the_bridges_default(folder: Path) -> None:
    from firmware_bridge.config import BridgeConfig

    assert to_bridge_config(Profile("so101", port="sim"), live=False, named=False) == BridgeConfig("so101", "sim")
    assert to_bridge_config(Profile("so101", port="sim"), live=False).id == "so101"


def test_a_command_line_beats_the_profile(folder: Path) -> None:
    (folder / "blue.toml").write_text(FULL)
    config = to_bridge_config(resolve("blue").having(port="sim", speed=0.5, exit=None), live=False)
    assert (config.port, config.speed, config.exit_policy) == ("sim", 0.5, "hold")


def test_robot_is_an_id_a_path_or_a_type(folder: Path, tmp_path: Path) -> None:
    (folder / "blue.toml").write_text('type = "so100"\n')
    (tmp_path / "elsewhere.toml").write_text('type = "so101"\n')
    assert resolve("blue").type == "so100" and resolve("so101") == Profile("so101")
    elsewhere = resolve(str(tmp_path / "elsewhere.toml"))
    assert (elsewhere.id, elsewhere.type) == ("elsewhere", "so101")
    assert known_ids() == ["blue"]
    with pytest.raises(UsageError, match=r"no robot 'bleu'.*blue.*so101.*armside robot set bleu type=so101"):
        resolve("bleu")
    with pytest.raises(UsageError, match="cannot be read"):
        resolve(str(tmp_path / "nowhere.toml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sped = 1", ["unknown key sped", "did you mean speed?"]),
        ("[limit]\nelbow_flex = [0, 1]", ["unknown key [limit]", "did you mean limits?"]),
        ("[poses.parc]\nelbow_flex = 0", ["unknown key poses.parc", "did you mean poses.park?"]),
        ("[limits]\nelbow = [0, 1]", ["unknown key elbow", "did you mean elbow_flex?"]),
        ("[poses.home_deg]\nwrist = 1", ["unknown key wrist", "shoulder_pan"]),
        ("[limits]\nelbow_flex = [2, 1]", ["limits.elbow_flex", "lower < upper"]),
        ("[limits]\nelbow_flex = 2", ["limits.elbow_flex", "2 numbers"]),
        ("[keep_out]\nwall = [0, 0, 0, 1, 1, 0]", ["keep_out.wall", "z0 < z1"]),
        ("[poses.park]\nelbow_flex = 1\n[poses.park_deg]\nelbow_flex = 60", ["in rad and in degrees"]),
        ("[poses.park_deg]\ngripper = 3", ["poses.park.gripper, 0 (closed) to 1 (open)"]),
        ('speed = "fast"', ["speed", "a number", "'fast'"]),
        ("speed = true", ["speed", "a number"]),
        ("speed = 0", ["speed", "above 0"]),
        ("rate_hz = nan", ["rate_hz", "a number"]),
        ('exit = "drop"', ["park or hold or limp", "drop"]),
        ('joint_frame = "degrees"', ["so101-molmoact2"]),
        ("self_collision = 1", ["true or false"]),
        ("floor_m = true", ["false: no floor"]),
        ('cameras = "cam0"', ["cameras", "a table"]),
        ("[bases]\nmiddle = [0, 0, 0, 0]", ["left or right", "middle"]),
        ("port = ", ["is not TOML"]),
    ],
)
def test_a_mistake_is_named(text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(f'type = "so101"\n{text}\n', "blue")
    assert "profile blue" in str(caught.value) or "blue is not TOML" in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_control_to_the_mistakes() -> None:
    assert parse('type = "so101"\nspeed = 1\n', "blue").speed == 1.0


def test_each_key_is_a_field() -> None:
    fields = {field.name for field in dataclasses.fields(Profile)}
    assert fields >= {name for name, key in KEYS.items() if not key.table}


def test_without_a_type_or_with_a_wrong_one() -> None:
    with pytest.raises(UsageError, match="has no type; what to do: armside robot set blue type=so101"):
        parse("speed = 1\n", "blue")
    with pytest.raises(UsageError, match=r"so101.*; got: panda"):
        parse('type = "panda"\n', "blue")


def test_an_edit_changes_what_it_names_and_keeps_the_rest() -> None:
    after = changed(FULL, "blue", ["speed=2", "port=", "poses.park_deg.elbow_flex=80", "floor_m=-0.02"])
    assert diff(FULL, after, "blue") == [
        '-port = "/dev/armside-blue"',
        "-speed = 1.5  # careful",
        "-floor_m = false",
        "+speed = 2  # careful",
        "+floor_m = -0.02",
        "-elbow_flex = 90",
        "+elbow_flex = 80",
    ]
    assert "# the blue one, on the left table" in after


def test_an_edit_makes_and_removes_tables() -> None:
    text = changed('type = "so101"\n', "blue", ["limits.elbow_flex=-1,1.5", "keep_out.wall=0,0,0,1,1,1"])
    profile = parse(text, "blue")
    assert profile.limits == {"elbow_flex": (-1, 1.5)} and profile.keep_out == {"wall": (0, 0, 0, 1, 1, 1)}
    text = changed(text, "blue", ["limits.elbow_flex=", "keep_out.wall="])
    assert text.strip() == 'type = "so101"'


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("speed", "key=value"),
        ("sped=1", "did you mean speed"),
        ("speed=fast", "a number"),
        ("limits=1,2", "limits is a table"),
        ("limits.elbow_flex=1", "2 numbers"),
        ("rate_hz=", "rate_hz is not set"),
        ("self_collision=maybe", "true or false"),
    ],
)
def test_a_wrong_edit_is_refused(word: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        changed('type = "so101"\nspeed = 1\n', "blue", [word])


def test_ids_that_would_be_mistaken(folder: Path) -> None:
    assert file_of("blue-2") == folder / "blue-2.toml"
    for wrong in ("so101", "../x", ".hidden", "a b", "x.toml", ""):
        with pytest.raises(UsageError, match="an id"):
            file_of(wrong)


def test_a_profile_is_written_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "blue.toml"
    write(path, 'type = "so101"\n')
    path.chmod(0o600)
    monkeypatch.setattr(profile_file.os, "fsync", _no_space)
    with pytest.raises(OSError, match="No space"):
        write(path, 'type = "so100"\n')
    assert load(path).type == "so101" and [file.name for file in folder.iterdir()] == ["blue.toml"]
    monkeypatch.undo()
    write(path, 'type = "so100"\n')
    assert load(path).type == "so100" and path.stat().st_mode & 0o777 == 0o600


def _no_space(number: int) -> None:
    raise OSError(28, os.strerror(28))


def test_a_reader_never_sees_half_a_profile(folder: Path) -> None:
    path = folder / "blue.toml"
    texts = ['type = "so101"\n' + "# x\n" * 5000, 'type = "so100"\n']
    write(path, texts[0])
    done = threading.Event()

    def rewrite() -> None:
        for number in range(60):
            write(path, texts[number % 2])
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    seen = {path.read_text()}
    while not done.is_set():
        seen.add(path.read_text())
    writer.join()
    assert seen <= set(texts)
