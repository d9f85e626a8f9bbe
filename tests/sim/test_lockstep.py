"""The bridge in lockstep: the same each time, by servo frames alone, and as time says."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from firmware_bridge.config import BridgeConfig, Timing
from firmware_bridge.errors import CommandRefused, ConfigError
from firmware_bridge.messages import FRAME, UNITS, Chunk, Status, pack
from firmware_bridge.robots import find
from firmware_bridge.sts.codec import RAD_PER_TICK
from firmware_bridge.sts.virtual_line import VirtualLine
from sim import lockstep as module
from sim.lockstep import Lockstep
from sim.servos import make_bus
from sim.shafts import TICKS_PER_RAD, Shafts
from tests.sim.twin import ROBOT, Twin

PAN, GRIPPER = 0, 5


def to(status: Status, joint: int, way: float, seconds: float = 0.5) -> Chunk:
    """A straight way of one joint."""
    rows = np.tile(status.measured, (11, 1))
    rows[:, joint] += np.linspace(0.0, way, 11)
    return Chunk(rows.astype(np.float32), "so101", UNITS, FRAME, status.seq, status.tick, seconds / 10)


def drive(rig: Lockstep, ticks: int = 80, way: float = 0.4) -> list[Status]:
    status = rig.take()
    assert rig.client.send_chunk(to(status, PAN, way)).ok
    for _ in range(ticks):
        rig.client.status()
    return rig.client.statuses()


def as_bytes(statuses: Sequence[Status]) -> list[bytes]:
    return [pack(status) for status in statuses]


def test_the_same_again_byte_for_byte_and_something_else_is_something_else() -> None:
    with Lockstep(Twin()) as one, Lockstep(Twin()) as other, Lockstep(Twin()) as third:
        first = as_bytes(drive(one))
        assert first == as_bytes(drive(other))
        assert first != as_bytes(drive(third, way=0.41))


def test_a_pty_carries_what_no_pty_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow truth beside it: the bus called directly, on the same clock."""
    with Lockstep(Twin()) as rig:
        expected = as_bytes([dataclasses.replace(status, t=0.0) for status in drive(rig)])

    class Direct(VirtualLine):
        path = "direct"

    monkeypatch.setattr(module, "PtyLine", Direct)
    with Lockstep(Twin()) as rig:
        assert as_bytes([dataclasses.replace(status, t=0.0) for status in drive(rig)]) == expected


def test_the_arm_goes_where_it_is_told_and_time_is_ticks() -> None:
    twin = Twin()
    with Lockstep(twin) as rig:
        began = twin.seconds
        statuses = drive(rig, ticks=80)
        assert twin.at["shoulder_pan"] == pytest.approx(0.4, abs=0.01)
        assert statuses[-1].measured[PAN] == pytest.approx(0.4, abs=0.01) and statuses[-1].mode == "ready"
        assert {round(b.t - a.t, 9) for a, b in itertools.pairwise(statuses)} == {0.01}
        assert twin.seconds - began == pytest.approx(0.01 * len(statuses), abs=0.1)  # connecting took a little
        assert statuses[-1].late_ticks == 0


def test_only_goal_frames_move_it_and_what_it_tells_are_ticks() -> None:
    with Lockstep(Twin()) as rig:
        goals = rig.bus.frames["goal"]
        for _ in range(50):
            still = rig.client.status()  # a shadow: read, and sent nothing
        assert rig.bus.frames["goal"] == goals and rig.body.positions()["shoulder_pan"] == 0.0
        statuses = drive(rig)
        assert rig.bus.frames["goal"] > 50
        ticks = np.array([status.measured[:GRIPPER] for status in statuses]) / RAD_PER_TICK
        assert np.abs(2 * ticks - np.rint(2 * ticks)).max() < 1e-6  # half ticks: a middle may lie between two
        assert (still.temperature == 31).all() and (still.voltage == pytest.approx(7.4))


def test_a_silent_servo_stops_it_and_is_said() -> None:
    with Lockstep(Twin()) as rig:
        status = rig.take()
        rig.client.send_chunk(to(status, PAN, 0.4))
        rig.bus.faults[3].silent = True
        for _ in range(80):
            status = rig.client.status()
        assert status.mode == "fault" and "elbow_flex" in status.fault
        assert rig.body.positions()["shoulder_pan"] < 0.05


def test_without_torque_the_body_is_limp_and_armed_it_holds() -> None:
    twin = Twin()
    with Lockstep(twin, holding=False) as rig:
        for _ in range(50):
            rig.client.status()
        assert abs(twin.at["elbow_flex"]) < 0.05  # fell from 0.8
    twin = Twin()
    with Lockstep(twin) as rig:
        for _ in range(50):
            status = rig.client.status()
        assert twin.at["elbow_flex"] == pytest.approx(0.8, abs=0.01) and status.torque == "on"
        rig.take()
        rig.client.estop(cut=True)
        for _ in range(50):
            status = rig.client.status()
        assert status.torque == "off" and abs(twin.at["elbow_flex"]) < 0.05


def test_a_driver_that_says_nothing_is_noticed_on_the_virtual_clock() -> None:
    with Lockstep(Twin()) as rig:
        status = rig.take()
        rig.client.send_chunk(to(status, PAN, 0.4, seconds=4.0))
        for _ in range(130):
            rig.tick()  # time passes, and the client is not there
        newest = rig.client.statuses()[-1]
        assert newest.mode == "ready" and "the client is silent" in newest.note


def test_refusals_are_the_bridges_own() -> None:
    with Lockstep(Twin()) as rig:
        status = rig.take()
        late = dataclasses.replace(to(status, PAN, 0.1), start_tick=status.tick - 5000)
        reply = rig.client.send_chunk(late)
        assert not reply.ok and "a chunk that is over" in reply.text
        with pytest.raises(CommandRefused, match="rearm in mode ready"):
            rig.client.rearm()


@pytest.mark.parametrize(("joint", "load", "mode"), [("gripper", 0.5, "ready"), ("elbow_flex", 0.9, "fault")])
def test_a_gripper_may_hold_a_thing_for_long_and_no_other_joint_may(joint: str, load: float, mode: str) -> None:
    """Its servo goes to its protective torque after 2 s and says overload: that is how it is set up to hold."""

    class Pressing(Twin):
        def loads(self) -> Mapping[str, float]:
            return {name: load if name == joint else 0.0 for name in self.at}

    with Lockstep(Pressing()) as rig:
        rig.take()
        for _ in range(300):
            status = rig.client.status()
        row = ROBOT.joints.index(joint)
        assert status.mode == mode and bool(status.alarms[row]) == (mode == "fault") and status.servo_errors[row] == 32


def test_other_rates_are_other_ticks() -> None:
    config = BridgeConfig(robot="so101", port="sim", timing=Timing(rate_hz=50.0))
    with Lockstep(Twin(), config) as rig:
        statuses = drive(rig, ticks=40)
        assert {round(b.t - a.t, 9) for a, b in itertools.pairwise(statuses)} == {0.02}
        assert statuses[-1].measured[PAN] == pytest.approx(0.4, abs=0.03)


def test_an_arm_of_other_motors_is_refused() -> None:
    with pytest.raises(ConfigError, match="arms with a simulated world"):
        make_bus(Twin(), find("yam"))


def test_shafts_and_joints_belong_together() -> None:
    """A turn has 4096 ticks in the servo, while LeRobot's degrees count 4095: the bridge reads 1 in 4095 too much."""
    bus = make_bus(Twin(), ROBOT)
    shafts = bus.world
    assert isinstance(shafts, Shafts)
    for shaft in shafts.shafts:
        assert shaft.joint(shaft.ticks(0.3)) == pytest.approx(0.3)
    assert shafts.shafts[0].ticks(1.0) - shafts.shafts[0].ticks(0.0) == pytest.approx(TICKS_PER_RAD)
    assert shafts.shafts[GRIPPER].ticks(1.0) - shafts.shafts[GRIPPER].ticks(0.0) == 3281 - 2030
