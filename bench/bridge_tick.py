"""A tick of the bridge's bus against feetech-servo-sdk doing the same reads and writes.

`python -m bench.bridge_tick [--rounds N] [--json]`. One tick: registers 40..70 of six servos in one
sync_read, their goal positions in one sync_write. Both sides talk to the same virtual servos (a process
of their own behind a pty), in interleaved rounds. CPU is this process's own (time.process_time): what the
computer beside the arm pays. Ticks come at 100 Hz, as they do in the bridge.

The wire of a pty is infinitely fast. On a real one at 1 Mbaud the answer takes 2.2 ms and more, which the
SDK waits for by polling and the bridge asleep; `--wire-ms` adds such a wait to every answer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from firmware_bridge.processes import Lines, spawn
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.protocol import make_sync_write
from firmware_bridge.sts.registers import REGISTERS, TELEMETRY_ADDRESS, TELEMETRY_LENGTH
from firmware_bridge.sts.telemetry import BITS_PER_BYTE, wire_ms

IDS = tuple(range(1, 7))
GOAL = 2047
TICK_S = 0.01
Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """Per tick."""

    cpu_us: float  # mean
    wall_p50_us: float
    wall_p99_us: float


def our_tick(bus: Bus) -> Tick:
    """As the bridge does it: one sync_read, one sync_write."""
    goals = dict.fromkeys(IDS, GOAL)

    def tick() -> None:
        answer = bus.sync_read(TELEMETRY_ADDRESS, TELEMETRY_LENGTH, IDS)
        assert not answer.missing
        bus.sync_write("Goal_Position", goals)

    return tick


def sdk_tick(sdk: Any, handler: Any) -> Tick:
    """As LeRobot drives it: one GroupSyncRead and one GroupSyncWrite, made once."""
    packets = sdk.PacketHandler(0)
    read = sdk.GroupSyncRead(handler, packets, TELEMETRY_ADDRESS, TELEMETRY_LENGTH)
    goal = REGISTERS["Goal_Position"]
    write = sdk.GroupSyncWrite(handler, packets, goal.address, goal.length)
    for servo in IDS:
        read.addParam(servo)
        write.addParam(servo, [GOAL & 0xFF, GOAL >> 8])

    def tick() -> None:
        assert read.txRxPacket() == 0
        for servo in IDS:
            write.changeParam(servo, [GOAL & 0xFF, GOAL >> 8])
        assert write.txPacket() == 0

    return tick


def measure(tick: Tick, ticks: int) -> tuple[float, list[float]]:
    """(CPU s, wall s of each tick) of `ticks` ticks on a 100 Hz grid; sleeping costs nothing here."""
    walls = []
    cpu = 0.0
    due = time.monotonic()
    for _ in range(ticks):
        due += TICK_S
        time.sleep(max(0.0, due - time.monotonic()))
        used, start = time.process_time(), time.perf_counter()
        tick()
        walls.append(time.perf_counter() - start)
        cpu += time.process_time() - used
    return cpu, walls


def cost(rounds: list[tuple[float, list[float]]]) -> Cost:
    """Of all rounds together; each is (CPU s, wall s of each tick)."""
    walls = sorted(wall for _, part in rounds for wall in part)
    cpu = sum(part for part, _ in rounds) / len(walls)
    return Cost(cpu * 1e6, statistics.median(walls) * 1e6, walls[int(0.99 * (len(walls) - 1))] * 1e6)


def servos(stack: ExitStack, wire_ms: float) -> str:
    """Start virtual servos; the path of their pty."""
    process = spawn("firmware_bridge.sts.virtual_process", "--robot", "so101", "--wire-ms", str(wire_ms))
    lines = Lines(process)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    stack.callback(lines.close)
    word = lines.read(15.0)
    if word is None:
        raise SystemExit("the virtual servos did not start")
    return str(word["port"])


def run(rounds: int, ticks: int, wire_ms: float) -> dict[str, Any]:
    """Interleaved rounds of both sides. Exits with a word where the SDK is not installed."""
    try:
        import scservo_sdk as sdk
    except ImportError:
        raise SystemExit("feetech-servo-sdk is not installed: pip install feetech-servo-sdk==1.0.0") from None
    with ExitStack() as stack:
        port = servos(stack, wire_ms)
        results: dict[str, list[tuple[float, list[float]]]] = {"bridge": [], "sdk": []}
        for number in range(-1, rounds):  # round -1 warms both up
            bus = Bus(SerialLine(port))
            ours = measure(our_tick(bus), ticks)
            bus.close()
            handler = sdk.PortHandler(port)
            handler.openPort()
            theirs = measure(sdk_tick(sdk, handler), ticks)
            handler.closePort()
            if number >= 0:
                results["bridge"].append(ours)
                results["sdk"].append(theirs)
    costs = {name: cost(parts) for name, parts in results.items()}
    ours_, sdk_ = costs["bridge"], costs["sdk"]
    return {
        "wire_ms": wire_ms,
        "ticks_each": rounds * ticks,
        **{name: asdict(value) for name, value in costs.items()},
        "sdk_over_bridge": {
            "cpu": sdk_.cpu_us / ours_.cpu_us,
            "wall_p50": sdk_.wall_p50_us / ours_.wall_p50_us,
            "wall_p99": sdk_.wall_p99_us / ours_.wall_p99_us,
        },
    }


def wire_us() -> int:
    """What one tick takes on a real wire at 1 Mbaud."""
    goals = make_sync_write(REGISTERS["Goal_Position"].address, 2, dict.fromkeys(IDS, b"\0\0"))
    return round(1000 * wire_ms(TELEMETRY_LENGTH, len(IDS))) + BITS_PER_BYTE * len(goals)


def show(result: dict[str, Any]) -> None:
    """The README's table."""
    print(f"wire {result['wire_ms']:g} ms, {result['ticks_each']} ticks each   cpu us  wall p50 us  wall p99 us")
    for name in ("bridge", "sdk"):
        row = result[name]
        print(f"  {name:<32}{row['cpu_us']:>8.0f}{row['wall_p50_us']:>13.0f}{row['wall_p99_us']:>13.0f}")
    ratio = result["sdk_over_bridge"]
    print(f"  sdk / bridge{'':<20}{ratio['cpu']:>8.2f}{ratio['wall_p50']:>13.2f}{ratio['wall_p99']:>13.2f}")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.bridge_tick", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--ticks", type=int, default=100, help="ticks of each side in a round")
    parser.add_argument("--wire-ms", type=float, nargs="+", default=[0.0, 2.2])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = [run(options.rounds, options.ticks, wire) for wire in options.wire_ms]
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        for result in results:
            show(result)
        host = results[0]["bridge"]["wall_p50_us"]
        limit = wire_us()
        print(f"wire at 1 Mbaud {limit} us; with the host's {host:.0f} us {(limit + host) / limit:.2f} times that")
    return 0


if __name__ == "__main__":
    sys.exit(main())
