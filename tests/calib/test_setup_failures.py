"""Memory that fails, power that goes and people who leave while motors get their ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from calib.person import CANCEL, LiveView
from calib.setup.any_baud import USUAL, AnyBaud
from calib.setup.progress import UNCHECKED, VERIFIED, WRITTEN, Progress
from calib.setup.servos import Servo, find_servos, read_servo
from firmware_bridge.errors import EepromError, NoAnswer
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.virtual_bench import Bench, Plant
from policy_spec.errors import Cancelled
from tests.calib.setup_bench import JOINTS, NEW, POSE, SO101, Hands, bench, ids, setup


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "setup" / "blue.json"


def test_a_locked_memory(path: Path) -> None:
    with bench(locked=("gripper",)) as made:
        before = made.memory()
        with pytest.raises(EepromError, match=r"memory stays locked.*it has id 1 at 1000000"):
            setup(Hands(made), path, only="gripper", wait_s=0.0)
        assert made.memory() == before
    assert not Progress.load(path, "so101").joints["gripper"].settled  # written down as begun


def test_a_memory_that_forgets(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything reads back as written, and is gone with the power."""
    monkeypatch.setattr("calib.setup.cycle.LOST_S", 0.2)
    with bench() as made:
        servo = made.servo("gripper")
        hands = Hands(made)

        def forgetful() -> None:
            servo.eeprom[5] = 1
            made.attach()
            made.attach("gripper")

        hands.instead["cycle.gripper"] = forgetful
        with pytest.raises(EepromError, match=r"forgot.*expected: id 6.*got: servo id 1"):
            setup(hands, path, only="gripper", wait_s=20.0)
        assert not Progress.load(path, "so101").joints["gripper"].settled


def test_a_plug_that_is_not_all_the_way_in_yet(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers once and is silent again, as contacts do."""
    real = read_servo
    with bench() as made:
        looks: list[int] = []

        def bounce(bus: Bus, servo: int, baud: int) -> Servo:
            looks.append(servo)
            made.lose("gripper", len(looks) == 1)
            try:
                return real(bus, servo, baud)
            finally:
                made.lose("gripper", False)

        monkeypatch.setattr("calib.setup.cycle.read_servo", bounce)
        setup(Hands(made, chain="skip"), path, only="gripper", wait_s=20.0)
        assert len(looks) == 2 and Progress.load(path, "so101").joints["gripper"].how == VERIFIED


@pytest.mark.parametrize("count", range(1, 5))
def test_power_is_lost_after_each_write(path: Path, count: int) -> None:
    """The motor restarts between two writes: it is unlocked and written again, or found again by the next run."""
    with bench(eeprom={"gripper": {"Baud_Rate": 4, "Return_Delay_Time": 250}}) as made:
        made.after_writes(count, made.power_cycle)
        setup(Hands(made, chain="skip"), path, only="gripper", cycle=False)
        stored = made.stored("gripper")
        assert (stored["ID"], stored["Baud_Rate"], stored["Return_Delay_Time"]) == (6, 0, 0)
        assert made.servo("gripper").get("Lock") == 1


@pytest.mark.parametrize("count", [3])  # status level, delay, ID; then its baud rate would come
def test_a_motor_is_lost_after_each_write_and_found_by_the_next_run(path: Path, count: int) -> None:
    with bench(eeprom={"gripper": {"Baud_Rate": 4}}) as made:
        made.after_writes(count, lambda: made.lose("gripper"))
        with pytest.raises(EepromError, match="it does not answer now; it has id 1 or 6"):
            setup(Hands(made), path, only="gripper", wait_s=0.0)
        made.lose("gripper", False)
        made.power_cycle()
        with AnyBaud(made.path) as port:
            (left,) = find_servos(port).servos
        assert left.id in (1, 6) and left.baud in (115_200, USUAL)
        result = setup(Hands(made, chain="skip"), path, only="gripper")
        assert (made.stored("gripper")["ID"], made.stored("gripper")["Baud_Rate"]) == (6, 0)
        assert result.joints["gripper"].how == VERIFIED  # begun before: checked although it was set already


def test_no_power_off_is_no_proof(path: Path) -> None:
    with bench() as made:
        hands = Hands(made, chain="skip")
        hands.instead["cycle.gripper"] = lambda: None
        with pytest.raises(NoAnswer, match=r"not seen without power.*--no-cycle"):
            setup(hands, path, only="gripper", wait_s=0.3)
        assert Progress.load(path, "so101").joints["gripper"].how == WRITTEN
        result = setup(Hands(made, chain="skip", cycle__gripper="skip"), path, only="gripper")
        assert result.joints["gripper"].how == UNCHECKED


def test_power_off_is_seen_while_it_happens(path: Path) -> None:
    """Without the number in SRAM, which a firmware may keep: silence, then an answer."""
    with bench() as made:
        servo = made.servo("gripper")
        hands = Hands(made, chain="skip")
        hands.instead["cycle.gripper"] = lambda: None
        shown = iter(range(1000))

        def show(view: LiveView) -> None:
            number = next(shown)
            if number == 2:
                made.attach()
            if "waiting for it" in view.message and not servo.plugged:
                made.attach("gripper")
                servo.write(41, bytes((254,)))

        hands.show = show  # type: ignore[method-assign]
        result = setup(hands, path, only="gripper", wait_s=20.0)
        assert result.joints["gripper"].how == VERIFIED


def test_the_adapter_loses_its_power_too(path: Path, tmp_path: Path) -> None:
    with Bench(SO101, Plant(ids=NEW, pose=POSE), link=str(tmp_path / "ttyACM0")) as made:
        hands = Hands(made, chain="skip")

        def pulled() -> None:
            made.port.unplug()
            made.attach()
            made.attach("gripper")

        hands.instead["cycle.gripper"] = pulled
        looks = iter(range(1000))
        hands.show = lambda view: made.port.replug() if next(looks) == 1 else None  # type: ignore[method-assign]
        assert setup(hands, path, only="gripper", wait_s=20.0).joints["gripper"].how == VERIFIED


def test_cancel_at_every_prompt(path: Path) -> None:
    """What was done stays done, the motor at hand is old or new, and the next run goes on there."""
    prompts = [f"{kind}.{joint}" for joint in reversed(JOINTS) for kind in ("motor", "cycle")] + ["chain"]
    with bench(eeprom={"shoulder_pan": {"Return_Delay_Time": 250}}) as made:  # else it is set out of the bag
        for at, key in enumerate(prompts):
            hands = Hands(made, **{key.replace(".", "__"): CANCEL})
            with pytest.raises(Cancelled):
                setup(hands, path, wait_s=20.0)
            assert hands.asked[-1] == key
            assert set(ids(made).values()) <= set(range(1, 7))
            assert all(servo.get("Lock") == 1 for servo in made.bus.servos)
            written = {joint for joint in JOINTS if prompts.index(f"cycle.{joint}") <= at} - {"shoulder_pan"}
            assert {joint for joint, number in ids(made).items() if number != 1} == written
        assert setup(Hands(made), path).seen == (1, 2, 3, 4, 5, 6)
