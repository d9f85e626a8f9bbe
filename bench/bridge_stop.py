"""How long a stop and a takeover take: from the word, or the death, to what the virtual servos saw.

`python -m bench.bridge_stop [--rounds N] [--json]`. An SO-101's servos keep a journal with times of the clock that all
processes of a machine share, so "to the bus" is when the frame reached the servo. For a YAM the time is until the
bridge that took over publishes its latched fault, by when it has held the motors; they let go after 400 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware_bridge.client import BridgeConfig, BridgeHandle, CommandRefused, Status, start_bridge
from firmware_bridge.processes import Lines, spawn
from firmware_bridge.robots import find
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.robots import shipped_calibration

TORQUE, GOAL = REGISTERS["Torque_Enable"].address, REGISTERS["Goal_Position"].address
WAIT_S = 10.0


class Servos:
    """Six virtual servos in a process of their own, and their journal."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._process = spawn("firmware_bridge.sts.virtual_process", "--robot", "so101")
        self._lines = Lines(self._process)
        stack.callback(self._process.wait)
        stack.callback(self._process.terminate)
        stack.callback(self._lines.close)
        self.port = str(self._answer()["port"])

    def first(self, address: int, after: float) -> float:
        """When the first write to `address` after `after` reached a servo, monotonic s."""
        assert self._process.stdin is not None
        self._process.stdin.write(b'{"do": "report"}\n')
        self._process.stdin.flush()
        return float(min(row[0] for row in self._answer()["journal"] if row[0] > after and row[2] == address))

    def _answer(self) -> dict[str, Any]:
        word = self._lines.read(WAIT_S)
        assert word is not None
        return word


def latched(bridge: BridgeHandle, mode: str) -> Status:
    """The first status in `mode`, through a time without any."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        status = bridge.client.status(WAIT_S)
        if status.mode == mode:
            return status
    raise SystemExit(f"never in mode {mode}")


def armed(bridge: BridgeHandle) -> None:
    """Torque on, from wherever the last round left it."""
    try:
        bridge.client.arm()
    except CommandRefused:  # stopped in the round before
        bridge.client.rearm()
    latched(bridge, "ready")
    time.sleep(0.4)  # the ramp of the torque, and some ticks


def of_socket(bridge: BridgeHandle, servos: Servos) -> float:
    """`client.estop()` to its answer: latched."""
    began = time.monotonic()
    bridge.client.estop()
    return time.monotonic() - began


def of_cut(bridge: BridgeHandle, servos: Servos) -> float:
    """`client.estop(cut=True)` to the torque-off frame in a servo."""
    began = time.monotonic()
    bridge.client.estop(cut=True)
    return servos.first(TORQUE, began) - began


def of_verb(bridge: BridgeHandle, servos: Servos) -> float:
    """Starting `armside bridge stop` to the first latched status."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "armside", "bridge", "stop"], stdout=subprocess.DEVNULL)
    status = latched(bridge, "estop")
    process.wait()
    return status.t - began


def of_signal(bridge: BridgeHandle, servos: Servos) -> float:
    """`kill -USR1` to the first latched status."""
    began = time.monotonic()
    os.kill(bridge.pid, signal.SIGUSR1)
    return latched(bridge, "estop").t - began


def of_death(bridge: BridgeHandle, number: int, servos: Servos | None) -> float:
    """A killed or stopped bridge to the frame that freezes the first servo; without servos, to the latched fault."""
    began = time.monotonic()
    os.kill(bridge.bridge_pid, number)
    status = latched(bridge, "fault")
    return (servos.first(GOAL, began) if servos else status.t) - began


STOPS: dict[str, Callable[[BridgeHandle, Servos], float]] = {
    "stop by socket, latched": of_socket,
    "cut by socket, torque-off frame": of_cut,
    "SIGUSR1, latched": of_signal,
    "armside bridge stop, latched": of_verb,
}


def run(rounds: int) -> dict[str, list[float]]:
    """Every way, `rounds` times each; takeovers once for each fresh supervisor, which allows three in a minute."""
    rows: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="as-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        os.environ["XDG_RUNTIME_DIR"] = str(folder)
        servos = Servos(stack)
        file = folder / "arm.json"
        joints = shipped_calibration(find("so101")).joints
        file.write_text(json.dumps({name: dataclasses.asdict(joint) for name, joint in joints}))
        so101 = BridgeConfig("so101", servos.port, str(file), live=True, id="bench", exit_policy="limp")
        with start_bridge(so101) as bridge:
            for _ in range(rounds):
                for name, stop in STOPS.items():
                    armed(bridge)
                    rows.setdefault(name, []).append(stop(bridge, servos))
        deaths = {"killed": signal.SIGKILL, "hung": signal.SIGSTOP}
        for _ in range(max(1, rounds // 5)):
            for name, number in deaths.items():
                with start_bridge(so101) as bridge:
                    armed(bridge)
                    rows.setdefault(f"so101 bridge {name}, frozen", []).append(of_death(bridge, number, servos))
                with start_bridge(BridgeConfig("yam", "sim", exit_policy="limp"), timeout_s=30.0) as bridge:
                    armed(bridge)
                    rows.setdefault(f"yam bridge {name}, held and latched", []).append(of_death(bridge, number, None))
    return rows


def main() -> int:
    """The command line."""
    assert __doc__
    parser = argparse.ArgumentParser(prog="bench.bridge_stop", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = run(options.rounds)
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    print("| what | rounds | median ms | worst ms |\n|---|---|---|---|")
    for name, times in rows.items():
        print(f"| {name} | {len(times)} | {1e3 * statistics.median(times):.1f} | {1e3 * max(times):.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
