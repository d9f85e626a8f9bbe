"""What a user chooses for a run, the rhythm that follows from it, and what a recording says of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from edge.attach import Attach
from edge.camera import CameraPatience
from edge.policies import ANSWERS
from edge.schedule import Rhythm
from edge.start_pose import StartPose
from episodes.layout import RunHeader
from firmware_bridge.client import SIM, BridgeConfig, Info
from policy_spec.depth_decode import ORDERS
from policy_spec.errors import UsageError, sentence
from policy_spec.manifest import Manifest
from policy_spec.norm import NormTag


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a user chooses for a run."""

    bundle: Path
    bridge: BridgeConfig | Attach  # start one, or use the one that runs
    cameras: Mapping[str, str]  # slot -> source
    task: str
    frame: str  # a name of policy_spec.frames, never inferred
    norm_tag: str | None = None  # may be left out where the checkpoint has one
    seed: int = 0
    execute: int = 0  # steps used of each chunk; 0: half of them
    dt_s: float = 1 / 30  # between two actions
    duration_s: float | None = None  # None: until told
    record: Path | None = None
    record_dataset: Path | None = None  # a LeRobot dataset, new or to go on with
    image_format: str = "jpeg"  # of the recording; png keeps every pixel
    threads: int = 0  # 0: the physical cores
    resident: str = "all"  # graphs in memory: all, or the one that runs
    engine: str = "auto"  # one of engine.ENGINES
    verify: bool = False  # hash every file again
    depth_order: str = ORDERS[0]  # of a think bundle: draft, or as released
    answers: str = ANSWERS[0]  # of a discrete bundle: held to action tokens, or as released
    patience: CameraPatience = field(default_factory=CameraPatience)
    half_ranges: tuple[float, ...] | None = None  # rad, from the calibration; only some frames need them
    start_pose: StartPose | None = None  # move there first; None: refuse a real arm that stands elsewhere

    @property
    def simulated(self) -> bool:
        """Virtual servos, started by this run or by the bridge that it uses."""
        return self.bridge.port == SIM


def rhythm_of(config: RunConfig, tag: NormTag, rate_hz: float) -> Rhythm:
    """How many steps of each chunk are used. UsageError where that cannot be."""
    horizon = tag.n_action_steps
    execute = config.execute or -(-horizon // 2)
    if not 1 <= execute <= horizon:
        raise UsageError(sentence("steps used of each chunk", expected=f"1 to {horizon}", got=execute))
    return Rhythm(horizon, execute, config.dt_s * rate_hz)


def make_header(config: RunConfig, manifest: Manifest, tag: NormTag, info: Info, engine: str) -> RunHeader:
    """What a recording says at its beginning."""
    rhythm = rhythm_of(config, tag, info.rate_hz)
    return RunHeader(
        arm=info.arm,
        joints=info.joints,
        joint_units=tuple("1" if "gripper" in joint else "rad" for joint in info.joints),
        cameras=dict(config.cameras),
        horizon=rhythm.horizon,
        dt_s=config.dt_s,
        execute=rhythm.execute,
        seed=config.seed,
        task=config.task,
        bundle=str(config.bundle),
        norm_tag=tag.tag,
        frame=config.frame,
        policy_joints=info.joints,
        image_format=config.image_format,
        started_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        started_s=time.monotonic(),
        rate_hz=info.rate_hz,
        facts={
            "armside": manifest.armside_version,
            "precision": manifest.precision,
            **_mode_facts(config, manifest),
            "source": dataclasses.asdict(manifest.source),
            "engine": engine,
            "port": config.bridge.port if config.bridge.port == info.port else f"{config.bridge.port} ({info.port})",
            "live": info.live,
            "exit_policy": info.exit_policy,
            "calibration": info.calibration,
            **({} if config.half_ranges is None else {"half_ranges_rad": list(config.half_ranges)}),
        },
    )


def _mode_facts(config: RunConfig, manifest: Manifest) -> dict[str, str]:
    """How the policy generates what it generates before it acts, if anything."""
    if manifest.mode == "continuous":
        return {}
    how = {"think": f"order {config.depth_order}", "discrete": f"answers {config.answers}"}[manifest.mode]
    return {"mode": f"{manifest.mode}, head {manifest.head}, {how}"}
