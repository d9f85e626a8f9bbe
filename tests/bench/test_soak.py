"""A short soak finds nothing broken, and its judge finds a core, a driver or a bridge that is broken on purpose."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import soak_run
from bench.soak import ARMS, Soak, faults_of, live, note, run, table
from bench.soak_can import CanRig
from bench.soak_fuzz import Fuzzer, Scene
from bench.soak_judge import Bounds, Findings
from bench.soak_live import StatusJudge
from bench.soak_run import Life, Order, run_episode
from bench.soak_space import Space
from firmware_bridge.config import BridgeConfig, Timing
from firmware_bridge.damiao.owed import Owed
from firmware_bridge.errors import ChunkRefused
from firmware_bridge.messages import Chunk, Command
from firmware_bridge.robots import find
from firmware_bridge.safety.modes import Mode, Reading, Step
from firmware_bridge.safety.workspace import make_workspace
from firmware_bridge.sts.bus import Patience
from firmware_bridge.sts.codec import Codec
from firmware_bridge.sts.stale import Ask, Debts

EPISODES = 60  # in which a spoilt part must show itself


@pytest.mark.parametrize(("arm", "commands", "faults"), [("so101", 20_000, 250), ("yam", 5_000, 250)])
def test_a_short_soak_breaks_nothing(arm: str, commands: int, faults: int) -> None:
    soak = Soak(arm, 7)
    run(soak, commands, faults)
    assert soak.broken == []
    row, counts = soak.row(), soak.found.counts
    assert counts["commands"] >= commands and sum(faults_of(soak.found).values()) >= faults
    # It was a soak: the arm moved, stopped, was armed again, was looked at in space, and most faults happened.
    assert counts["goals"] > commands / 50 and counts["torque on"] > 10 and counts["estop"] > 5
    assert counts["chunks taken"] > 100 < counts["chunks refused"]
    assert counts["stamps"] > 5 * counts["ticks"] / 2 and counts["goals at servos"] > 5 * counts["goals"]
    assert counts["poses in space"] > 5 and len(faults_of(soak.found)) >= 10
    for mode in ("shadow", "ready", "running", "estop", "fault"):
        assert counts[f"mode {mode}"] > 0, mode
    assert arm in table([row]) and json.loads(json.dumps(row))["stale"] == 0


@pytest.mark.parametrize("arm", ["so100", "bi-yam"])
def test_the_other_arms_soak_too(arm: str) -> None:
    soak = Soak(arm, 3)
    run(soak, 1500, 10)
    assert soak.broken == [] and soak.found.counts["goals"] > 0


def test_a_real_bridge_under_fuzz_answers_ticks_and_parks() -> None:
    soak = Soak("so101", 7)
    live(soak, 300)
    assert soak.broken == []
    counts = soak.found.counts
    assert counts["live messages"] == 300 and counts["live statuses"] > 20
    assert counts["live accepted"] > 20 and counts["live refused: ProtocolMismatch"] > 3
    assert counts["live ended: parked; torque off"] == 1


def test_an_episode_is_made_again_by_its_number() -> None:
    first, again, other = Findings(), Findings(), Findings()
    run_episode(Order("so101", 5, 2, 800), first)
    run_episode(Order("so101", 5, 2, 800), again)
    run_episode(Order("so101", 5, 3, 800), other)
    assert first.counts == again.counts and first.worst_tick_s == again.worst_tick_s
    assert first.counts != other.counts


def test_an_answer_that_came_while_the_process_was_stopped_is_not_new() -> None:
    """Found by the soak: it lay in the buffer, and the quarantine had run out meanwhile."""
    robot, found = find("yam"), Findings()
    config = BridgeConfig("yam", "sim", timing=Timing(rate_hz=200.0))
    rig = CanRig(robot, config, found, random.Random(1))
    with soak_run.virtual_time(rig.clock):
        arm = rig.open(False)
        assert arm.read().fresh.all()
        rig.channels[0].faults[3].late, rig.channels[0].faults[3].late_s = 2, 0.03
        assert not arm.read().fresh[3]
        rig.clock.until(rig.clock() + 0.7)
        for _ in range(30):
            state = arm.read()
            rig.check(state)
            rig.clock.until(rig.clock() + 0.005)
        arm.close()
    assert state.fresh.all() and found.broken == []


# -- negative controls: each spoils one part, and the judge must name the rule


def envelope(**fields: Callable[[Any], Any]) -> Callable[[Life], None]:
    def spoil(life: Life) -> None:
        rules = life.machine.rules
        changed = {name: change(rules.envelope) for name, change in fields.items()}
        life.machine.rules = dataclasses.replace(rules, envelope=dataclasses.replace(rules.envelope, **changed))

    return spoil


def limits(**fields: Callable[[Any], Any]) -> Callable[[Life], None]:
    return envelope(
        limits=lambda e: dataclasses.replace(e.limits, **{name: change(e.limits) for name, change in fields.items()})
    )


def step(change: Callable[[Life, Reading], Reading]) -> Callable[[Life], None]:
    """The core is told something else than what was read."""

    def spoil(life: Life) -> None:
        told = life.machine.step

        def other(reading: Reading) -> Step:
            return told(change(life, reading))

        life.machine.step = other  # type: ignore[method-assign]

    return spoil


def unlatched(life: Life) -> None:
    obey = life.machine.command

    def command(name: str, now: float) -> str:
        before = life.machine.mode
        done = obey(name, now)
        if name == "estop" and before in (Mode.READY, Mode.RUNNING):
            life.machine.mode = before
        return done

    life.machine.command = command  # type: ignore[method-assign]


def eager(life: Life) -> None:
    """Torque goes on by itself."""
    told, count = life.machine.step, iter(range(10**9))

    def other(reading: Reading) -> Step:
        done = told(reading)
        return Step(torque=True) if next(count) == 20 and life.machine.torque == "off" else done

    life.machine.step = other  # type: ignore[method-assign]


def lets_go(life: Life) -> None:
    """Torque goes off by itself, where the arm is."""
    told = life.machine.step

    def other(reading: Reading) -> Step:
        done = told(reading)
        return Step(torque=False) if done.goal is not None and abs(done.goal[1] + 1.0) < 0.3 else done

    life.machine.step = other  # type: ignore[method-assign]


def trusting_bus(life: Life) -> None:
    """Any answer is taken for the answer to this request."""

    class Trusting(Debts):
        def ask(self, length: int, servos: Sequence[int], now: float) -> Ask:
            return Ask(length, tuple(servos), ())

    life.rig.kinds = ("late",)
    life.rig.arm.bus._debts = Trusting()


def trusting_chain(life: Life) -> None:
    count = len(life.rig.robot.joints)

    class Trusting(Owed):
        def may_ask(self, motor: int, now: float) -> bool:
            return True

        def came(self, motor: int, now: float) -> None:
            self._debts[motor] = type(self._debts[motor])(answered=True)

    life.rig.kinds = ("late",)
    life.rig.arm.chain.owed = Trusting(count)


def shifted(life: Life) -> None:
    class Shifted(Codec):
        def to_ticks(self, si: Any) -> Any:
            return Codec.to_ticks(self, si) + 3

    codec = life.rig.arm.codec
    life.rig.arm.codec = Shifted(codec.zero, codec.scale, codec.lowest, codec.highest, codec.gripper)


def patient(life: Life) -> None:
    life.rig.arm.bus.patience = Patience(reply_timeout_s=2.0)


def mistaken(life: Life) -> None:
    def chunk(*_: object) -> str:
        raise ZeroDivisionError

    life.machine.chunk = chunk  # type: ignore[method-assign]


def blind(life: Life, reading: Reading) -> Reading:
    state = dataclasses.replace(reading.state, fresh=np.ones_like(reading.state.fresh))
    return dataclasses.replace(reading, state=state)


def deaf(life: Life, reading: Reading) -> Reading:
    many = len(reading.state.alarms)
    state = dataclasses.replace(reading.state, changed=(), alarms=("",) * many, errors=(0,) * many)
    return dataclasses.replace(reading, state=state)


def halting(life: Life) -> None:
    """Goals stop in the middle of a movement."""
    told, count = life.machine.step, iter(range(10**9))

    def other(reading: Reading) -> Step:
        done = told(reading)
        return Step() if next(count) % 7 == 6 else done

    life.machine.step = other  # type: ignore[method-assign]


SPOILT = {
    "limits widened": ("so101", limits(lower=lambda n: n.lower - 1.0, upper=lambda n: n.upper + 1.0), "limits"),
    "limits of a YAM widened": ("yam", limits(lower=lambda n: n.lower - 1.0, upper=lambda n: n.upper + 1.0), "limits"),
    "too fast": ("so101", limits(speed=lambda n: n.speed * 1.01), "speed"),
    "too hard": ("so101", envelope(acceleration=lambda e: e.acceleration * 1.01), "acceleration"),
    "halts at once": ("so101", halting, "acceleration"),
    "runs ahead": ("so101", envelope(lead=lambda e: e.lead * 20.0), "lead"),
    "sees no table": ("so101", envelope(workspace=lambda e: None), "space"),
    "an emergency stop is not latched": ("so101", unlatched, "goal"),
    "an emergency stop is not latched on CAN": ("yam", unlatched, "goal"),
    "a silent servo is overlooked": ("so101", step(blind), "goal"),
    "a servo without torque is overlooked": ("so101", step(deaf), "goal"),
    "torque goes on by itself": ("so101", eager, "torque"),
    "torque goes off by itself": ("so101", lets_go, "torque"),
    "late is taken for new": ("so101", trusting_bus, "stale"),
    "late is taken for new on CAN": ("yam", trusting_chain, "stale"),
    "another tick than commanded": ("so101", shifted, "limits"),
    "waits too long": ("so101", patient, "hang"),
    "a mistake": ("so101", mistaken, "exception"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_the_judge_finds(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arm, spoil, rule = SPOILT[what]
    if rule == "stale":
        monkeypatch.setattr(soak_run, "WEATHER", (0.1,))
    found = Findings()
    rules: set[str] = set()
    for episode in range(EPISODES):
        run_episode(Order(arm, 2, episode, 3000, sample=1 if rule == "space" else 0), found, spoil)
        rules |= {name for name, _ in found.broken}
        if rule in rules:
            break
        found.broken.clear()
    assert rule in rules, (rules, found.counts)


def test_a_broken_rule_is_told_with_its_reproduction(capsys: pytest.CaptureFixture[str]) -> None:
    soak = Soak("so101", 2)
    for episode in range(EPISODES):
        run_episode(Order("so101", 2, episode, 3000), soak.found, limits(speed=lambda n: n.speed * 2.0))
        note(soak, f"--episode {episode}")
        if soak.broken:
            break
    assert soak.broken and soak.row()["limits_broken"] == len(soak.broken) and soak.found.broken == []
    told = capsys.readouterr().err
    assert "BROKEN speed: tick " in told and ", after " in told and "faster than its speed" in told
    assert f"python -m bench.soak --arm so101 --seed 2 --episode {episode}" in told


def test_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.soak", "--arm", "so101", "--commands", "200", "--faults", "0", "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["arm"] == "so101" and row["commands"] >= 200 and row["broken"] == []


# -- the judge's own arithmetic


@pytest.mark.parametrize("arm", ARMS)
def test_two_opinions_of_space_agree(arm: str) -> None:
    """The judge's slow arithmetic and the core's, over random poses, table and boxes."""
    robot, rng = find(arm), np.random.default_rng(4)
    bases = {"left": (0.0, 0.3, 0.0, 0.2), "right": (0.1, -0.3, 0.05, -0.4)} if len(robot.bodies) == 2 else {}
    boxes = {"one": (0.1, -0.2, 0.0, 0.3, 0.1, 0.2), "two": (-0.3, -0.1, 0.1, -0.1, 0.2, 0.4)}
    slow, fast = Space(robot, 0.02, boxes, bases), make_workspace(robot, 0.02, boxes, False, bases)
    inside = 0
    for _ in range(60):
        pose = np.array(
            [rng.uniform(0, 1) if name in robot.grippers else rng.uniform(-2.0, 2.0) for name in robot.joints]
        )
        named = dict(zip(fast.names, fast.clearance(pose[None])[0].tolist(), strict=True))
        ours = slow.clearance(pose)
        table_of_ours = min(value for name, value in ours.items() if name.endswith(": floor"))
        assert table_of_ours == pytest.approx(min(v for n, v in named.items() if n.startswith("floor")), abs=1e-6)
        for box in boxes:
            near = min(value for name, value in ours.items() if name.endswith(f": {box}"))
            core = min(v for n, v in named.items() if n.startswith(f"keep-out {box}"))
            inside += near < 0.0
            # Depths are the same; where nothing touches, both are content with a lower bound.
            assert core == pytest.approx(near, abs=1e-6) if near < 0.0 else core > 0.0
    assert inside > 3


def status(**fields: Any) -> Any:
    row = {"seq": 1, "tick": 1, "t": 1.0, "torque": "on", "mode": "running", "fault": "", "note": ""}
    return SimpleNamespace(**{**row, "commanded": np.zeros(6), **fields})


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("", {}),
        ("hang", {"seq": 3}),
        ("hang", {"tick": 1}),
        ("speed", {"commanded": np.full(6, 0.04)}),
        ("", {"commanded": np.full(6, 0.02)}),
        ("goal", {"commanded": np.full(6, 0.02), "mode": "estop"}),
        ("exception", {"fault": "a mistake inside the bridge: ZeroDivisionError()"}),
    ],
)
def test_statuses_of_a_live_bridge_are_judged(rule: str, fields: dict[str, Any]) -> None:
    robot = find("so101")
    config = BridgeConfig("so101", "sim")
    timing = dataclasses.replace(config.timing, rate_hz=100.0)
    bounds = Bounds.of(robot, dataclasses.replace(config, timing=timing), (np.full(6, -2.0), np.full(6, 2.0)))
    found = Findings()
    judge = StatusJudge(bounds, found)
    judge.status(status(mode=fields.get("mode", "running")))
    judge.status(status(**{"seq": 2, "tick": 2, "t": 1.01, **fields}))
    assert [name for name, _ in found.broken] == ([rule] if rule else [])


def test_the_fuzzer_sends_every_kind() -> None:
    fuzzer = Fuzzer(find("so101"), random.Random(1))
    scene = Scene("ready", 500, 500, np.zeros(6), np.full(6, -1.5), np.full(6, 1.5), 100.0)
    sent = [fuzzer.message(scene) for _ in range(5000)]
    kinds = {type(message) for message in sent}
    assert {Chunk, Command, ChunkRefused, type(None)} <= kinds
    words = {message.name for message in sent if isinstance(message, Command)}
    assert {"arm", "rearm", "pause", "resume", "estop", "cut", "park", "shutdown"} <= words
    chunks = [message for message in sent if isinstance(message, Chunk)]
    assert any(not np.isfinite(chunk.actions).all() for chunk in chunks)
    assert any(np.abs(chunk.actions).max() > 1e6 for chunk in chunks)
    assert {chunk.arm for chunk in chunks} > {"so101", "yam"}
