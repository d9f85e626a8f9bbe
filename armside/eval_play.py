"""One episode of an evaluation: a policy drives a simulated arm in lockstep, by the loop and the pilot of a run.

Takes an arm in lockstep (sim), whatever predicts (edge) and what says that the task is done; gives what came of it.
Every action is a chunk that the bridge took and sent as servo frames, every state was read from servos. The clock is
the world's: predictions take no time, or as long as one says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from armside.eval_cases import DONE, ENDED, FAILED, TIME
from edge.control import QUIT, Control
from edge.loop import Loop
from edge.pilot import LoopConfig, Parts
from edge.recorder import NoRecorder
from edge.schedule import Rhythm
from edge.state import ExitReason, QuietUi
from edge.stepped import SteppedCameras, SteppedPredictor, Thinker

if TYPE_CHECKING:
    from policy_spec.frames import Frame
    from sim.lockstep import Lockstep
    from sim.tasks.judges import Verdict

LOOKS_PER_S = 20.0  # of the judge


@dataclass(frozen=True, slots=True)
class Manner:
    """How a policy is asked, the same for all episodes."""

    slots: tuple[str, ...]  # the policy's cameras, in its order
    frame: Frame
    horizon: int  # steps of a chunk
    execute: int  # steps used of each
    dt_s: float  # between two actions
    latency_s: float = 0.0  # that a prediction takes


@dataclass(frozen=True, slots=True)
class Trial:
    """What one episode asks for. `judge` and `look` are asked in the world's time."""

    text: str
    seed: int
    limit_s: float
    judge: Callable[[], Verdict]
    look: Callable[[], Mapping[str, np.ndarray]]  # slot -> uint8 [h, w, 3]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it."""

    success: bool
    seconds: float
    path_rad: float
    ending: str
    chunks: int
    refused: int
    clamped_ticks: int


class Watcher:
    """Looks at every tick: whether it is done, and how far the joints went."""

    def __init__(self, rig: Lockstep, trial: Trial, control: Control, show: Callable[[], None]) -> None:
        info = rig.client.info
        self._rig, self._trial, self._control, self._show = rig, trial, control, show
        self._moving = np.array([joint not in info.grippers for joint in info.joints])
        self._every = max(1, round(info.rate_hz / LOOKS_PER_S))
        self._count = 0
        self._at: np.ndarray | None = None
        self.began = rig.now
        self.verdict: Verdict | None = None  # once nothing can change it
        self.ended = 0.0
        self.path_rad = 0.0
        self.clamped = 0

    def tick(self) -> None:
        """After each tick of the bridge."""
        status = self._rig.newest
        if status is None or self.verdict is not None:
            return
        at = status.measured[self._moving]
        if self._at is not None:
            self.path_rad += float(np.abs(at - self._at).sum())
        self._at = at
        self.clamped += bool(status.clamped)
        if self._count % self._every == 0:
            self._show()
            found = self._trial.judge()
            if found.done:
                self.verdict, self.ended = found, self._rig.now
                self._control.say(QUIT)
        self._count += 1


def play(
    rig: Lockstep, thinker: Thinker, manner: Manner, trial: Trial, show: Callable[[], None] = lambda: None
) -> Played:
    """Plays until it is done, well or not, or time is over. `show` is called twenty times a second of its time."""
    control = Control()
    control.moving = True
    predictor: Any = SteppedPredictor(thinker, rig.clock, manner.latency_s)
    cameras: Any = SteppedCameras(manner.slots, trial.look, rig.clock)
    client: Any = rig.client
    parts = Parts(client, cameras, predictor, manner.frame, NoRecorder(), control, QuietUi(), rig.clock)
    rate_hz = rig.client.info.rate_hz
    config = LoopConfig(
        task=trial.text,
        seed=trial.seed,
        rhythm=Rhythm(manner.horizon, manner.execute, manner.dt_s * rate_hz),
        dt_s=manner.dt_s,
        rate_hz=rate_hz,
        first_latency_s=manner.latency_s,
        duration_s=trial.limit_s,
    )
    rig.take()
    loop = Loop(config, parts)
    watcher = Watcher(rig, trial, control, show)
    rig.after_tick = watcher.tick
    reason, text = loop.run()
    found = watcher.verdict
    if found is not None:
        ending = DONE if found.success else f"{FAILED}: {found.reason}"
    else:
        ending = TIME if reason is ExitReason.DURATION else f"{ENDED}: {reason.value}: {text}"
    return Played(
        success=found is not None and found.success,
        seconds=(rig.now if found is None else watcher.ended) - watcher.began,
        path_rad=watcher.path_rad,
        ending=ending,
        chunks=loop.pilot.sent,
        refused=loop.pilot.refused,
        clamped_ticks=watcher.clamped,
    )
