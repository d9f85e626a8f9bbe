"""One machine's life in the soak: the bridge's real loop, core and driver on virtual servos and a virtual clock.

Takes an arm, a seed and an episode's number, gives Findings; the same three give the same episode again, bit for bit.
Time stands still but for what the wire, waiting and the grid of ticks cost. Knows nothing of processes or sockets.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.soak_can import CanRig
from bench.soak_fuzz import Fuzzer, Scene, configuration
from bench.soak_judge import Bounds, Call, Findings, Judge
from bench.soak_space import Space
from bench.soak_sts import StsRig
from firmware_bridge import loop as loops
from firmware_bridge import robots
from firmware_bridge.config import BridgeConfig
from firmware_bridge.driver import ArmState, Facts
from firmware_bridge.errors import BridgeError, ConfigError
from firmware_bridge.loop import Loop, Rim
from firmware_bridge.messages import Chunk, Command, Reply, Status
from firmware_bridge.rules import make_door, make_info, make_rules
from firmware_bridge.safety.chunks import Mailbox
from firmware_bridge.safety.state_machine import StateMachine
from firmware_bridge.sts.virtual_line import VirtualClock

RIGS: dict[str, Any] = {"sts": StsRig, "damiao": CanRig}
WEATHER = (0.0, 0.01, 0.03, 0.03, 0.06, 0.15)  # faults per tick
LIVES = 3  # bridges one after another on the same servos
LONGEST = 4000  # ticks of one bridge
BURSTS = (0, 1, 1, 2, 4, 8, 16)  # messages between two ticks
OURS = ("a mistake inside the bridge", "that the bridge cannot handle")


class _Time:
    """In the place of the module `time` in the bridge's own modules."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.ahead = 0.0  # s, a clock that jumped

    def monotonic(self) -> float:
        return self.clock() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.clock.until(self.clock() + seconds)


@contextlib.contextmanager
def virtual_time(clock: VirtualClock) -> Iterator[_Time]:
    """Every module of the bridge reads `clock`; its loop reads the one that is given, which may jump."""
    loop, others = _Time(clock), _Time(clock)
    found = [
        module
        for name, module in sys.modules.items()
        if name.startswith("firmware_bridge.") and getattr(module, "time", None) is time
    ]
    for module in found:
        module.time = loop if module.__name__ == "firmware_bridge.loop" else others  # type: ignore[attr-defined]
    try:
        yield loop
    finally:
        for module in found:
            module.time = time  # type: ignore[attr-defined]


@contextlib.contextmanager
def _hearing(told: list[str]) -> Iterator[None]:
    """What the loop says to people goes to `told`."""
    before = loops.tell
    loops.tell = told.append
    try:
        yield
    finally:
        loops.tell = before


class Watched:
    """A driver whose every call the judge sees."""

    def __init__(self, rig: Any, judge: Judge, mode: Callable[[], str], adopt: bool) -> None:
        self._rig, self._judge, self._mode = rig, judge, mode
        rig.touches()
        self._arm = rig.open(adopt)
        self.facts = self._arm.facts

    def _do(self, name: str, *arguments: Any) -> Any:
        rig, began, result, error = self._rig, self._rig.clock(), None, None
        mode = self._mode()
        try:
            result = getattr(self._arm, name)(*arguments)
            return result
        except BaseException as caught:
            error = caught
            raise
        finally:
            argument = arguments[0] if arguments else None
            call = Call(name, argument, result, error, (began, rig.clock()), rig.touches())
            self._judge.called(call, mode)

    def read(self) -> ArmState:
        self._rig.before_read()
        state: ArmState = self._do("read")
        self._rig.check(state)
        self._judge.reading(state, self._rig.lost_torque(state))
        return state

    def send(self, goal: Any) -> None:
        self._do("send", goal.copy())

    def hold(self, support: float = 1.0) -> None:
        self._do("hold", support)

    def torque_on(self) -> Any:
        return self._do("torque_on")

    def torque_off(self) -> None:
        self._do("torque_off")

    def close(self) -> None:
        self._do("close")


class _Published:
    """In the place of the sockets: keeps the newest status."""

    def __init__(self) -> None:
        self.status: Status | None = None

    def publish(self, status: Status) -> None:
        self.status = status


class _Technician:
    """In the place of replug.py's thread: opens the arm again between ticks, some ticks later."""

    def __init__(self, reopen: Callable[[], Any], rng: random.Random) -> None:
        self._reopen, self._rng = reopen, rng
        self._found: Any = None
        self._left = -1
        self.problem = ""

    def lost(self, driver: Any) -> None:
        self._left = self._rng.randint(1, 60)

    def back(self) -> Any:
        found, self._found = self._found, None
        return found

    def work(self) -> None:
        """Between ticks."""
        self._left -= self._left > 0
        if self._left == 0:
            try:
                self._found, self._left = self._reopen(), -1
            except BridgeError as error:
                self.problem, self._left = str(error), self._rng.randint(1, 20)


@dataclass(slots=True)
class Life:
    """One bridge and what is around it; tests spoil parts of it before it runs."""

    rig: Any
    judge: Judge
    machine: StateMachine
    loop: Loop
    technician: _Technician


Spoil = Callable[[Life], None]


@dataclass(frozen=True, slots=True)
class Order:
    """Which episode."""

    arm: str
    seed: int
    episode: int
    commands: int = 10_000  # at most
    sample: int = 50  # every so many goals are looked at in space


def run_episode(order: Order, found: Findings, spoil: Spoil | None = None) -> None:
    """A few bridges in a row on the same servos. Adds to `found`."""
    rng = random.Random(f"{order.arm} {order.seed} {order.episode}")
    robot = robots.find(order.arm)
    rig = RIGS[robot.family](robot, BridgeConfig(robot.name, "sim"), found, rng)
    end = found.counts["commands"] + order.commands
    told: list[str] = []
    with virtual_time(rig.clock) as clock, contextlib.closing(rig), _hearing(told), np.errstate(all="ignore"):
        for life in range(rng.randint(1, LIVES)):
            rig.config = _config(rig, rng)
            rig.heal()
            try:
                one = _begin(order, rig, rng, life > 0 and rng.random() < 0.7)
            except BridgeError as error:  # such as a joint outside its range: nothing may be driven
                found.counts[f"refused at connect: {type(error).__name__}"] += 1
                return
            if spoil is not None:
                spoil(one)
            _live(one, clock, rng, end)
            for text in told:
                if "Traceback" in text:
                    found.note("exception", text.strip().splitlines()[-1])
            told.clear()
            if found.broken or found.counts["commands"] >= end:
                return


def _config(rig: Any, rng: random.Random) -> BridgeConfig:
    """One that the bridge accepts: limits that leave something, a park pose clear of the table."""
    facts = Facts(*rig.bounds, "off", "", "", ())
    while True:
        with contextlib.suppress(ConfigError):
            config = configuration(rig.robot, rng)
            make_rules(config, rig.robot, facts)
            return config


def _begin(order: Order, rig: Any, rng: random.Random, adopt: bool) -> Life:
    config, robot = rig.config, rig.robot
    space = Space(robot, config.floor, config.keep_out, config.bases)
    judge = Judge(Bounds.of(robot, config, rig.bounds), space, rig.found, order.sample)
    arm = _adopted(rig, judge) if adopt else _opened(rig, judge)
    rules = make_rules(config, robot, arm.facts)
    machine = StateMachine(rules, Mailbox(make_door(config, robot)))
    machine.torque = arm.facts.torque
    if adopt:
        machine.adopt("the bridge before this one died")
    mode = lambda: machine.mode.value  # noqa: E731
    arm._mode = mode
    technician = _Technician(lambda: _adopted(rig, judge, mode), rng)
    info = make_info(config, robot, rules, arm.facts, "soak", "soak")
    rim = Rim(replug=technician)  # type: ignore[arg-type]
    loop = Loop(arm, machine, _Published(), info, config, rim)  # type: ignore[arg-type]
    loop.grid.start = loop.grid.start + loop.grid.period
    return Life(rig, judge, machine, loop, technician)


def _opened(rig: Any, judge: Judge) -> Watched:
    """Motors that the life before this one left to their watchdogs may be held on while they are checked."""
    arm = Watched(rig, judge, lambda: "starting", False)
    touches = rig.touches()
    if any(touch.what == "mit" for touch in touches):
        judge.adopted([touch for touch in touches if touch.what == "mit"])
    for touch in touches:
        if touch.what not in ("mit", "limit", "clear"):
            rig.found.note("frames", f"{touch.what} reached joint {touch.joint} while opening")
    return arm


def _adopted(rig: Any, judge: Judge, mode: Callable[[], str] = lambda: "starting") -> Watched:
    arm = Watched(rig, judge, mode, True)
    judge.adopted(rig.touches())
    return arm


def _live(one: Life, clock: _Time, rng: random.Random, end: int) -> None:
    """Tick until the bridge is done."""
    rig, judge, loop, found = one.rig, one.judge, one.loop, one.rig.found
    fuzzer = Fuzzer(rig.robot, rng)
    weather = rng.choice(WEATHER)
    published: Any = loop.service
    for _ in range(LONGEST):
        if one.machine.done or found.counts["commands"] >= end or found.broken:
            break
        rig.clock.until(loop.grid.due - clock.ahead)
        _mishap(rig, clock, rng, weather)
        loop.lateness.add(loop.grid.begin(clock.monotonic()))
        one.technician.work()
        began = rig.clock()
        found.place = f"tick {loop.grid.tick}"
        loop.tick()
        status = published.status
        if status is None:  # nothing was read yet
            loop.grid.tick += 1
            continue
        judge.tick(status.mode, status.clamped, (began, rig.clock()))
        if any(text in status.fault for text in OURS):
            found.note("exception", status.fault)
        loop.grid.tick += 1
        _talk(one, fuzzer, status, rng)


def _mishap(rig: Any, clock: _Time, rng: random.Random, weather: float) -> None:
    if rng.random() >= weather:
        return
    if rng.random() < 0.02:
        clock.ahead = max(0.0, clock.ahead + rng.choice((-0.3, 0.02, 0.3, 3.0)))
        rig.found.counts["fault clock jump"] += 1
    elif rng.random() < 0.02:
        rig.clock.until(rig.clock() + rng.uniform(0.0, 0.7))
        rig.found.counts["fault stopped process"] += 1
    else:
        rig.fault(rng)


def _talk(one: Life, fuzzer: Fuzzer, status: Status, rng: random.Random) -> None:
    """Clients send what they send between two ticks."""
    loop, judge, found, rules = one.loop, one.judge, one.rig.found, one.machine.rules
    for _ in range(rng.choice(BURSTS)):
        mode = one.machine.mode.value
        limits = rules.limits
        scene = Scene(mode, status.seq, status.tick, status.commanded, limits.lower, limits.upper, loop.info.rate_hz)
        message = fuzzer.message(scene)
        if message is None:
            continue
        found.counts["commands"] += 1
        found.message = message
        if isinstance(message, Command):
            judge.asked(message.name)
        answer = loop.answer(rng.choice((b"one", b"one", b"one", b"two")), message)
        accepted = isinstance(answer, Reply) and answer.ok
        if isinstance(answer, Reply) and any(text in answer.text for text in OURS):
            found.note("exception", f"{message!r:.300}: {answer.text}")
        if isinstance(message, Command):
            # A cut acts at once, whatever becomes of it: even where it fails, nothing may move after.
            cut = message.name == "cut" and one.machine.mode.value in ("estop", "fault")
            judge.word(message.name, message.argument or one.rig.config.exit_policy, accepted or cut)
        elif isinstance(message, Chunk):
            found.counts["chunks taken" if accepted else "chunks refused"] += 1
