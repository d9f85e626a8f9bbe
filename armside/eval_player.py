"""One policy that is ready to be evaluated: `Player(settings)`, then `play(case)` for every episode.

Opens the bundle as a run does (golden reproduced), keeps one world over its episodes, and makes of a case the scene,
the words, the pictures and the judge. The word `expert` in place of a bundle plays the scripted expert by the same
road: the best that can be hoped for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from armside.eval_cases import Case, Outcome
from armside.eval_expert import ExpertThinker, errand_in
from armside.eval_play import Manner, Played, Trial, play
from armside.eval_torch import TorchPolicy, is_checkpoint, open_checkpoint
from edge.engine import EngineOptions
from edge.session import Session
from edge.stepped import Thinker
from policy_spec.errors import UsageError, sentence
from policy_spec.frames import frame
from policy_spec.spec import PolicySpec
from sim.lockstep import Lockstep
from sim.randomise import draw, with_pictures, wrong_text
from sim.tasks.judges import YET, Judge, Verdict, judge_of
from sim.tasks.path import PERIOD_S
from sim.tasks.table import task_of
from sim.tasks.view import look
from sim.world import World

ROBOT = "so101"
EXPERT = "expert"
EXPERT_HORIZON = 16
EXPERT_SIZE = 140  # pixels; an expert does not look
CAMERAS = ("front", "wrist")
SHOWN_EVERY = 2  # looks of the judge: ten pictures a second


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all episodes of a policy."""

    policy: str  # a bundle's folder, a checkpoint's, or EXPERT
    frame: str = "so101-molmoact2"
    cameras: Mapping[str, str] = dataclasses.field(default_factory=dict)  # the policy's slot -> the scene's camera
    norm_tag: str | None = None
    execute: int = 0  # 0: half of a chunk
    rate_hz: float = 1.0 / PERIOD_S  # actions per second
    latency_ms: float = 0.0
    limit_s: float = 0.0  # of an episode; 0: the task's own
    threads: int = 0

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Player:
    """A context manager; one episode at a time."""

    def __init__(self, settings: Settings) -> None:
        """Raises ArmsideError for a bundle that cannot be opened, and cameras that do not fit."""
        self.settings = settings
        self._world: World | None = None
        self._session: Session | TorchPolicy | None = None
        slots: tuple[str, ...] = CAMERAS
        if settings.policy == EXPERT:
            horizon, self.size = EXPERT_HORIZON, EXPERT_SIZE
        else:
            self._session, spec = _opened(settings)
            slots, horizon = self._session.slots, self._session.tag.n_action_steps
            self.size = max(spec.image_size)
        self.cameras = camera_of_slots(slots, settings.cameras)
        execute = settings.execute or -(-horizon // 2)
        if not 1 <= execute <= horizon:
            raise UsageError(sentence("--execute", expected=f"1 to {horizon}", got=execute))
        self.manner = Manner(
            slots=slots,
            frame=frame(settings.frame, half_ranges=_half_ranges()),
            horizon=horizon,
            execute=execute,
            dt_s=1.0 / settings.rate_hz,
            latency_s=settings.latency_ms / 1000.0,
        )

    def play(self, case: Case, show: Callable[[np.ndarray], None] | None = None) -> Outcome:
        """The episode of a case. `show` is given both cameras' pictures, side by side, ten times a second."""
        drawn = draw(case.task, case.seed, perturb=case.condition.perturb, robot=ROBOT)
        world = self._in_scene(drawn)
        text = wrong_text(world.scene) if case.condition.wrong_word else world.scene.text
        judge = judge_of(world.arm, world.scene)
        told = self._told(world, text) if case.condition.wrong_word else None

        def verdict() -> Verdict:
            view = look(world)
            found = judge.see(view)
            # With a wrong word the episode goes on until what was said was done, or can be no more.
            if told is None or found.success or told.see(view).done:
                return found if told is None or found.done else Verdict(True, False, "did what it was told")
            return YET

        trial = Trial(
            text=text,
            seed=case.seed,
            limit_s=self.settings.limit_s or task_of(case.task).limit_s,
            judge=verdict,
            look=lambda: self._pictures(world, case.condition.black_camera),
        )
        with Lockstep(world) as rig:
            played = play(rig, self._thinker(world, text), self.manner, trial, self._shower(world, show))
        return Outcome(
            case=case,
            success=played.success,
            seconds=round(played.seconds, 6),
            path_rad=round(played.path_rad, 6),
            ending=played.ending,
            said=text,
            followed=None if told is None else told.verdict.success,
            chunks=played.chunks,
            refused=played.refused,
            clamped_ticks=played.clamped_ticks,
        )

    def drive(self, rig: Lockstep, world: World, said: str, limit_s: float, judge: Callable[[], Verdict]) -> Played:
        """Drives an arm in somebody else's world by the words `said`, until it is done or `limit_s` are over."""
        trial = Trial(said, world.scene.seed, limit_s, judge, look=lambda: self._pictures(world, False))
        played = play(rig, self._thinker(world, said), self.manner, trial)
        rig.after_tick = None
        return played

    def _in_scene(self, scene: Any) -> World:
        sized = with_pictures(scene, self.size, self.size)
        if self._world is None:
            self._world = World(ROBOT, sized)
        else:
            self._world.reset(sized)
        return self._world

    def _told(self, world: World, text: str) -> Judge:
        """Who judges whether what was said was done."""
        return judge_of(world.arm, dataclasses.replace(world.scene, errand=errand_in(text, world.scene)))

    def _thinker(self, world: World, text: str) -> Thinker:
        if self._session is not None:
            return self._session
        return ExpertThinker(world, errand_in(text, world.scene), self.manner.frame, self.manner.horizon)

    def _pictures(self, world: World, black: bool) -> dict[str, np.ndarray]:
        if black:
            nothing = np.zeros((self.size, self.size, 3), np.uint8)
            return dict.fromkeys(self.cameras, nothing)
        if self._session is None:
            return {slot: np.zeros((2, 2, 3), np.uint8) for slot in self.cameras}
        return {slot: world.picture(camera) for slot, camera in self.cameras.items()}

    def _shower(self, world: World, show: Callable[[np.ndarray], None] | None) -> Callable[[], None]:
        if show is None:
            return lambda: None
        count = 0

        def shown() -> None:
            nonlocal count
            if count % SHOWN_EVERY == 0:
                show(np.hstack([world.picture(camera) for camera in CAMERAS]))
            count += 1

        return shown

    def close(self) -> None:
        """Frees the graphs and the pictures' memory."""
        if self._session is not None:
            self._session.close()
        if self._world is not None:
            self._world.close()

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _opened(settings: Settings) -> tuple[Session | TorchPolicy, PolicySpec]:
    """A bundle as a run opens it, golden reproduced; or a checkpoint, played by the reference model."""
    path, threads = Path(settings.policy), settings.threads or None
    if is_checkpoint(path):
        policy = open_checkpoint(path, settings.norm_tag, threads)
        return policy, policy.pipeline.spec
    session = Session.open(path, norm_tag=settings.norm_tag, engine=EngineOptions(settings.threads))
    return session, session.bundle.spec


def camera_of_slots(slots: tuple[str, ...], given: Mapping[str, str]) -> dict[str, str]:
    """The policy's slots filled with the scene's cameras: as given, else by name, else in their order. UsageError."""
    unknown = [slot for slot in given if slot not in slots]
    if unknown:
        raise UsageError(sentence("--camera", expected="slots: " + ", ".join(slots), got=", ".join(unknown)))
    by_name = set(slots) <= set(CAMERAS)
    own = dict(zip(slots, slots if by_name else CAMERAS, strict=False))
    filled = {**own, **{slot: name.removeprefix("sim:") for slot, name in given.items()}}
    missing = [slot for slot in slots if slot not in filled]
    wrong = [name for name in filled.values() if name not in CAMERAS]
    if missing or wrong:
        do = f"give --camera {(missing or ['SLOT'])[0]}=front"
        got = f"nothing for {', '.join(missing)}" if missing else ", ".join(wrong)
        raise UsageError(sentence("the policy's cameras", expected=" or ".join(CAMERAS), got=got, do=do))
    return {slot: filled[slot] for slot in slots}


def _half_ranges() -> tuple[float, ...] | None:
    from armside.run import half_ranges

    return half_ranges(ROBOT, None)
