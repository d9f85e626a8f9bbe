"""What clients might send, sane or not: chunks, words, silence; and configurations. From one random source.

Moods make a soak worth its ticks: a calm client drives well and arms again after a stop, a wild one sends anything.
Knows nothing of what should happen; soak_judge.py does.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_bridge.config import BridgeConfig, Timing
from firmware_bridge.errors import BridgeError, ChunkRefused, ProtocolMismatch
from firmware_bridge.messages import FRAME, UNITS, Chunk, Command, Message, Reply
from firmware_bridge.robot import Robot

Array = npt.NDArray[np.float64]
WORDS = ("arm", "rearm", "pause", "resume", "estop", "cut", "park", "heartbeat", "hello", "nonsense", "")
WAYS_OUT = {"shadow": "arm", "estop": "rearm", "fault": "rearm", "paused": "resume"}
LEAVING = 0.0008  # per message: a machine lives about a thousand messages
MOODS = ("calm", "calm", "calm", "calm", "restless", "wild", "silent")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a client sees when it sends."""

    mode: str
    seq: int
    tick: int
    commanded: Array  # [D]
    lower: Array
    upper: Array
    rate_hz: float


class Fuzzer:
    """Messages for one robot."""

    def __init__(self, robot: Robot, rng: random.Random) -> None:
        self.robot = robot
        self.rng = rng
        self._numbers = np.random.default_rng(rng.getrandbits(64))
        self.mood = "calm"
        self._left = 200  # messages in this mood
        self._goal: Array | None = None

    def message(self, scene: Scene) -> Message | BridgeError | None:
        """The next message, None for silence."""
        rng = self.rng
        self._left -= 1
        if self._left <= 0:
            self.mood, self._left = rng.choice(MOODS), rng.randint(30, 600)
        if rng.random() < LEAVING:
            return Command("shutdown", rng.choice(("park", "park", "hold", "limp", "")))
        row = _MOODS[self.mood]
        kind = rng.choices(("way", "chunk", "bad", "word", "beat", "none"), row)[0]
        if kind == "none":
            return None
        if kind == "way" and scene.mode in WAYS_OUT:
            return Command(WAYS_OUT[scene.mode])
        if kind in ("way", "beat"):
            return Command("heartbeat")
        if kind == "word":
            return Command(rng.choice(WORDS), rng.choice(("", "", "", "park", "x" * 99)))
        try:
            return self.good(scene) if kind == "chunk" else self.bad(scene)
        except ChunkRefused as error:  # what a socket would have answered
            return error

    def good(self, scene: Scene) -> Chunk:
        """One that a policy might send."""
        rng, numbers = self.rng, self._numbers
        if self._goal is None or rng.random() < 0.15:
            self._goal = numbers.uniform(np.maximum(scene.lower, -4.0), np.minimum(scene.upper, 4.0))
        steps = rng.choice((2, 8, 30))
        way = np.linspace(0.0, 1.0, steps)[:, None] ** rng.choice((0.5, 1.0, 2.0))
        start = scene.commanded if rng.random() < 0.9 else self._goal
        part = rng.choice((0.02, 0.1, 0.3, 1.0))
        actions = start + part * way * (self._goal - start)
        if rng.random() < 0.2:
            actions = actions + numbers.normal(0.0, 0.05, len(scene.lower))
        begin = scene.tick + rng.choice((0, 0, 0, 1, -3, 10))
        dt = rng.choice((1 / 30, 1 / 30, 0.1, 0.01))
        return Chunk(actions.astype(np.float32), self.robot.name, UNITS, FRAME, scene.seq, begin, dt)

    def bad(self, scene: Scene) -> Message | BridgeError:
        """One that something broken might send."""
        rng = self.rng
        fields: dict[str, Any] = {
            "actions": np.tile(scene.commanded, (rng.randint(1, 40), 1)).astype(np.float32),
            "arm": self.robot.name,
            "units": UNITS,
            "frame": FRAME,
            "status_seq": scene.seq,
            "start_tick": scene.tick,
            "dt": 1 / 30,
        }
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            name = rng.choice(("actions", "actions", "actions", *fields))
            fields[name] = self._strange(name, fields[name], scene)
        if rng.random() < 0.03:
            return rng.choice((Reply(True, "", "", "", 0, 0), ProtocolMismatch("bytes that are no message")))
        chunk = Chunk(**fields)
        if rng.random() < 0.01:  # numbers that no constructor lets through: memory gone wrong
            actions = chunk.actions.copy()
            actions[rng.randrange(len(actions))] = rng.choice((np.nan, np.inf, -np.inf))
            object.__setattr__(chunk, "actions", actions)
        return chunk

    def _strange(self, name: str, value: Any, scene: Scene) -> Any:
        rng = self.rng
        if name != "actions":
            return rng.choice(_STRANGE[name](scene))
        if value.ndim != 2 or 0 in value.shape:
            return value
        steps, count = value.shape
        kinds = {
            "jump": lambda: value + np.float32(rng.choice((-7, -1, -0.5, 0.5, 1, 7))),
            "extreme": lambda: np.array([[rng.choice((-1, 1)) * 10.0 ** rng.uniform(-45, 38)] * count] * steps),
            "zigzag": lambda: value + np.where(np.arange(steps) % 2, 2.0, -2.0)[:, None],
            "random": lambda: self._numbers.uniform(-4, 4, (steps, count)),
            "limits": lambda: np.array([rng.choice((scene.lower, scene.upper)) for _ in range(steps)]).clip(-9, 9),
            "number": lambda: np.full_like(value, rng.choice((np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38))),
            "narrow": lambda: value[:, : rng.randrange(count)],
            "wide": lambda: np.hstack([value, value]),
            "flat": lambda: value[0],
            "deep": lambda: value[None],
            "empty": lambda: value[:0],
            "long": lambda: np.tile(value[:1], (5000, 1)),
        }
        with np.errstate(over="ignore"):
            return kinds[rng.choice(list(kinds))]().astype(np.float32)


_MOODS = {  # weights of: the way out of a mode, a good chunk, a bad one, a word, a heartbeat, silence
    "calm": (6, 60, 2, 0.15, 12, 20),
    "restless": (8, 45, 20, 4, 10, 13),
    "wild": (5, 15, 45, 25, 5, 5),
    "silent": (0.5, 1, 1, 0.5, 1, 96),
}
_STRANGE = {
    "arm": lambda scene: ("so101", "yam", "", "SO101", "\0", "x" * 1000),
    "units": lambda scene: ("deg", "", "SI", "ticks"),
    "frame": lambda scene: ("camera", "", "lerobot"),
    "status_seq": lambda scene: (scene.seq - 1, scene.seq - 10**4, scene.seq + 1, -1, 0, 2**62, scene.seq - 300),
    "start_tick": lambda scene: (scene.tick - 1, scene.tick + 90, scene.tick - 90, 10**9, -(10**9), 2**62, 0),
    "dt": lambda scene: (0.0, -1.0, 1e-9, 1e-300, 1e9, 1e300, float("nan"), float("inf"), 0.5, 5e-324),
}


def configuration(robot: Robot, rng: random.Random) -> BridgeConfig:
    """What an owner might have set. Raises ConfigError where limits leave nothing."""
    limits, keep_out, bases = {}, {}, {}
    for name in rng.sample(robot.joints, rng.choice((0, 0, 1, 2, len(robot.joints)))):
        low, high = robot.limits.get(name, (-1.9, 1.9) if name not in robot.grippers else (0.0, 1.0))
        one, other = sorted(rng.uniform(low, high) for _ in range(2))
        if other - one > 0.05 * (high - low):
            limits[name] = (one, other)
    if len(robot.bodies) == 2 and rng.random() < 0.7:
        bases = {"left": (0.0, 0.3, 0.0, 0.0), "right": (0.0, -0.3, 0.0, rng.choice((0.0, 0.5)))}
    if len(robot.bodies) == 1 or bases:
        for number in range(rng.choice((0, 0, 1, 2))):
            corner = [rng.uniform(-0.3, 0.4), rng.uniform(-0.4, 0.4), rng.uniform(-0.1, 0.3)]
            keep_out[f"box {number}"] = tuple(corner) + tuple(value + rng.uniform(0.02, 0.4) for value in corner)
    timing = Timing(
        rate_hz=robot.rate_hz if rng.random() < 0.8 else rng.choice((50.0, 60.0, 100.0, 250.0)),
        silent_fault_s=rng.choice((0.1, 0.5)),
        client_timeout_s=rng.uniform(0.1, 1.0),
        park_after_s=rng.uniform(0.2, 2.0),
        park_timeout_s=rng.uniform(0.3, 2.0),
        retries=rng.choice((0, 1, 1, 2)),
        max_observation_age_s=rng.choice((0.5, 5.0)),
    )
    return BridgeConfig(
        robot=robot.name,
        port="sim",
        exit_policy=rng.choice(("park", "hold", "limp")),
        limits=limits,
        speed=rng.choice((0.3, 1.0, 3.0, 9.0)),
        park_speed=rng.choice((0.5, 2.0)),
        acceleration=rng.choice((0.0, 0.0, 2.0, 10.0, 60.0)),
        lead=rng.choice((0.0, 0.0, 0.1, 0.6)),
        floor=rng.choice((-0.01, -0.01, None, -0.1, 0.05)),
        keep_out=keep_out,
        self_collision=rng.random() < 0.8,
        bases=bases,
        timing=timing,
    )
