"""`armside bridge install` and what `doctor` reads of a machine with arms: planted files, no real device."""

from __future__ import annotations

import argparse
import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from armside.checks import NOTE, OK, Check, Machine, all_checks
from armside.profile import Profile
from armside.run_install import session_of
from armside.system_files import Session, session_unit, udev_rules, unit, unit_word, usb_port
from calib.adapters import ADAPTERS
from firmware_bridge.priority import BRIDGE, SUPERVISOR
from policy_spec.errors import ArmsideError, UsageError
from tests.cli.bridges import Home, home
from tests.edge.small_bundle import small_bundle


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        made.profile("red", 'type = "so101"\nport = "/dev/ttyACM0"\ncalibration = "red.json"\n')
        yield made


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def plant_usb(root: Path, serial: str = "5A46") -> Path:
    """A driver board as sysfs shows it: the tty under an interface under the USB device."""
    board = "sys/devices/usb1/1-1"
    plant(root, {f"{board}/idVendor": "1a86\n", f"{board}/idProduct": "55d3\n", f"{board}/1-1:1.0/x": ""})
    if serial:
        plant(root, {f"{board}/serial": f"{serial}\n"})
    plant(root, {"dev/ttyACM0": ""})
    (root / "sys/class/tty/ttyACM0").mkdir(parents=True)
    (root / "sys/class/tty/ttyACM0/device").symlink_to(root / board / "1-1:1.0")
    return root


def test_dry_run_shows_and_writes_nothing(place: Home, tmp_path: Path) -> None:
    done = place.call("bridge", "install", "red", "--root", tmp_path, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert 'ATTRS{idVendor}=="1a86"' in done.stdout and "ExecStart=" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_unconfirmed(place: Home, tmp_path: Path) -> None:
    done = place.call("bridge", "install", "red", "--root", tmp_path)
    assert done.returncode == 2 and "--yes" in done.stderr and list(tmp_path.iterdir()) == []


def test_confirmed_it_is_written_and_a_second_time_it_is_so_already(place: Home, tmp_path: Path) -> None:
    plant_usb(tmp_path)
    done = place.call("bridge", "install", "red", "--root", tmp_path, "--yes", "--live")
    assert done.returncode == 0, done.stderr
    rules = (tmp_path / "etc/udev/rules.d/70-armside.rules").read_text()
    assert 'ATTRS{serial}=="5A46", SYMLINK+="armside-red"' in rules
    text = (tmp_path / "etc/systemd/system/armside-bridge@.service").read_text()
    assert "bridge --robot %i --live" in text
    assert "enable --now armside-bridge@red" in done.stdout and "robot set red port=/dev/armside-red" in done.stdout
    again = place.call("bridge", "install", "red", "--root", tmp_path, "--yes", "--live")
    assert again.stdout.count("is so already") == 2 and ": written" in done.stdout
    assert ": written" not in again.stdout


def test_where_it_may_not_write_it_says_the_sudo_command(place: Home, tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("not a folder, so that root cannot write beneath it either")
    done = place.call("bridge", "install", "red", "--root", tmp_path, "--yes")
    assert done.returncode == 0 and done.stdout.count("next: sudo install -D -m 644") == 2, done.stderr
    assert (place.robots.parent / "install" / "70-armside.rules").read_text().startswith("#")


def test_of_the_users_own_systemd(place: Home, tmp_path: Path) -> None:
    done = place.call("bridge", "install", "red", "--root", tmp_path, "--user", "--yes")
    assert done.returncode == 0 and "systemctl --user" in done.stdout
    text = (place.root / "c/systemd/user/armside-bridge@.service").read_text()
    assert "User=" not in text and "WantedBy=default.target" in text


def test_a_profile_that_cannot_start_is_not_installed(place: Home, tmp_path: Path) -> None:
    place.profile("green", 'type = "so101"\nport = "/dev/ttyACM0"\n')
    done = place.call("bridge", "install", "green", "--root", tmp_path, "--yes")
    assert done.returncode == 1 and "calibration" in done.stderr and list(tmp_path.iterdir()) == []


def test_rules_are_rules() -> None:
    lines = [line for line in udev_rules().splitlines() if line and not line.startswith("#")]
    part = r'[A-Z]+(\{[\w$]+\})?(==|=|\+=)"[^"]*"'
    assert all(re.fullmatch(f"{part}(, {part})*", line) for line in lines), lines
    for adapter in ADAPTERS:
        assert any(adapter.vendor in line and adapter.product in line for line in lines)
    assert sum("latency_timer" in line for line in lines) == 1
    assert not re.fullmatch(f"{part}(, {part})*", 'SUBSYSTEM=="tty", GROUP=dialout')  # the check can fail


def test_the_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    text = unit("/opt/arm side/100%/armside", "robot", 1000, live=False)
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read_string(text)
    assert parser["Service"]["ExecStart"] == "'/opt/arm side/100%%/armside' bridge --robot %i"
    assert parser["Service"]["Environment"] == "XDG_RUNTIME_DIR=/run/user/1000"
    assert float(parser["Service"]["TimeoutStopSec"]) > 60  # a slow park
    assert int(parser["Service"]["LimitRTPRIO"]) >= max(SUPERVISOR, BRIDGE)  # or neither is scheduled in real time
    assert int(parser["Service"]["OOMScoreAdjust"]) < 0  # memory is taken from the policy first
    try:
        (tmp_path / "armside-bridge@.service").write_text(unit("/bin/true", "", 0, live=True))
        command = ["systemd-analyze", "verify", str(tmp_path / "armside-bridge@.service")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        return
    assert "Unknown" not in done.stderr and "Failed to parse" not in done.stderr, done.stderr


def test_the_adapter_behind_a_port(tmp_path: Path) -> None:
    found = usb_port("red", "/dev/ttyACM0", plant_usb(tmp_path / "a"))
    assert found is not None and (found.vendor, found.product, found.serial) == ("1a86", "55d3", "5A46")
    assert usb_port("red", "/dev/ttyACM0", plant_usb(tmp_path / "b", serial="")) is None
    assert usb_port("red", "/dev/ttyACM0", plant_usb(tmp_path / "c", serial='x", RUN+="rm')) is None
    assert usb_port("red", "can0", tmp_path / "a") is None


# -- doctor


def find(root: Path, name: str) -> Check:
    return next(check for check in all_checks(Machine(root, {}, {}), "edge") if check.name == name)


def test_ftdi_that_waits_is_told_what_to_do(tmp_path: Path) -> None:
    file = "sys/bus/usb-serial/devices/ttyUSB0/latency_timer"
    plant(tmp_path, {"dev/ttyUSB0": "", file: "16\n"})
    slow = find(tmp_path, "ttyUSB0 latency")
    assert slow.state == NOTE and "16 ms" in slow.text and "tee /sys/bus/usb-serial" in slow.do
    plant(tmp_path, {file: "1\n"})
    assert find(tmp_path, "ttyUSB0 latency").state == OK


def test_can_interfaces_up_and_down(tmp_path: Path) -> None:
    net = "sys/class/net"
    plant(tmp_path, {f"{net}/can0/type": "280", f"{net}/can0/flags": "0x40081", f"{net}/eth0/type": "1"})
    plant(tmp_path, {f"{net}/can1/type": "280", f"{net}/can1/flags": "0x40080"})
    assert find(tmp_path, "can0").state == OK and "1000000" in find(tmp_path, "can0").text
    down = find(tmp_path, "can1")
    assert down.state == NOTE and "ip link set can1 up type can bitrate 1000000" in down.do
    assert not any(check.name == "eth0" for check in all_checks(Machine(tmp_path, {}, {}), "edge"))


def test_who_holds_a_port_and_modem_manager(tmp_path: Path) -> None:
    plant(tmp_path, {"dev/ttyACM0": "", "proc/41/comm": "python3\n", "proc/42/comm": "ModemManager\n"})
    (tmp_path / "proc/41/fd").mkdir()
    (tmp_path / "proc/41/fd/5").symlink_to("/dev/ttyACM0")
    held = find(tmp_path, "ttyACM0 is held")
    assert held.state == NOTE and "python3, pid 41" in held.text
    assert find(tmp_path, "ModemManager").state == NOTE and "install" in find(tmp_path, "ModemManager").do
    plant(tmp_path, {"etc/udev/rules.d/70-armside.rules": ""})
    assert find(tmp_path, "ModemManager").state == OK


def test_services_are_seen(tmp_path: Path) -> None:
    assert find(tmp_path, "systemd unit").state == find(tmp_path, "udev rules").state == NOTE
    plant(tmp_path, {"etc/systemd/system/armside-bridge@.service": "", "etc/udev/rules.d/70-armside.rules": ""})
    assert find(tmp_path, "systemd unit").state == find(tmp_path, "udev rules").state == OK


# -- the policy's unit


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("policy")
    return small_bundle(root / "my policy.bundle", root)


def verify(folder: Path, *names: str) -> str:
    """What systemd says of units in a folder; "" where it has nothing to say, or is not here."""
    command = ["systemd-analyze", "verify", *(str(folder / name) for name in names)]
    try:
        environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    except FileNotFoundError:
        return ""
    return "\n".join(line for line in done.stderr.splitlines() if str(folder) in line or "armside" in line)


def test_a_policy_is_installed_beside_its_bridge(place: Home, tmp_path: Path, policy: Path) -> None:
    words = f"'{policy}' --task 'take 5 % of the cubes' --start-pose"
    done = place.call("bridge", "install", "red", "--root", tmp_path, "--yes", "--live", "--run", words)
    assert done.returncode == 0 and "enable --now armside-run-red" in done.stdout, done.stderr
    folder = tmp_path / "etc/systemd/system"
    text = (folder / "armside-run-red.service").read_text()
    assert f'run "{policy}" --task "take 5 %% of the cubes" --start-pose --robot red --live\n' in text
    assert "Requires=armside-bridge@red.service\nAfter=armside-bridge@red.service" in text
    assert "bridge status red --once --wait" in text
    assert "Restart=no" in text  # an arm in its safe state does not move again by itself
    assert verify(folder, "armside-run-red.service") == ""


def test_systemd_finds_what_is_wrong_with_a_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    session = Session("/bin/true", ("b",), "red", "", 0, restart=True)
    (tmp_path / "armside-bridge@.service").write_text(unit("/bin/true", "", 0, live=False))
    (tmp_path / session.file).write_text(session_unit(session))
    assert verify(tmp_path, session.file) == ""
    (tmp_path / session.file).write_text(session_unit(session).replace("Restart=on-abnormal", "Restart=when-it-likes"))
    assert "when-it-likes" in verify(tmp_path, session.file)


def asked(words: str, restart: bool = False, live: bool = False) -> Session | None:
    given = argparse.Namespace(session=words, restart=restart, live=live)
    return session_of(given, Profile(type="so101", id="red"), "/bin/armside", "robot")


def test_only_a_crash_starts_it_again_and_only_where_asked(policy: Path) -> None:
    session = asked(f"'{policy}' --task wave", restart=True)
    assert session is not None and session.words == (str(policy), "--task", "wave", "--robot", "red")
    text = session_unit(session)
    assert "Restart=on-abnormal" in text and "StartLimitBurst=3" in text  # never on-failure or always
    assert asked("") is None
    with pytest.raises(UsageError, match="--run WORDS"):
        asked("", restart=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("BUNDLE", "--task"),
        ("BUNDLE --task x --live", "no --live"),
        ("BUNDLE --task x --robot=blue", "no --robot"),
        ("BUNDLE --task x --wings", "--wings"),
        ("nowhere.bundle --task x", "nowhere.bundle"),
    ],
)
def test_words_that_run_would_refuse(policy: Path, words: str, said: str) -> None:
    with pytest.raises(ArmsideError, match=said):
        asked(words.replace("BUNDLE", f"'{policy}'"))


def test_words_of_a_unit_come_back_as_they_were() -> None:
    assert unit_word("plain-word_1") == "plain-word_1" and unit_word("") == '""'
    for word in ("two words", 'a "quote"', "50 %", "$HOME", "back\\slash", "it's; done"):
        text = unit_word(word)
        inner = text[1:-1].replace('\\"', '"').replace("\\\\", "\\") if text.startswith('"') else text
        assert inner.replace("%%", "%").replace("$$", "$") == word
    with pytest.raises(ValueError, match="no word"):
        unit_word("two\nlines")


def test_a_session_waits_for_its_bridge(place: Home) -> None:
    waited = place.start("bridge", "status", "blue", "--once", "--wait", "60")
    with place.bridge("--robot", "blue"):
        said, _ = waited.communicate(timeout=90)
        assert waited.returncode == 0 and "blue" in said
    assert place.call("bridge", "status", "blue", "--once", "--wait", "0.5").returncode == 1
