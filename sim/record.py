"""One episode of an expert in lockstep, as rows for a dataset: what was measured, what was wanted, what was seen.

The expert sees the truth and says once each control period where the joints shall be at its end; the bridge takes that
as a chunk of two actions and goes there in a straight line, through servo frames. A row holds, of one moment: the
joints as the bridge read them, what the expert had wanted for that moment (disturbances are sent but not recorded),
and a picture of each camera. That is what a chunk means to the bridge, whose first action is due at the moment of its
observation: who repeats the rows repeats the motion. Somebody else may drive first, a policy that gets where it does
not know how to go on: the rows then begin where the expert takes over (Kelly et al., "HG-DAgger", ICRA 2019). Knows
nothing of files and of policies' units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.config import BridgeConfig
from firmware_bridge.errors import BridgeError
from firmware_bridge.messages import FRAME, UNITS, Chunk, Status
from policy_spec.errors import SimError, sentence
from sim.lockstep import Lockstep
from sim.tasks.judges import Verdict, judge_of
from sim.tasks.nudges import USUAL, Nudges
from sim.tasks.path import PERIOD_S
from sim.tasks.table import task_of
from sim.tasks.trial import expert_of
from sim.tasks.view import look
from sim.world import World

Array = npt.NDArray[np.float64]
# Drives the arm before the expert does, from taking it on, until it likes or nothing can change the verdict.
Lead = Callable[[Lockstep, Callable[[], Verdict]], object]
TAIL = 5  # periods that an episode goes on once it is done: to stay is part of the task


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """How episodes are recorded."""

    cameras: tuple[str, ...] = ("front", "wrist")
    depth: bool = False  # depth maps of the same cameras too
    nudge: float = USUAL  # rad: an expert's drift, which a policy learns to come back from; 0: undisturbed
    tail: int = TAIL


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """An episode of T rows."""

    text: str
    success: bool
    reason: str  # of a failure
    states: Array  # [T, D] measured, rad, gripper 0..1
    actions: Array  # [T, D] wanted for that moment
    pictures: Mapping[str, npt.NDArray[np.uint8]]  # camera -> [T, h, w, 3]
    depths: Mapping[str, npt.NDArray[np.float32]]  # camera -> [T, h, w] m


class Rows:
    """Collects them."""

    def __init__(self, world: World, options: RecordOptions) -> None:
        self._world, self._options = world, options
        self.states: list[Array] = []
        self.actions: list[Array] = []
        self.pictures: dict[str, list[npt.NDArray[np.uint8]]] = {name: [] for name in options.cameras}
        self.depths: dict[str, list[npt.NDArray[np.float32]]] = {n: [] for n in options.cameras if options.depth}

    def add(self, measured: Array, wanted: Array) -> None:
        """This moment."""
        self.states.append(measured.copy())
        self.actions.append(wanted.copy())
        for name, kept in self.pictures.items():
            kept.append(self._world.picture(name))
        for name, maps in self.depths.items():
            maps.append(self._world.depth(name))

    def done(self, text: str, verdict: Verdict) -> Recorded:
        """All of them."""
        return Recorded(
            text=text,
            success=verdict.success,
            reason=verdict.reason or ("" if verdict.success else "time is over"),
            states=np.stack(self.states),
            actions=np.stack(self.actions),
            pictures={name: np.stack(kept) for name, kept in self.pictures.items()},
            depths={name: np.stack(kept) for name, kept in self.depths.items()},
        )


def record_episode(
    world: World, seed: int, options: RecordOptions, config: BridgeConfig | None = None, lead: Lead | None = None
) -> Recorded:
    """The expert's episode in the world's scene, which was reset to it. `seed`: of its manner and disturbances.

    Raises SimError where the bridge stopped the arm: an expert may not need that.
    """
    scene = world.scene
    if scene.errand is None:
        raise SimError(sentence("a scene to record", expected="one with an errand", got="none"))
    expert, judge, nudges = expert_of(world, seed), judge_of(world.arm, scene), Nudges(seed, options.nudge)
    rows = Rows(world, options)
    with Lockstep(world, config) as rig:
        if lead is not None:
            lead(rig, lambda: judge.see(look(world)))
            expert.take_over(look(world))
        status = rig.take() if lead is None else rig.client.status()
        joints, grippers = rig.client.info.joints, rig.client.info.grippers
        ticks = round(PERIOD_S * rig.client.info.rate_hz)
        wanted = sent = status.measured
        over, left = round(task_of(scene.errand.kind).limit_s / PERIOD_S), options.tail
        for _ in range(over + options.tail):
            view = look(world)
            verdict = judge.see(view)
            rows.add(status.measured, wanted)
            left -= verdict.done
            if left < 0 or (verdict.done and not verdict.success):
                break
            goals = expert.act(view)
            nudged = nudges.on(goals, grippers, expert.bears)
            wanted, before, sent = _row(goals, joints), sent, _row(nudged, joints)
            _send(rig, status, before, sent)
            for _ in range(ticks):
                status = rig.client.status()
            if status.fault:
                raise SimError(sentence(f"the expert of {scene.text!r}, seed {seed}", got=status.fault))
        return rows.done(scene.text, judge.verdict)


def _row(goals: Mapping[str, float], joints: tuple[str, ...]) -> Array:
    return np.array([goals[name] for name in joints])


def _send(rig: Lockstep, status: Status, before: Array, goal: Array) -> None:
    """A straight line over one period, from what was sent for this moment. Raises SimError for a refusal."""
    chunk = Chunk(
        actions=np.stack([before, goal]).astype(np.float32),
        arm=status.arm,
        units=UNITS,
        frame=FRAME,
        status_seq=status.seq,
        start_tick=status.tick,
        dt=PERIOD_S,
    )
    try:
        reply = rig.client.send_chunk(chunk)
    except BridgeError as error:
        raise SimError(sentence("a chunk of the expert", got=error)) from error
    if not reply.ok:
        raise SimError(sentence("a chunk of the expert", expected="taken", got=reply.text))
