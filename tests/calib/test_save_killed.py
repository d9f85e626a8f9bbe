"""Real processes that change an arm, killed or signalled in the middle: another one finds all of it, or none of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calib.sts import save
from calib.sts.save import Where
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.calib.arm_files import BLUE, ROBOT, SHIPPED, bus_to, hurry
from tests.calib.test_save import WRITES, assert_all_of, calibrated, in_file


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


CHILD = """
import sys
from pathlib import Path
from calib.sts import save
from tests.calib.arm_files import BLUE, PROVENANCE, ROBOT, bus_to, where_in
bus = bus_to(sys.argv[1])
print("go", flush=True)
sys.stdin.readline()
for line in save.save(bus, ROBOT, BLUE, PROVENANCE, where_in(Path(sys.argv[2]))):
    pass
print("saved", flush=True)
sys.stdin.readline()
"""


@contextmanager
def saver(bench: Bench, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that saves when it is told to."""
    command = [sys.executable, "-c", CHILD, bench.path, str(folder)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None and process.stdin is not None
            assert process.stdout.readline() == "go\n"
            yield process
        finally:
            process.kill()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def recovered(bench: Bench, where: Where, wanted: tuple[Calibration, ...]) -> Calibration:
    """After recovery by another process: all of one of `wanted`; which."""
    bus = bus_to(bench.path)
    try:
        save.recover(bus, where)
    finally:
        bus.close()
    bench.power_cycle()
    found = in_file(where.calibration)
    (one,) = [item for item in wanted if item.joints == found.joints]
    assert_all_of(bench, where, one)
    return one


@pytest.mark.parametrize("count", [1, 2, 11, 17, WRITES])
def test_a_process_killed_between_two_writes(tmp_path: Path, count: int) -> None:
    where = calibrated(tmp_path)
    with Bench(ROBOT, Plant(calibration=SHIPPED)) as bench, saver(bench, tmp_path) as process:
        bench.after_writes(count, lambda: os.kill(process.pid, signal.SIGKILL))
        tell(process)
        process.wait(60)
        assert where.journal.exists()
        one = recovered(bench, where, (SHIPPED, BLUE))
        assert one.joints == (SHIPPED if count < WRITES else BLUE).joints


def test_processes_killed_at_random_moments(tmp_path: Path) -> None:
    random.seed(4)
    ends = set()
    for number in range(8):
        folder = tmp_path / str(number)
        where = calibrated(folder)
        with Bench(ROBOT, Plant(calibration=SHIPPED)) as bench, saver(bench, folder) as process:
            tell(process)
            time.sleep(random.uniform(0.0, 0.06))
            process.kill()
            process.wait(60)
            ends.add(recovered(bench, where, (SHIPPED, BLUE)).joints)
    assert ends <= {SHIPPED.joints, BLUE.joints}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_wait_until_all_is_written(tmp_path: Path, number: signal.Signals) -> None:
    where = calibrated(tmp_path)
    with Bench(ROBOT, Plant(calibration=SHIPPED)) as bench, saver(bench, tmp_path) as process:
        bench.after_writes(9, lambda: os.kill(process.pid, number))
        tell(process)
        assert process.wait(60) != 0  # the signal did what it does, afterwards
        assert_all_of(bench, where, BLUE)
