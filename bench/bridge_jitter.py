"""How punctual the bridge's ticks are at 100 and 200 Hz, what a tick costs, and the same loop over feetech-servo-sdk.

`python -m bench.bridge_jitter [--seconds S] [--json]`. The bridge is the real one: supervisor, daemon, virtual servos
behind a pty and a client that listens, arm holding (torque on, a goal in every tick while a chunk is followed).
Lateness is the start of a tick against its place on the grid, as the bridge itself publishes it. The other side is
what a script does with the SDK: sleep until the next tick, read, write. CPU is that of the process that ticks,
publishing included on our side. Interleaved rounds in one run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import psutil

from bench.bridge_tick import sdk_tick, servos
from firmware_bridge.client import FRAME, UNITS, BridgeConfig, Chunk, Timing, start_bridge

RATES = (100.0, 200.0)


@dataclass(frozen=True, slots=True)
class Jitter:
    """Lateness of the ticks of one side, us, and its CPU per tick, us."""

    p50: float
    p99: float
    worst: float
    missed: int  # ticks that were skipped
    cpu: float
    ticks: int


def jitter(lateness: list[float], missed: int, cpu_s: float) -> Jitter:
    """From lateness in s."""
    rows = sorted(lateness)
    at = [statistics.median(rows), rows[int(0.99 * (len(rows) - 1))], rows[-1]]
    return Jitter(*(1e6 * value for value in at), missed, 1e6 * cpu_s / len(rows), len(rows))


def bridge_side(rate: float, seconds: float) -> Jitter:
    """The real bridge following a chunk that moves one joint to and fro."""
    config = BridgeConfig(robot="so101", port="sim", park_speed=3.0, timing=Timing(rate_hz=rate))
    with start_bridge(config) as bridge:
        client = bridge.client
        client.arm()
        time.sleep(0.5)  # imports of the first messages are not what is measured
        process = psutil.Process(client.info.pid)
        start, cpu = client.status(), process.cpu_times()
        client.statuses()
        late_before = start.late_ticks
        seen = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = client.status()
            client.send_chunk(wave(status))
            time.sleep(0.3)
            seen += client.statuses()
        used = process.cpu_times()
        cpu_s = used.user + used.system - cpu.user - cpu.system
        return jitter([row.lateness_s for row in seen], seen[-1].late_ticks - late_before, cpu_s)


def wave(status: Any) -> Chunk:
    """One second of a slow wave of the shoulder pan around where it is commanded."""
    actions = np.tile(status.commanded.astype(np.float32), (30, 1))
    actions[:, 0] = 0.2 * np.sin(2 * np.pi * np.arange(30) / 30)
    return Chunk(actions, status.arm, UNITS, FRAME, status.seq, status.tick, 1 / 30)


def sdk_side(rate: float, seconds: float) -> Jitter:
    """Sleep, read, write, as a script does; a tick that is over before it starts is skipped, as in the bridge."""
    import scservo_sdk as sdk

    lateness: list[float] = []
    missed = 0
    with contextlib.ExitStack() as stack:
        port = servos(stack, 0.0)
        handler = sdk.PortHandler(port)
        handler.openPort()
        tick = sdk_tick(sdk, handler)
        tick()
        due, period = time.monotonic(), 1.0 / rate
        end, cpu = due + seconds, time.process_time()
        while due < end:
            due += period
            time.sleep(max(0.0, due - time.monotonic()))
            late = time.monotonic() - due
            lateness.append(late)
            skipped = int(late / period)
            missed += skipped
            due += skipped * period
            tick()
        used = time.process_time() - cpu
        handler.closePort()
    return jitter(lateness, missed, used)


def run(rate: float, seconds: float, rounds: int) -> dict[str, Any]:
    """Both sides in turns; the round whose p99 is the median is shown, worst is over all."""
    sides = {"bridge": bridge_side, "sdk": sdk_side}
    results: dict[str, list[Jitter]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            results[name].append(side(rate, seconds))
    shown = {}
    for name, rows in results.items():
        middle = asdict(sorted(rows, key=lambda row: row.p99)[len(rows) // 2])
        shown[name] = middle | {"worst": max(row.worst for row in rows), "missed": sum(row.missed for row in rows)}
    return {"rate_hz": rate, "rounds": rounds, **shown}


def show(result: dict[str, Any]) -> None:
    """The README's rows."""
    for name in ("bridge", "sdk"):
        row = result[name]
        numbers = " | ".join(f"{row[key]:.0f}" for key in ("p50", "p99", "worst", "missed", "cpu"))
        print(f"| {result['rate_hz']:g} Hz | {name} | {numbers} |")


def main() -> int:
    """The command line."""
    assert __doc__
    parser = argparse.ArgumentParser(prog="bench.bridge_jitter", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each side in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = [run(rate, options.seconds, options.rounds) for rate in RATES]
    if options.json:
        print(json.dumps(results, indent=2))
        return 0
    print("| rate | side | late p50 us | p99 us | worst us | missed ticks | CPU us per tick |")
    print("|---|" + "---|" * 6)
    for result in results:
        show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
