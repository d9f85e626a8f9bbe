"""One run from a bundle's path to an arm that is left as configured: `run(RunConfig(...)) -> RunResult`.

Opens in the order in which mistakes are cheap: the bundle's facts, the bridge, the cameras, the session, the
recording; only then the arm is armed. Closes in the order that is safe: the arm first. The rim of the room:
everything that is opened is opened here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from edge.camera import CameraPatience
from edge.cameras import Cameras, check_slots, open_cameras
from edge.control import Control, signals
from edge.convert import check_fit
from edge.loop import Ending, Loop, LoopConfig, Parts
from edge.predictor import Predictor
from edge.recorder import NoRecorder, Recorder
from edge.schedule import Rhythm
from edge.session import Session, camera_slots
from edge.state import ExitReason, LoopEvent, LoopUi, QuietUi, RunResult
from episodes.layout import EndRecord, RunHeader
from firmware_bridge.client import BridgeConfig, BridgeGone, BridgeHandle, CommandRefused, start_bridge
from policy_spec.bundle import Bundle, open_bundle
from policy_spec.errors import UsageError, sentence
from policy_spec.frames import frame
from policy_spec.norm import NormTag


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a user chooses for a run."""

    bundle: Path
    bridge: BridgeConfig
    cameras: Mapping[str, str]  # slot -> source
    task: str
    frame: str  # a name of policy_spec.frames, never inferred
    norm_tag: str | None = None  # may be left out where the checkpoint has one
    seed: int = 0
    execute: int = 0  # steps used of each chunk; 0: half of them
    dt_s: float = 1 / 30  # between two actions
    duration_s: float | None = None  # None: until told
    record: Path | None = None
    image_format: str = "jpeg"  # of the recording; png keeps every pixel
    threads: int = 0  # 0: the physical cores
    verify: bool = False  # hash every file again
    patience: CameraPatience = field(default_factory=CameraPatience)
    half_ranges: tuple[float, ...] | None = None  # rad, from the calibration; only some frames need them


def run(config: RunConfig, control: Control | None = None, ui: LoopUi | None = None) -> RunResult:
    """Runs until the duration is over, someone says stop, or something fails; the arm is then left as configured.

    Raises ArmsideError and BridgeError for what is wrong before anything moves; afterwards RunResult says it.
    """
    control, ui = control or Control(), ui or QuietUi()
    with signals(control):
        try:
            return _run(config, control, ui)
        except KeyboardInterrupt:
            return RunResult(ExitReason.INTERRUPT, "Ctrl-C while opening", "nothing had moved")


def _run(config: RunConfig, control: Control, ui: LoopUi) -> RunResult:
    bundle = open_bundle(config.bundle, verify=config.verify)
    tag = bundle.spec.tag(config.norm_tag)
    check_slots(config.cameras, camera_slots(tag, bundle.manifest.cameras))
    bundle.require_arm(config.bridge.robot)
    joint_frame = frame(config.frame, config.half_ranges)
    rhythm_of(config, tag, 100.0)  # a bad --execute is found before anything is opened

    def say(name: str, text: str) -> None:
        ui.event(LoopEvent(time.monotonic(), name, text))

    with contextlib.ExitStack() as stack:
        handle = start_bridge(config.bridge)
        left = stack.enter_context(_Leaving(handle))
        check_fit(handle.client.info, tag, joint_frame)
        slots = camera_slots(tag, bundle.manifest.cameras)
        cameras = stack.enter_context(
            open_cameras(config.cameras, slots, config.patience, lambda text: say("camera", text))
        )
        say("opening", f"{bundle.manifest.precision} bundle {config.bundle}")
        session = stack.enter_context(
            Session.open(config.bundle, norm_tag=config.norm_tag, threads=config.threads or None)
        )
        say("ready", f"{session.engine.name}; golden reproduced within {session.ready.golden.error:.2g}")
        predictor = Predictor(session)
        stack.callback(predictor.close)
        header = make_header(config, bundle, tag, handle, cameras, session.engine.name)
        recorder = (
            Recorder(config.record, header, lambda text: say("recording", text)) if config.record else None
        )
        parts = Parts(handle.client, cameras, predictor, joint_frame, recorder or NoRecorder(), control, ui)
        loop = Loop(_loop_config(config, tag, handle, session), parts)
        return _drive(loop, left, config)


def rhythm_of(config: RunConfig, tag: NormTag, rate_hz: float) -> Rhythm:
    """How many steps of each chunk are used. UsageError where that cannot be."""
    horizon = tag.n_action_steps
    execute = config.execute or -(-horizon // 2)
    if not 1 <= execute <= horizon:
        raise UsageError(sentence("steps used of each chunk", expected=f"1 to {horizon}", got=execute))
    return Rhythm(horizon, execute, config.dt_s * rate_hz)


def _loop_config(config: RunConfig, tag: NormTag, handle: BridgeHandle, session: Session) -> LoopConfig:
    rate_hz = handle.client.info.rate_hz
    return LoopConfig(
        task=config.task,
        seed=config.seed,
        rhythm=rhythm_of(config, tag, rate_hz),
        dt_s=config.dt_s,
        rate_hz=rate_hz,
        first_latency_s=session.ready.first_call_s,
        duration_s=config.duration_s,
    )


def _drive(loop: Loop, left: _Leaving, config: RunConfig) -> RunResult:
    """Arms, loops, leaves the arm, closes the recording; whatever happens, in this order."""
    parts, started = loop.parts, time.monotonic()
    parts.control.moving = True  # from here on Ctrl-C is a word
    ending: Ending = ExitReason.BRIDGE, "the run broke off"
    try:
        _arm(loop)
        ending = loop.run()
    finally:
        seconds = time.monotonic() - started
        loop.event("end", f"{ending[0].value}: {ending[1]}")
        farewell = left.leave(loop)
        counts = {"chunks": loop.sent, "refused": loop.refused, "waited_ticks": loop.waited_ticks}
        parts.recorder.close(EndRecord(time.monotonic(), ending[0].value, f"{ending[1]}; {farewell}", counts))
    late = loop.status.late_ticks if loop.status else 0
    return RunResult(
        reason=ending[0],
        text=ending[1],
        farewell=farewell,
        seconds=seconds,
        chunks=loop.sent,
        refused=loop.refused,
        waited_ticks=loop.waited_ticks,
        late_ticks=late,
        recording=config.record,
        recording_error=parts.recorder.error,
    )


def _arm(loop: Loop) -> None:
    """Torque on with goal = present; a port that is not live stays a shadow, and that is said."""
    client = loop.parts.client
    if client.info.live:
        loop.event("armed", client.arm().text)
    else:
        loop.event("shadow", f"{client.info.port} is not live: goals are computed and shown, none is sent")


class _Leaving:
    """Leaves the arm by the configured exit policy and ends the bridge, once, from wherever the run stops."""

    def __init__(self, handle: BridgeHandle) -> None:
        self._handle = handle
        self._farewell: str | None = None

    def leave(self, loop: Loop | None = None) -> str:
        """Parks where configured (recording it all; Ctrl-C once more holds instead), then ends the bridge."""
        if self._farewell is None:
            policy = ""
            try:
                if (
                    loop is not None
                    and self._handle.config.exit_policy == "park"
                    and loop.parts.client.info.live
                ):
                    policy = self._park(loop)
                self._farewell = self._handle.close(policy)
            except BridgeGone as error:
                self._farewell = str(error)
        return self._farewell

    def _park(self, loop: Loop) -> str:
        """Follows the parking to its end. Gives another policy where it was cut short."""
        client, control = loop.parts.client, loop.parts.control
        seen = control.interrupts
        deadline = time.monotonic() + self._handle.config.timing.park_timeout_s
        try:
            client.park()
            while time.monotonic() < deadline:
                status = client.status(timeout_s=1.0)
                loop.hear(status)
                if status.mode != "parking":
                    return ""
                if control.interrupts > seen:
                    loop.event("park", "cut short: holding here with torque on")
                    return "hold"
        except CommandRefused as error:  # after a fault or an emergency stop: it stays as it is
            loop.event("park", str(error))
        return ""

    def __enter__(self) -> _Leaving:
        return self

    def __exit__(self, *raised: object) -> None:
        self.leave()


def make_header(
    config: RunConfig, bundle: Bundle, tag: NormTag, handle: BridgeHandle, cameras: Cameras, engine: str
) -> RunHeader:
    """What a recording says at its beginning."""
    info, manifest = handle.client.info, bundle.manifest
    rhythm = rhythm_of(config, tag, info.rate_hz)
    return RunHeader(
        arm=info.arm,
        joints=info.joints,
        joint_units=tuple("1" if "gripper" in joint else "rad" for joint in info.joints),
        cameras=cameras.sources,
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
            "source": dataclasses.asdict(manifest.source),
            "engine": engine,
            "port": info.port,
            "live": info.live,
            "exit_policy": info.exit_policy,
            "calibration": info.calibration,
        },
    )
