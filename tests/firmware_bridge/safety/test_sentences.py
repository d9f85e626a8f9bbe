"""What people read: whole sentences, one of each kind. A reading, a limit, a joint and what to do are promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from firmware_bridge.errors import BridgeError
from firmware_bridge.messages import FRAME, UNITS, Chunk
from firmware_bridge.robots import find
from firmware_bridge.safety.chunks import Door, Mailbox
from firmware_bridge.safety.levels import LEVELS, make_levels
from firmware_bridge.safety.limits import Limits, tightest
from firmware_bridge.safety.modes import Mode
from firmware_bridge.safety.motion import Envelope, advance, standing
from firmware_bridge.safety.workspace import make_workspace
from tests.firmware_bridge.safety.rig import RULES, Rig

LIMITS = RULES.limits
NAN = float("nan")


def offered(**changes: object) -> None:
    """A chunk that fits but for `changes`, to a mailbox at tick 300 that holds one of status 200."""
    mailbox = Mailbox(Door("so101", 2, 100.0, 150))
    for tick in range(1, 301):
        mailbox.published(tick, tick)
    chunk = Chunk(np.zeros((3, 2), np.float32), "so101", UNITS, FRAME, 200, 300, 0.1)
    mailbox.offer(chunk)
    mailbox.offer(replace(chunk, **changes))  # type: ignore[arg-type]


def first_of_all() -> None:
    """A chunk before any status."""
    Mailbox(Door("so101", 2, 100.0, 150)).offer(Chunk(np.zeros((3, 2), np.float32), "so101", UNITS, FRAME, 7, 0, 0.1))


def space(name: str = "so101", **changes: object) -> None:
    row: dict[str, object] = {"floor": -0.01, "keep_out": {}, "self_collision": True, "bases": {}}
    make_workspace(find(name), **(row | changes))  # type: ignore[arg-type]


FRAME_DO = "what to do: convert the policy's actions with its named joint frame before sending them"
KEEP_OUT = "six finite numbers x0 y0 z0 x1 y1 z1 in m, the first three below the last three"
REFUSALS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: Limits(("a",), np.array([1.0]), np.array([0.5]), np.ones(1)),
        "limits of a; expected: lower < upper; got: (1.0, 0.5); what to do: widen the configured limits or calibrate "
        "the joint again",
    ),
    (
        lambda: tightest(("a", "b"), (np.zeros(2), np.ones(2)), [{"c": (0.0, 1.0)}]),
        "limits of an unknown joint; expected: a, b; got: c",
    ),
    (
        lambda: Envelope(LIMITS, np.array([1.0, 0.0]), np.ones(2), 0.01),
        "acceleration of gripper; expected: a number > 0; got: 0.0",
    ),
    (
        lambda: advance(np.array([0.5, NAN]), standing(np.zeros(2)), np.zeros(2), RULES.envelope),
        "a target; expected: 2 finite numbers; got: [0.5, nan]",
    ),
    (lambda: offered(arm="yam"), f"a chunk for another arm; expected: so101; got: yam; {FRAME_DO}"),
    (lambda: offered(units="degrees"), f"a chunk for another units; expected: si; got: degrees; {FRAME_DO}"),
    (lambda: offered(frame="policy"), f"a chunk for another frame; expected: arm; got: policy; {FRAME_DO}"),
    (
        lambda: offered(actions=np.zeros((3, 7), np.float32)),
        "a chunk's actions; expected: [H, 2]; got: [3, 7]",
    ),
    (
        lambda: offered(status_seq=100),
        "a chunk from a stale observation; expected: a status of the last 1.5 s; got: status_seq 100, the newest is "
        "300; what to do: take a new observation; if prediction is that slow, raise timing.max_observation_age_s",
    ),
    (
        first_of_all,
        "a chunk from a stale observation; expected: a status of the last 1.5 s; got: status_seq 7, the newest is 0; "
        "what to do: take a new observation; if prediction is that slow, raise timing.max_observation_age_s",
    ),
    (
        lambda: offered(status_seq=199),
        "a chunk older than the one held; got: status_seq 199 after 200; what to do: drop it",
    ),
    (
        lambda: offered(start_tick=270),
        "a chunk that is over; got: its last action ended at tick 300, now is 300; what to do: predict faster or "
        "further",
    ),
    (
        lambda: offered(start_tick=451),
        "a chunk from the far future; got: start_tick 451, now is 300; what to do: use Status.tick",
    ),
    (
        lambda: make_levels("damiao", {"current": (1.0, 2.0, 3.0)}),
        "levels of an unknown quantity; expected: temperature, stall, gripper_stall; got: current",
    ),
    (
        lambda: make_levels("sts", {"voltage_low": (1.0, 2.0, 3.0)}),
        "levels of voltage_low; expected: warn, limit, stop: three falling numbers in V; got: [1.0, 2.0, 3.0]",
    ),
    (
        lambda: make_levels("sts", {"current": (2.0, 1.0, 3.0)}),
        "levels of current; expected: warn, limit, stop: three rising numbers in A; got: [2.0, 1.0, 3.0]",
    ),
    (lambda: space(floor=NAN), "floor; expected: a height in m above the arm's base, or none; got: nan"),
    (lambda: space(keep_out={"shelf": (1.0, 2.0)}), f"keep_out shelf; expected: {KEEP_OUT}; got: (1.0, 2.0)"),
    (
        lambda: space("bi-yam", keep_out={"shelf": (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)}),
        "keep_out of bi-yam; expected: bases; got: none; what to do: say where both arms stand: bases.left and "
        "bases.right, x y z yaw",
    ),
]


@pytest.mark.parametrize(("act", "text"), REFUSALS, ids=[text[:60] for _, text in REFUSALS])
def test_what_cannot_be_used_is_refused_in_these_words(act: Callable[[], object], text: str) -> None:
    with pytest.raises(BridgeError) as refused:
        act()
    assert str(refused.value) == text


# -- the machine: refusals


def armed(**changes: object) -> Rig:
    rig = Rig(**changes)
    rig.do("arm")
    rig.run(1)
    return rig


def with_reading(**reading: object) -> Rig:
    """In shadow, with one reading of this kind."""
    rig = Rig()
    for name, value in reading.items():
        setattr(rig, name, value)
    rig.run(1)
    return rig


MACHINE_REFUSALS: list[tuple[Callable[[], object], str]] = [
    (lambda: Rig().do("dance"), "command; expected: arm, rearm, pause, resume, estop, cut, park; got: dance"),
    (lambda: armed().do("arm"), "arm in mode ready; expected: mode shadow; what to do: it is armed already"),
    (
        lambda: Rig().do("pause"),
        "pause in mode shadow; expected: mode ready, running, paused; what to do: arm first",
    ),
    (lambda: Rig(start=False).send(0.0), "a chunk in mode starting; what to do: wait until the bridge is ready"),
    (lambda: Rig().machine.leave("drop", 0.0), "how to leave; expected: park or hold or limp; got: drop"),
    (
        lambda: Rig(may_move=False).do("arm"),
        "arm on a bridge that is not live; what to do: start the bridge with live=True (--live) when the arm's space "
        "is clear",
    ),
    (
        lambda: with_reading(fresh=np.array([False, True])).do("arm"),
        "arming needs every servo; got: silent: lift; what to do: check its cable",
    ),
    (
        lambda: with_reading(fresh=np.array([False, False])).do("arm"),
        "arming needs every servo; got: silent: lift, gripper; what to do: check its cable",
    ),
    (
        lambda: with_reading(measured=np.array([0.5, NAN])).do("arm"),
        "the position of gripper; expected: a number; got: none; what to do: mend its sensor",
    ),
    (
        lambda: with_reading(alarms=("overload", "voltage")).do("arm"),
        "a servo reports an error; got: lift: overload; gripper: voltage; what to do: then the same word again",
    ),
    (
        lambda: with_reading(measured=np.array([-1.3, 0.5])).do("arm"),
        "lift outside the calibrated range: torque would make it jump; expected: ['-1.200..1.200 rad']; "
        "got: ['-1.300']; what to do: move the joint by hand into its range; if it is in it, calibrate the arm again",
    ),
]


@pytest.mark.parametrize(("act", "text"), MACHINE_REFUSALS, ids=[text[:40] for _, text in MACHINE_REFUSALS])
def test_a_word_is_refused_with_these(act: Callable[[], object], text: str) -> None:
    with pytest.raises(BridgeError) as refused:
        act()
    assert str(refused.value) == text


def test_before_the_first_reading_no_servo_is_known() -> None:
    rig = Rig(start=False)
    rig.machine.adopt("died")
    with pytest.raises(BridgeError) as refused:
        rig.do("rearm")
    assert str(refused.value) == "arming needs every servo; got: silent: no servo yet; what to do: check its cable"


def test_what_is_not_ours_is_not_parked() -> None:
    rig = Rig()
    rig.machine.torque = "on"
    with pytest.raises(BridgeError) as refused:
        rig.do("park")
    assert str(refused.value) == "park before arm; what to do: arm, then park"
    rig.machine.torque = "off"
    assert rig.do("park") == "torque is not on: nothing to park"


def test_every_word_says_what_it_did() -> None:
    rig = Rig()
    said = []
    for word in ("estop", "rearm", "arm", "pause", "resume", "park", "estop", "rearm", "cut"):
        said.append(rig.do(word))
        rig.run(1)
    estop = "emergency stop latched: no goal is sent until rearm"
    assert said == [
        estop,
        "back in shadow: nothing was armed before",
        "torque on with goal = present",
        "holding",
        "chunks are taken again",
        "parking",
        estop,
        "torque on with goal = present",
        f"{estop}; torque off: the arm falls where nothing holds it",
    ]
    actions = np.zeros((3, 2), np.float32)
    assert armed().machine.chunk(Chunk(actions, "so101", UNITS, FRAME, 2, 2, 0.1), 0.0) == "taken"
    assert Rig(may_move=False).do("cut") == (
        f"{estop}; this bridge is not live and sends no torque either: cut the arm's power by hand"
    )


# -- the machine: faults, notes, farewells

HOT = "temperature of lift; expected: below 65 C; got: 70 C; what to do: let it cool; "
HOT += "lighten the load or shorten the work"
LATCHED = (
    "; torque: on, the arm holds its last goal; goals are no longer sent; what to do when the cause is gone: rearm"
)
DOUBT = "but what is named may be limp: hold the arm by hand; the rest of it holds its last goal"
DOUBTFUL = f"; torque: on, {DOUBT}; goals are no longer sent; what to do when the cause is gone: rearm"


@pytest.mark.parametrize(
    ("reading", "text"),
    [
        ({"fresh": np.array([False, True])}, "lift has not answered for 0.2 s: check its cable and power"),
        ({"measured": np.array([NAN, NAN])}, "the position of lift, gripper; expected: a number; got: none; what to "
         "do: mend its sensor"),
        ({"alarms": ("", "overload")}, "the servo of gripper reports: overload"),
        ({"changed": ("lift: torque 1 -> 0", "gripper: mode 0 -> 1")}, "a servo changed by itself: "
         "lift: torque 1 -> 0, gripper: mode 0 -> 1; check its power and who else writes to it"),
    ],
)  # fmt: skip
def test_a_fault_says_its_cause_what_the_arm_does_and_what_to_do(reading: dict[str, object], text: str) -> None:
    rig = armed()
    for name, value in reading.items():
        setattr(rig, name, value)
    rig.run(25)
    assert rig.machine.fault == text + (LATCHED if "measured" in reading else DOUBTFUL)
    rig.machine.leave("hold", rig.now)
    held = "torque on: the arm holds its last goal; hold it by hand before cutting its power"
    doubtful = f"torque on, {DOUBT}"  # nobody is told that an arm holds of which a servo let go
    assert rig.machine.farewell().endswith(f"; {held if 'measured' in reading else doubtful}")


def test_a_fault_says_what_is_known_of_the_torque() -> None:
    for torque, words in (("off", "torque: off"), ("unknown", "torque: not known")):
        rig = armed()
        rig.machine.torque = torque
        rig.machine.failed("a mistake", "start again")
        assert rig.machine.fault == (
            f"a mistake; {words}; goals are no longer sent; what to do when the cause is gone: start again"
        )


def test_faults_of_arming() -> None:
    rig = Rig()
    rig.do("arm")
    rig.fresh = np.array([False, False])
    rig.run(1)
    assert rig.machine.fault == (
        "lift, gripper did not answer in the tick of arming; torque: not known; goals are no longer sent; "
        "what to do when the cause is gone: rearm"
    )
    rig = Rig()
    rig.do("arm")
    rig.machine.torque_is(True, np.array([0.25, np.inf]))
    assert rig.machine.fault.startswith(
        "the place where the torque went on; expected: numbers; got: [0.25, inf]; torque: on, the arm"
    )


def test_notes_of_a_tick() -> None:
    rig = Rig()
    rig.send(0.0)
    rig.run(1)
    assert rig.machine.note == "shadow: this goal is not sent"
    rig = armed()
    rig.run(1)
    assert rig.machine.note == "no chunk: holding"
    rig.fresh = np.array([True, False])
    rig.run(1)
    assert rig.machine.note == "gripper did not answer: holding"
    rig.fresh = np.array([True, True])
    rig.run(60)
    assert rig.machine.note == "the client is silent: holding"
    rig.do("park")
    rig.run(1)
    assert rig.machine.note == "parking"
    rig.do("estop")
    rig.run(1)
    assert rig.machine.note == "emergency stop latched: no goal is sent until rearm"
    yam = armed(holds_alone=False)
    yam.machine.leave("hold", yam.now)
    yam.run(40)
    assert yam.machine.note == "lowering the arm: 90% of its support is left"


def test_notes_of_levels() -> None:
    rig = armed(levels=LEVELS["sts"], client_timeout_s=1e6)
    notes = {}
    for celsius in (57.5, 61.25, 70.0):
        rig.temperature[0] = celsius
        rig.run(51)
        notes[celsius] = rig.machine.note
    assert notes[57.5] == "temperature of lift: 57.5 C, warn at 55; no chunk: holding"
    assert notes[61.25] == "temperature of lift: 61.2 C, limit at 60: slower, pressing less; no chunk: holding"
    assert notes[70.0] == f"temperature of lift: 70 C, stop at 65; parking to cool down: {HOT}"
    rig.run(2000)
    assert rig.machine.fault.startswith(f"{HOT}; it was parked; torque: off; goals")
    rig = armed(levels=LEVELS["sts"], client_timeout_s=1e6)
    rig.current[1] = 1.4
    rig.run(51)
    assert rig.machine.note == "gripper_current of gripper: 1.4 A, limit at 1.3: pressing less; no chunk: holding"
    rig.current[1], rig.voltage[:] = 0.0, 4.0
    rig.run(51)
    text = "voltage_low of lift; expected: above 4.2 V; got: 4 V; what to do: check the power supply and its cable"
    assert rig.machine.fault == text + LATCHED
    rig.do("estop")
    rig.temperature[0] = 70.0
    rig.voltage[:] = 7.4
    rig.run(51)
    cut = "hold the arm, then cut the torque: armside bridge stop --cut"
    assert rig.machine.note.endswith(f"temperature of lift: 70 C, stop at 65; {cut}")


def test_parking_that_cannot_be_names_the_joint_the_way_and_what_is_in_it() -> None:
    rig = armed(envelope=replace(RULES.envelope, lead=np.array([0.1, 0.1])))
    rig.stuck = True
    rig.do("park")
    rig.run(200)
    assert rig.machine.mode is Mode.PAUSED
    assert rig.machine.remark == "could not park: lift is 1.50 rad away (lead lift, lead gripper); torque stays on"


def test_parking_that_nothing_hinders_but_that_the_arm_does_not_follow() -> None:
    rig = armed()
    rig.stuck = True
    rig.do("park")
    rig.run(500)
    assert rig.machine.remark == "could not park: lift is 1.50 rad away; torque stays on"


def test_farewells() -> None:
    def left(rig: Rig, policy: str) -> str:
        rig.machine.leave(policy, rig.now)
        for _ in range(1000):
            if not rig.machine.done:
                rig.run(1)
        return rig.machine.farewell()

    held = "torque on: the arm holds its last goal; hold it by hand before cutting its power"
    assert left(armed(), "hold") == held
    assert left(armed(), "limp") == "torque off"
    assert left(armed(), "park") == "parked; torque off"
    assert left(Rig(), "park") == "torque not known: hold the arm by hand before cutting its power"
    shadow = "torque as it was: this bridge sent neither goals nor torque"
    assert left(Rig(may_move=False), "park") == shadow
    broken = armed()
    broken.machine.leave("park", broken.now)
    assert left(broken, "hold") == f"parking was broken off; {held}"
    faulty = armed()
    faulty.machine.failed("a mistake")
    assert left(faulty, "hold") == f"a mistake{LATCHED}; {held}"
    hot = armed(levels=LEVELS["sts"])
    hot.machine.leave("park", hot.now)
    hot.temperature[0] = 70.0
    assert left(hot, "park") == f"parked; {HOT}; torque off"
