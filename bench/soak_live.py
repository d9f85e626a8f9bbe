"""The live part of the soak: a real bridge process with virtual servos, fuzzed by its socket, judged by its statuses.

Takes an arm, a count and a seed. Messages are good and bad chunks, words, and bytes that no client sends: cut, flipped,
of another schema, nested, huge. Every message but a heartbeat must be answered, every status follow the one before it.
Knows nothing of the virtual clock's part; wall-clock time is only waited for, never judged.
"""

from __future__ import annotations

import collections
import dataclasses
import random
import time
from typing import Any

import msgpack
import numpy as np
import zmq

from bench.soak_fuzz import Fuzzer, Scene
from bench.soak_judge import ARMED, ROUND, Bounds, Findings
from firmware_bridge import robots
from firmware_bridge.client import BridgeConfig, Status, start_bridge
from firmware_bridge.errors import BridgeError
from firmware_bridge.launch import BridgeHandle
from firmware_bridge.messages import PROTOCOL, SCHEMA, Command, Info, Reply, pack, unpack

ANSWER_S = 60.0  # a bridge that answers nothing for so long hangs, on a busy machine too
WINDOW = 24  # messages that wait for their answers
GIANT = 17 << 20
NO_ANSWER = ("heartbeat", "shutdown")  # words that the fuzzer leaves out here


def run_live(arm: str, messages: int, seed: int, found: Findings) -> None:
    """Fuzz one bridge from its start to its parking. Adds to `found`."""
    rng = random.Random(f"live {arm} {seed}")
    robot = robots.find(arm)
    config = BridgeConfig(robot=arm, port="sim", park_speed=2.0, id=f"soak-{seed}-{rng.randrange(10**6)}")
    with start_bridge(config, timeout_s=ANSWER_S) as bridge:
        info = bridge.client.info
        bounds = Bounds.of(robot, _at_rate(config, info.rate_hz), (np.array(info.lower), np.array(info.upper)))
        _compare(info, bounds, found)
        judge = StatusJudge(bounds, found)
        statuses = _fuzz(bridge, Fuzzer(robot, rng), judge, messages, rng)
        for status in statuses:  # now that every answer is known
            judge.status(status)
        _end(bridge, judge)
        farewell = bridge.close("park", timeout_s=ANSWER_S)
        found.counts[f"live ended: {farewell}"] += 1
        # From some poses the straight way to the park pose is blocked: then the bridge says so, and holds or lowers.
        if farewell != "parked; torque off" and not farewell.startswith("could not park: "):
            found.note("hang", f"the bridge ended otherwise than parked: {farewell}")
        if bridge.takeovers():
            found.note("exception", f"a bridge died: {bridge.takeovers()}")


def _at_rate(config: BridgeConfig, rate_hz: float) -> BridgeConfig:
    return dataclasses.replace(config, timing=dataclasses.replace(config.timing, rate_hz=rate_hz))


def _compare(info: Info, bounds: Bounds, found: Findings) -> None:
    if (np.array(info.speed) > bounds.speed + ROUND).any():
        found.note("speed", f"the bridge says {info.speed}, the judge {bounds.speed.tolist()}")


class StatusJudge:
    """Judges statuses alone: their numbering, and what was commanded from one to the next."""

    def __init__(self, bounds: Bounds, found: Findings) -> None:
        self.bounds = bounds
        self.found = found
        self.last: Status | None = None
        self.armed_after: set[int] = set()  # statuses after which arming was accepted: commanded is measured then

    def status(self, now: Status) -> None:
        last, self.last = self.last, now
        self.found.counts["live statuses"] += 1
        self.found.counts[f"mode {now.mode}"] += 1
        if "a mistake inside the bridge" in now.fault:
            self.found.note("exception", now.fault)
        if last is None:
            return
        if now.seq != last.seq + 1 or now.tick <= last.tick or now.t <= last.t:
            self.found.note("hang", f"status {now.seq} at tick {now.tick} follows {last.seq} at {last.tick}")
            return
        if last.torque == now.torque == "on" and last.seq not in self.armed_after:
            self._moved(last, now)

    def _moved(self, last: Status, now: Status) -> None:
        bounds, found = self.bounds, self.found
        step = now.commanded - last.commanded
        if now.mode in ("estop", "fault") and last.mode == now.mode:
            if step.any():
                found.note("goal", f"commanded moved by {np.abs(step).max():.4g} in mode {now.mode}")
        elif last.mode in ARMED and now.mode in ARMED:
            if (np.abs(step) > bounds.speed * bounds.dt * (1 + ROUND) + ROUND).any():
                found.note("speed", f"{np.abs(step).max():.4g} rad in a tick, mode {last.mode} -> {now.mode}")
            high, low = np.maximum(bounds.upper, last.commanded), np.minimum(bounds.lower, last.commanded)
            if (now.commanded > high + ROUND).any() or (now.commanded < low - ROUND).any():
                found.note("limits", f"commanded {now.commanded.tolist()}")


def _fuzz(bridge: BridgeHandle, fuzzer: Fuzzer, judge: StatusJudge, messages: int, rng: random.Random) -> list[Status]:
    """Send them all, as fast as they are answered; every status meanwhile."""
    found, client = judge.found, bridge.client
    statuses: list[Status] = []
    waiting: collections.deque[bytes] = collections.deque()  # messages without an answer yet, in order
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    try:
        socket.connect(bridge.endpoint)
        sent, giants = 0, 0
        limits = judge.bounds
        status = client.status(ANSWER_S)
        while sent < messages or waiting:
            statuses += client.statuses()
            status = statuses[-1] if statuses else status
            while sent < messages and len(waiting) < WINDOW:
                rate = 1.0 / limits.dt
                scene = Scene(status.mode, status.seq, status.tick, status.commanded, limits.lower, limits.upper, rate)
                data = _bytes(fuzzer, scene, rng)
                if data is None:
                    continue
                socket.send(data)
                sent += 1
                waiting.append(data)
                found.counts["live messages"] += 1
            if giants < 3 and sent > messages // 4 * giants:
                giants += 1
                _giant(context, bridge.endpoint)
                found.counts["live giants"] += 1
            if not socket.poll(ANSWER_S * 1000):
                found.note("hang", f"{len(waiting)} messages without an answer for {ANSWER_S:g} s")
                break
            while waiting and socket.poll(0):
                _answer(waiting.popleft(), socket.recv(), judge)
    finally:
        context.destroy(linger=0)
    return statuses + client.statuses()


def _answer(asked: bytes, data: bytes, judge: StatusJudge) -> None:
    answer, found = unpack(data), judge.found
    if isinstance(answer, Reply):
        if answer.ok and (b"Command\x92\xa3arm" in asked or b"Command\x92\xa5rearm" in asked):
            judge.armed_after.add(answer.seq)
        found.counts["live accepted" if answer.ok else f"live refused: {answer.error}"] += 1
    elif isinstance(answer, Info):
        found.counts["live hello"] += 1
    else:
        found.note("exception", f"answered {type(answer).__name__}")


def _giant(context: zmq.Context[Any], endpoint: str) -> None:
    """More than the bridge takes from anybody; it hangs up on that connection alone."""
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint)
    socket.send(bytes(GIANT))
    socket.poll(200)
    socket.close(0)


def _bytes(fuzzer: Fuzzer, scene: Scene, rng: random.Random) -> bytes | None:
    """One message as bytes; None where the fuzzer would be silent."""
    with np.errstate(all="ignore"):
        message = fuzzer.message(scene)
    if message is None or isinstance(message, BridgeError):
        return None
    if isinstance(message, Command) and message.name in NO_ANSWER:
        message = Command("hello")
    data = pack(message)
    if rng.random() < (0.6 if fuzzer.mood == "wild" else 0.05):
        data = _spoilt(data, message, rng)
    return data


def _spoilt(data: bytes, message: Any, rng: random.Random) -> bytes:
    kind = type(message).__name__
    values = [getattr(message, name) for name in type(message).__slots__]
    odd = [None, 2**63, -1, 1e308, float("nan"), "x", b"\xff", [], {}, [[]] * 9, True]
    makers = (
        lambda: data[: rng.randrange(len(data))],
        lambda: rng.randbytes(rng.randrange(200)),
        lambda: b"",
        lambda: data + rng.randbytes(5),
        lambda: _flipped(data, rng),
        lambda: msgpack.packb([PROTOCOL, "00000000", kind, []]),
        lambda: msgpack.packb([PROTOCOL + 1, SCHEMA, kind, []]),
        lambda: msgpack.packb([PROTOCOL, SCHEMA, kind, [rng.choice(odd) for _ in values]]),
        lambda: msgpack.packb(
            [PROTOCOL, SCHEMA, rng.choice(("Status", "Info", "None", kind)), values[:2]], default=str
        ),
        lambda: msgpack.packb([PROTOCOL, SCHEMA, "Chunk", [msgpack.ExtType(1, rng.randbytes(9)), *[""] * 7]]),
        lambda: msgpack.packb(
            [PROTOCOL, SCHEMA, "Chunk", [_array((2**31, 2**31)), "so101", "si", "arm", 1, 1, 0.1, 0.0]]
        ),
        lambda: b"\x91" * 3000,
        lambda: bytes(rng.choice((1, 70_000, 1_000_000))),
        lambda: msgpack.packb([PROTOCOL, SCHEMA, "Command", [rng.choice(odd), rng.choice(odd)]]),
    )
    spoilt: bytes = rng.choice(makers)()
    try:
        again = unpack(spoilt)
    except Exception:
        return spoilt
    silent = isinstance(again, Command) and again.name in NO_ANSWER
    return b"" if silent else spoilt


def _flipped(data: bytes, rng: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def _array(shape: tuple[int, int]) -> msgpack.ExtType:
    return msgpack.ExtType(1, msgpack.packb(["<f4", shape, b"\0" * 8]))


def _end(bridge: BridgeHandle, judge: StatusJudge) -> None:
    """Bring the arm to a mode from which it parks, as its owner would; statuses go on meanwhile."""
    words = {"estop": "rearm", "fault": "rearm", "paused": "resume", "shadow": "arm"}
    deadline = time.monotonic() + ANSWER_S
    first = None
    while time.monotonic() < deadline:
        status = bridge.client.status(ANSWER_S)
        for row in bridge.client.statuses():
            judge.status(row)
        first = first or status
        if status.mode in ("ready", "running"):
            if status.seq > first.seq + 20:
                return
            continue
        try:
            if status.mode in words:
                getattr(bridge.client, words[status.mode])()
        except BridgeError as error:
            judge.found.counts[f"live way out refused: {type(error).__name__}"] += 1
            time.sleep(0.05)
    judge.found.note("hang", f"no way out of mode {status.mode}: {status.fault}")
