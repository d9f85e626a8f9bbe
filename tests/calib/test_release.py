"""An arm that holds is let go softly: what may fail meanwhile leaves every other joint as it was, or limp."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from calib.person import Scripted
from calib.sts.servos import limp, release
from firmware_bridge import robots
from firmware_bridge.errors import NoAnswer
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.robots import servos_of
from firmware_bridge.sts.virtual_bench import Bench, Plant

ROBOT = robots.find("so101")
IDS = dict(zip(ROBOT.joints, servos_of(ROBOT).ids, strict=True))
LIMIT = 700  # 0.1 %, as somebody had set it
LOST = "shoulder_lift"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calib.sts.servos.RELEASE_S", 0.1)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(ROBOT, Plant()) as found:
        yield found


@pytest.fixture
def bus(bench: Bench) -> Iterator[Bus]:
    """Of an arm that holds."""
    bus = Bus(SerialLine(bench.path))
    for servo in IDS.values():
        bus.write(servo, "Torque_Limit", LIMIT)
        bus.write(servo, "Goal_Position", bus.read(servo, "Present_Position"))
    yield bus
    bus.close()


def held(bench: Bench, but: str = "") -> set[tuple[int, int]]:
    """Torque_Enable and Torque_Limit of all joints but one."""
    names = [name for name in ROBOT.joints if name != but]
    return {(bench.servo(name).get("Torque_Enable"), bench.servo(name).get("Torque_Limit")) for name in names}


def test_limp_and_its_limit_as_before(bench: Bench, bus: Bus) -> None:
    assert held(bench) == {(1, LIMIT)}
    assert limp(bus, IDS, Scripted(yes=True)) == tuple(ROBOT.joints)
    assert held(bench) == {(0, LIMIT)}


def test_a_servo_lost_at_the_end_keeps_no_other_weak(bench: Bench, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    pause = time.sleep
    left = [0]

    def sleep(seconds: float) -> None:
        left[0] += 1
        if left[0] == 10:
            bench.lose(LOST)
        pause(seconds)

    monkeypatch.setattr("calib.sts.servos.time.sleep", sleep)
    with pytest.raises(NoAnswer, match=r"shoulder_lift \(servo 2\).*hold the arm"):
        release(bus, IDS)
    assert held(bench, LOST) == {(0, LIMIT)}


def test_broken_off_all_but_the_lost_one_hold_where_they_are(
    bench: Bench, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C half way, and a servo that is silent by then: the others are not left weak, and none jumps back."""
    left = [0]

    def sleep(seconds: float) -> None:
        left[0] += 1
        if left[0] == 10:
            bench.lose(LOST)
            raise KeyboardInterrupt

    monkeypatch.setattr("calib.sts.servos.time.sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        release(bus, IDS)
    assert held(bench, LOST) == {(1, LIMIT)}
    goal = REGISTERS["Goal_Position"].address
    written = [row for row in list(bench.bus.journal)[len(IDS) * 2 :] if row.address == goal]
    assert {row.servo for row in written} == {*IDS.values()} - {IDS[LOST]}
    assert all(abs(int.from_bytes(row.data, "little") - row.position) <= 2 for row in written)
