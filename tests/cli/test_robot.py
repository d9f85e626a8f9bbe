"""`armside robot show|set` as a program, and `doctor` on profiles that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.bridges import Home, home


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        yield made


def test_a_profile_is_made_changed_and_shown(place: Home) -> None:
    made = place.call("robot", "set", "red", "type=so101", "port=/dev/ttyACM7", "poses.park_deg.elbow_flex=90")
    assert made.returncode == 0, made.stderr
    assert '+port = "/dev/ttyACM7"' in made.stdout
    changed = place.call("robot", "set", "red", "port=sim", "speed=1.5")
    assert '-port = "/dev/ttyACM7"' in changed.stdout and '+port = "sim"' in changed.stdout
    assert "type" not in changed.stdout  # only what changed
    same = place.call("robot", "set", "red", "speed=1.5")
    assert same.returncode == 0 and "nothing changes" in same.stdout
    every = place.call("robot", "show").stdout
    assert "blue" in every and "red" in every
    shown = place.call("robot", "show", "red").stdout
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert rows["speed"][1:3] == ["1.5", "profile"]
    assert rows["park_speed"][1:3] == ["0.5", "default"]
    assert rows["poses.park.elbow_flex"][1:3] == ["1.571", "profile"]


def test_a_wrong_change_leaves_the_file_as_it_was(place: Home) -> None:
    before = (place.robots / "blue.toml").read_text()
    for words in (["sped=1"], ["speed=1", "exit=drop"], ["type="], ["limits.elbow=0,1"]):
        done = place.call("robot", "set", "blue", *words)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert (place.robots / "blue.toml").read_text() == before
    new = place.call("robot", "set", "green", "port=sim")
    assert new.returncode == 2 and "has no type" in new.stderr and not (place.robots / "green.toml").exists()


def test_a_profile_that_cannot_be_used_is_named(place: Home) -> None:
    place.profile("broken", 'type = "so101"\nsped = 1\n')
    shown = place.call("robot", "show")
    assert shown.returncode == 1 and "blue" in shown.stdout and "unknown key sped" in shown.stdout
    checked = place.call("doctor")
    said = " ".join(checked.stdout.split())  # wherever the table's column breaks a line
    assert "profile broken" in said and "did you mean speed?" in said


def test_a_bridge_that_runs_is_shown_and_keeps_its_settings(place: Home) -> None:
    with place.bridge("--robot", "blue") as bridge:
        assert f"pid {bridge.pid}" in place.call("robot", "show").stdout
        assert "bridge blue" in place.call("doctor").stdout
        changed = place.call("robot", "set", "blue", "speed=1")
        assert "runs with the old settings" in changed.stdout
    assert "pid" not in place.call("robot", "show").stdout


def test_without_any_profile_it_says_how_to_make_one(place: Home) -> None:
    (place.robots / "blue.toml").unlink()
    shown = place.call("robot", "show")
    assert shown.returncode == 0 and "armside robot set blue type=so101" in shown.stdout
