"""One run from a bundle's path to an arm that is left as configured: `run(RunConfig(...)) -> RunResult`.

Opens in the order in which mistakes are cheap: the bundle's facts, the bridge, the cameras, the session, the
recording; only then the arm is armed. Closes in the order that is safe: the arm first. The rim of the room:
everything that is opened is opened here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from edge.attach import Attach, Handle, open_bridge
from edge.cameras import Cameras, check_slots, open_cameras
from edge.control import Control, signals
from edge.convert import check_fit
from edge.dataset_recorder import DatasetRecorder, NoDataset, Wanted, require_place
from edge.engine import EngineOptions
from edge.leaving import Leaving
from edge.loop import Loop
from edge.pilot import LoopConfig, Parts
from edge.policies import PolicyOptions
from edge.predictor import Predictor
from edge.priority import in_background
from edge.recorder import NoRecorder, Recorder
from edge.run_config import RunConfig, make_header, rhythm_of
from edge.session import Session, camera_slots
from edge.sim_camera import in_size
from edge.start_pose import Start, go_to_start, require_start
from edge.state import Ending, ExitReason, LoopEvent, LoopUi, QuietUi, RunResult
from episodes.layout import EndRecord
from episodes.writer import require_free
from policy_spec.bundle import Bundle, open_bundle
from policy_spec.errors import sentence
from policy_spec.frames import Frame, frame
from policy_spec.in_range import ranges_of
from policy_spec.norm import NormTag

__all__ = ["RunConfig", "run"]

SHIPPED = "shipped"  # Info.calibration of a virtual arm
PERSON = (ExitReason.INTERRUPT, ExitReason.QUIT)


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
    joint_frame = _refuse(config, bundle, tag)

    def say(name: str, text: str) -> None:
        with contextlib.suppress(OSError):  # a terminal that was closed is no reason to stop
            ui.event(LoopEvent(time.monotonic(), name, text))

    with contextlib.ExitStack() as stack:
        say("starting", f"the bridge of {config.bridge.robot} on {config.bridge.port}")
        handle = open_bridge(config.bridge)
        if isinstance(config.bridge, Attach):
            say("attached", f"to the bridge that runs: {config.bridge.where}, on {config.bridge.port}")
        left = stack.enter_context(Leaving(handle))
        check_fit(handle.client.info, tag, joint_frame)
        start = _start(config, handle, tag, joint_frame)
        require_start(start, handle.client, say)  # before minutes are spent on a session
        slots = camera_slots(tag, bundle.manifest.cameras)
        sources = {slot: in_size(source, *bundle.spec.image_size) for slot, source in config.cameras.items()}
        cameras = stack.enter_context(open_cameras(sources, slots, config.patience, lambda text: say("camera", text)))
        say("opening", f"{bundle.manifest.precision} bundle {config.bundle}")
        session = stack.enter_context(
            in_background(
                lambda: Session.open(
                    config.bundle,
                    norm_tag=config.norm_tag,
                    engine=EngineOptions(config.threads, config.resident, config.engine),
                    options=PolicyOptions(config.depth_order, config.answers),
                )
            )
        )
        say("ready", f"{session.engine.name}; golden reproduced within {session.ready.golden.error:.2g}")
        took, oldest = session.ready.first_call_s, handle.oldest_s
        if took > oldest:
            text = f"the first prediction took {took:.1f} s; the bridge refuses observations older than {oldest:g} s"
            say(
                "slow",
                sentence(text, do="allow it (--max-observation-age), or use a smaller or int8 bundle"),
            )
        predictor = Predictor(session)
        stack.callback(predictor.close)
        require_start(start, handle.client, lambda name, text: None)  # a hand may have moved it meanwhile
        control.moving = True  # from here on Ctrl-C is a word, not an exception
        header = make_header(config, bundle.manifest, tag, handle.client.info, session.engine.name)
        recorder = Recorder(config.record, header, lambda text: say("recording", text)) if config.record else None
        dataset = _dataset(config, handle, cameras, joint_frame, lambda text: say("dataset", text))
        stack.callback(dataset.close)
        parts = Parts(
            handle.client, cameras, predictor, joint_frame, recorder or NoRecorder(), control, ui, dataset=dataset
        )
        loop = Loop(_loop_config(config, tag, handle, session), parts)
        return _drive(loop, handle, left, config, start)


def _refuse(config: RunConfig, bundle: Bundle, tag: NormTag) -> Frame:
    """What is wrong with the wishes alone, before anything is opened; the joint frame of the rest. ArmsideError."""
    bundle.require_arm(config.bridge.robot)
    check_slots(config.cameras, camera_slots(tag, bundle.manifest.cameras))
    rhythm_of(config, tag, 100.0)
    if config.record:
        require_free(config.record)
    if config.record_dataset:
        require_place(config.record_dataset)
    return frame(config.frame, config.half_ranges)


def _dataset(
    config: RunConfig, handle: Handle, cameras: Cameras, joints: Frame, say: Callable[[str], None]
) -> DatasetRecorder | NoDataset:
    """What keeps the run as a LeRobot dataset, if that was asked for."""
    if config.record_dataset is None:
        return NoDataset()
    info = handle.client.info
    if not info.live:
        say(f"{info.port} is not live: no episode begins, because the arm follows nothing")
    wanted = Wanted(config.record_dataset, round(1 / config.dt_s), joints, f"{info.arm}_follower")
    return DatasetRecorder(wanted, info, lambda: {slot: f.image for slot, f in cameras.newest().items()}, say)


def _start(config: RunConfig, handle: Handle, tag: NormTag, joint_frame: Frame) -> Start:
    info = handle.client.info
    virtual = config.simulated or info.calibration == SHIPPED
    return Start(info, ranges_of(tag.state), joint_frame, virtual, config.start_pose)


def _loop_config(config: RunConfig, tag: NormTag, handle: Handle, session: Session) -> LoopConfig:
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


def _drive(loop: Loop, handle: Handle, left: Leaving, config: RunConfig, start: Start) -> RunResult:
    """Arms, goes to the start pose, loops, leaves the arm, closes the recording; whatever happens, in this order."""
    parts, started = loop.parts, time.monotonic()
    ending: Ending | None = None
    instead = ""  # how the arm is left, where not as configured
    try:
        if not parts.control.interrupts:
            ending = _begin(loop, handle, start)
        if ending is not None and start.wanted is not None and ending[0] in PERSON:
            instead = start.wanted.broken_exit
        ending = ending or loop.run()
    finally:
        ending = ending or (ExitReason.BRIDGE, "the run broke off")
        seconds = time.monotonic() - started
        loop.event("end", f"{ending[0].value}: {ending[1]}")
        farewell = left.leave(loop, instead)
        counts = {"chunks": loop.pilot.sent, "refused": loop.pilot.refused, "waited_ticks": loop.waited_ticks}
        parts.recorder.close(EndRecord(time.monotonic(), ending[0].value, f"{ending[1]}; {farewell}", counts))
    kept = parts.dataset.close()
    late = loop.status.late_ticks if loop.status else 0
    return RunResult(
        reason=ending[0],
        text=ending[1],
        farewell=farewell,
        seconds=seconds,
        chunks=loop.pilot.sent,
        refused=loop.pilot.refused,
        waited_ticks=loop.waited_ticks,
        late_ticks=late,
        recording=config.record,
        recording_error=parts.recorder.error,
        thoughts=loop.pilot.thoughts.summary(),
        dataset=kept,
        dataset_error=parts.dataset.error,
    )


def _begin(loop: Loop, handle: Handle, start: Start) -> Ending | None:
    """Torque on with goal = present, then to the start pose where that was asked for; why the run must end, if it must.

    A port that is not live stays a shadow, and that is said.
    """
    client = loop.parts.client
    if not client.info.live:
        loop.event("shadow", f"{client.info.port} is not live: goals are computed and shown, none is sent")
        return None
    loop.event("armed", handle.take())
    return None if start.wanted is None else go_to_start(start, loop)
