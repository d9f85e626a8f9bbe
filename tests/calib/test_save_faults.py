"""Any faults at any moments of a change: all of the new or all of the old, at once or after the next start."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from calib.sts import save
from firmware_bridge.errors import BridgeError
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.calib.arm_files import BLUE, PROVENANCE, ROBOT, SHIPPED, bus_to, hurry
from tests.calib.test_save import WRITES, assert_all_of, calibrated, in_file

COUNTED = ("drop", "corrupt", "deaf", "again", "late")  # fields of Faults that run out


@pytest.mark.parametrize("seed", range(8))
def test_any_faults_at_any_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    hurry(monkeypatch)
    rng = random.Random(seed)
    where = calibrated(tmp_path)
    with Bench(ROBOT, Plant(calibration=SHIPPED)) as bench:
        bench.bus.wire_s = rng.choice((0.0, 0.001))
        heal = plan_faults(bench, rng)
        bus = bus_to(bench.path)
        try:
            save.save(bus, ROBOT, BLUE, PROVENANCE, where)
            wanted = BLUE
            heal()
        except BridgeError:
            heal()
            wanted = SHIPPED
            if where.journal.exists():
                assert save.recover(bus, where)
                wanted = BLUE if in_file(where.calibration).joints == BLUE.joints else SHIPPED
        finally:
            bus.close()
        bench.power_cycle()
        assert_all_of(bench, where, wanted)


def plan_faults(bench: Bench, rng: random.Random) -> Callable[[], None]:
    """One fault after some write, and often more after it; gives what ends them all."""
    ended = []

    def fault() -> None:
        if ended:
            return
        kind, joint = rng.choice((*COUNTED, "restart", "dark", "lose", "lose all")), rng.choice(ROBOT.joints)
        faults = bench.bus.faults_of(bench.servo(joint))
        if kind in COUNTED:
            faults.late_s = faults.again_s = rng.choice((0.01, 0.07))
            setattr(faults, kind, rng.randrange(1, 6))
        elif kind in ("restart", "dark"):
            bench.power_cycle(0.0 if kind == "restart" else 0.3)
        else:
            for name in ROBOT.joints if kind == "lose all" else (joint,):
                bench.lose(name)
        if rng.random() < 0.5:
            bench.after_writes(rng.randrange(1, 20), fault)

    def heal() -> None:
        ended.append(True)
        for joint in ROBOT.joints:
            bench.lose(joint, lost=False)
            for kind in COUNTED:
                setattr(bench.bus.faults_of(bench.servo(joint)), kind, 0)
        time.sleep(0.3)  # answers that were late
        bench.power_cycle()

    bench.after_writes(rng.randrange(1, WRITES + 1), fault)
    return heal
