"""Ports by their adapters, from planted files of a kernel; ports that are pulled and put back; what servos say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from calib.adapters import ADAPTERS, find
from calib.person import CANCEL, Question, Scripted
from calib.ports import Place, Port, Usb, lasting, look
from calib.setup.probe import probe, words
from calib.setup.servos import Servo
from calib.unplugged import Watch, by_unplugging
from firmware_bridge.errors import PortError, PortMissing
from firmware_bridge.robots import find as find_robot
from firmware_bridge.sts.virtual_bench import Bench, Plant
from firmware_bridge.sts.virtual_servo import VirtualServo
from policy_spec.errors import Cancelled

SO101 = find_robot("so101")


def plant(root: Path, name: str, usb: str, serial: str = "", socket: str = "1-1") -> None:
    """A serial port or a CAN interface on a USB adapter, as Linux shows it."""
    can = name.startswith("can")
    device = root / "sys/devices/usb1" / socket
    interface = device / f"{socket}:1.0"
    interface.mkdir(parents=True)
    vendor, product = usb.split(":")
    for key, text in (("idVendor", vendor), ("idProduct", product), ("serial", serial), ("product", "USB Serial")):
        if text:
            (device / key).write_text(text + "\n")
    folder = root / ("sys/class/net" if can else "sys/class/tty") / name
    folder.mkdir(parents=True)
    (folder / "device").symlink_to(interface)
    if can:
        (folder / "type").write_text("280\n")
        (folder / "flags").write_text("0x40081\n")
        return
    (root / "dev/serial/by-id").mkdir(parents=True, exist_ok=True)
    (root / "dev/serial/by-path").mkdir(parents=True, exist_ok=True)
    (root / "dev" / name).write_text("")
    by_id = root / "dev/serial/by-id" / f"usb-1a86_{serial or 'USB_Serial'}-if00"
    by_id.unlink(missing_ok=True)  # udev: the last one wins
    by_id.symlink_to(root / "dev" / name)
    (root / "dev/serial/by-path" / f"pci-usb-{socket}:1.0").symlink_to(root / "dev" / name)


def test_adapters_by_their_usb_ids(tmp_path: Path) -> None:
    plant(tmp_path, "ttyACM0", "1a86:55d3", "5A46", "1-1")
    plant(tmp_path, "ttyUSB0", "1A86:7523", "", "1-2")
    plant(tmp_path, "ttyUSB1", "1a86:7523", "", "1-3")
    plant(tmp_path, "ttyACM1", "2341:0043", "85736", "1-4")
    plant(tmp_path, "can0", "1d50:606f", "0033", "1-5")
    (tmp_path / "sys/class/net/eth0").mkdir()
    (tmp_path / "sys/class/net/eth0/type").write_text("1\n")
    ports = {port.device: port for port in look(Place(tmp_path))}
    assert list(ports) == ["/dev/ttyACM0", "/dev/ttyACM1", "/dev/ttyUSB0", "/dev/ttyUSB1", "can0"]
    arm = ports["/dev/ttyACM0"]
    assert arm.name == "/dev/serial/by-id/usb-1a86_5A46-if00" and arm.likely and "stays" in lasting(arm)
    assert arm.adapter is not None and "CH343" in arm.adapter.name
    # Two adapters without a serial number share one by-id name: the socket tells them apart.
    assert ports["/dev/ttyUSB0"].name == "/dev/serial/by-path/pci-usb-1-2:1.0"
    assert ports["/dev/ttyUSB1"].name == "/dev/serial/by-path/pci-usb-1-3:1.0"
    assert "same socket" in lasting(ports["/dev/ttyUSB0"])
    assert not ports["/dev/ttyACM1"].likely  # an Arduino
    assert ports["can0"].speaks_can and ports["can0"].up and not arm.speaks_can


def test_nothing_there(tmp_path: Path) -> None:
    assert look(Place(tmp_path)) == ()


def test_a_port_that_was_asked_for_needs_no_known_adapter(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/ttyTHS1").write_text("")
    (port,) = look(Place(tmp_path, ("/dev/ttyTHS*",), named=True))
    assert port == Port("/dev/ttyTHS1", named=True) and port.likely and lasting(port) == "not a USB adapter"
    assert look(Place(tmp_path)) == ()


def test_the_table_of_adapters() -> None:
    assert len({(row.vendor, row.product) for row in ADAPTERS}) == len(ADAPTERS)
    for row in ADAPTERS:
        assert all(len(word) == 4 and int(word, 16) >= 0 and word == word.lower() for word in (row.vendor, row.product))
    assert find("1A86", "55D3") is not None and find("2341", "0043") is None


# -- unplugged and plugged in again


def port(name: str, serial: str = "", socket: str = "1-1", product: str = "55d3") -> Port:
    usb = Usb("1a86", product, serial, "", socket)
    return Port(name, f"/dev/serial/by-id/{serial}" if serial else "", usb)


class Desk:
    """Ports that come and go as hands want; `moments`: what happens at the n-th look."""

    def __init__(self, *ports: Port) -> None:
        self.ports = list(ports)
        self.looks = 0
        self.moments: dict[int, Callable[[], None]] = {}

    def look(self) -> tuple[Port, ...]:
        self.looks += 1
        if self.looks in self.moments:
            self.moments.pop(self.looks)()
        return tuple(self.ports)

    def without(self, *names: str) -> None:
        self.ports = [one for one in self.ports if one.device not in names]


class Hands(Scripted):
    """Pulls and plugs when asked."""

    def __init__(self, on: dict[str, Callable[[], None]]) -> None:
        super().__init__({}, yes=True)
        self.on = on

    def ask(self, question: Question) -> str:
        self.on.get(question.key, lambda: None)()
        return super().ask(question)


def watch(desk: Desk, wait_s: float = 20.0) -> Watch:
    return Watch(desk.look, wait_s, settle_s=0.0)


ARM, OTHER, CH340 = port("/dev/ttyACM0", "A"), port("/dev/ttyACM1", "B", "1-2"), port("/dev/ttyUSB0", "", "1-3", "7523")


def test_the_one_that_left_and_came_back_under_another_name() -> None:
    desk = Desk(ARM, OTHER)
    back = port("/dev/ttyACM2", "A")
    hands = Hands({"unplug": lambda: desk.without("/dev/ttyACM0"), "replug": lambda: desk.ports.append(back)})
    assert by_unplugging(hands, watch(desk)) == back
    assert hands.asked == ["unplug", "replug"] and "gone: /dev/ttyACM0" in hands.told


def test_enter_first_then_the_cable() -> None:
    """Hands that are slower than the Enter key; meanwhile it shows that it waits."""
    desk = Desk(ARM)
    desk.moments = {3: desk.ports.clear, 8: lambda: desk.ports.append(ARM)}
    hands = Hands({})
    assert by_unplugging(hands, watch(desk)) == ARM
    assert any("waiting" in view.message for view in hands.views)


def test_several_changes_at_once() -> None:
    """A mouse's receiver comes, another adapter goes for good: only what left and came back counts."""
    desk = Desk(ARM, OTHER, CH340)
    new = port("/dev/ttyACM5", "Z", "2-1")

    def pull() -> None:
        desk.without("/dev/ttyACM0", "/dev/ttyACM1")
        desk.ports.append(new)

    hands = Hands({"unplug": pull, "replug": lambda: desk.ports.append(ARM)})
    assert by_unplugging(hands, watch(desk)) == ARM


def test_both_cables_of_a_hub_are_refused() -> None:
    desk = Desk(ARM, OTHER)
    hands = Hands({"unplug": desk.ports.clear, "replug": lambda: desk.ports.extend([ARM, OTHER])})
    with pytest.raises(PortError, match=r"several ports left and came back.*ttyACM0, /dev/ttyACM1"):
        by_unplugging(hands, watch(desk))


def test_without_a_serial_number_in_another_socket() -> None:
    desk = Desk(CH340, OTHER)
    moved = port("/dev/ttyUSB0", "", "1-4", "7523")
    hands = Hands({"unplug": lambda: desk.without("/dev/ttyUSB0"), "replug": lambda: desk.ports.append(moved)})
    assert by_unplugging(hands, watch(desk)) == moved


def test_no_port_at_first() -> None:
    desk = Desk()
    hands = Hands({"replug": lambda: desk.ports.append(ARM)})
    assert by_unplugging(hands, watch(desk)) == ARM and hands.asked == ["replug"]


def test_nothing_happens() -> None:
    desk = Desk(ARM)
    with pytest.raises(PortMissing, match="nothing happened in 0 s"):
        by_unplugging(Hands({}), watch(desk, wait_s=0.05))
    with pytest.raises(PortMissing, match="plug the cable in again"):
        by_unplugging(Hands({"unplug": desk.ports.clear}), watch(desk, wait_s=0.05))


@pytest.mark.parametrize("key", ["unplug", "replug"])
def test_cancelled(key: str) -> None:
    desk = Desk(ARM)
    hands = Hands({"unplug": desk.ports.clear})
    hands.answers = {key: CANCEL}
    with pytest.raises(Cancelled):
        by_unplugging(hands, watch(desk))


def test_settling_waits_for_the_stable_name() -> None:
    """udev makes the by-id name a moment after the port."""
    desk = Desk(ARM)
    bare = port("/dev/ttyACM0", "")
    bare = Port(bare.device, "", ARM.usb)
    desk.moments = {
        3: desk.ports.clear,
        12: lambda: desk.ports.append(bare),
        14: lambda: desk.ports.__setitem__(0, ARM),
    }
    found = by_unplugging(Hands({}), Watch(desk.look, 20.0, settle_s=0.45))
    assert found.name == "/dev/serial/by-id/A"


# -- what the servos say


def test_a_whole_arm_answers_and_nothing_is_written() -> None:
    with Bench(SO101) as bench:
        before = bench.memory()
        said = probe(Port(bench.path, named=True), SO101)
        assert bench.memory() == before
        assert bench.bus.frames["write"] == bench.bus.frames["sync_write"] == 0
    assert said.whole and "six servos, ids 1 to 6, STS3215 (777), firmware" in said.text
    assert "an SO arm with its ids set" in said.text


def test_a_new_motor_and_a_silent_port() -> None:
    with Bench(SO101, Plant(ids={"gripper": 1}, eeprom={"gripper": {"Baud_Rate": 4}})) as bench:
        bench.attach("gripper")
        said = probe(Port(bench.path), SO101)
        assert said.arm and not said.whole and "one servo, id 1" in said.text and "at 115200 baud" in said.text
        bench.attach()
        said = probe(Port(bench.path), SO101)
        assert not said.arm and "no servo answers" in said.text


def test_answers_on_top_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broadcast that all answer at once is no answer: every id is asked alone."""
    monkeypatch.setattr("calib.setup.servos.ALL_IDS", range(8))
    with Bench(SO101) as bench:
        bench.attach("shoulder_pan", "elbow_flex")
        bench.bus.faults[3].corrupt = 2
        said: list[str] = []
        assert "ids 1, 3" in probe(Port(bench.path), SO101, said.append).text
        assert said and "asked alone" in said[0]


def test_a_port_that_cannot_be_opened(tmp_path: Path) -> None:
    said = probe(Port(str(tmp_path / "ttyACM9")), SO101)
    assert not said.arm and "does not exist" in said.text


def servo(number: int, baud: int = 1_000_000) -> Servo:
    return Servo(number, baud, bytes(VirtualServo(number, {}, 2048.0).eeprom))


@pytest.mark.parametrize(
    ("ids", "meaning"),
    [
        ((), "no servo answers"),
        ((1,), "a new motor, or a shoulder_pan"),
        ((4,), "a single motor"),
        ((1, 2, 3), "no answer from wrist_flex (4), wrist_roll (5), gripper (6)"),
        ((1, 2, 3, 4, 5, 6), "an SO arm with its ids set"),
        ((1, 2, 3, 4, 5, 6, 7, 8), "8 servos, ids 1 to 8"),
        ((40, 41), "setup-motors gives them their ids"),
    ],
)
def test_what_it_means(ids: tuple[int, ...], meaning: str) -> None:
    assert meaning in words([servo(number) for number in ids], SO101)


def test_a_slow_one_is_named() -> None:
    text = words([servo(1), servo(2, 115_200)], SO101)
    assert "id 2 at 115200 baud" in text and "an SO arm with" not in text
