"""The run loop: hears every status of the bridge, keeps one prediction going, and sends chunks as they come.

One turn per status. The policy thinks in the predictor's thread while the bridge moves the arm; schedule.py says
when to look and which steps are past. Whatever is wrong makes the arm hold, or ends the run with a reason; how
the arm is left afterwards is run.py's business. Shows nothing itself: it tells a LoopUi.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from edge import control as words
from edge.cameras import LOST, STALE, Cameras
from edge.control import Control
from edge.convert import Float64, to_chunk, to_observation, to_si, to_tick_record
from edge.predictor import Answer, Job, Predictor
from edge.recorder import NoRecorder, Recorder
from edge.schedule import Latency, Motion, Rhythm, call_seed, observe_at, place
from edge.state import ExitReason, LoopEvent, LoopState, LoopUi
from episodes.layout import ChunkRecord, EventRecord, ObservationRecord
from firmware_bridge.client import BridgeClient, BridgeGone, ChunkRefused, CommandRefused, Status
from policy_spec.errors import CameraError, PromptError
from policy_spec.frames import Frame

MAY_PREDICT = ("shadow", "ready", "running")
SHOW_S = 0.1  # between two live lines
REFUSALS = 5  # in a row: then the run ends
STATUS_S = 1.0  # without a status: the bridge is gone

Ending = tuple[ExitReason, str]


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """What the user chose."""

    task: str
    seed: int
    rhythm: Rhythm
    dt_s: float
    rate_hz: float  # of the bridge
    first_latency_s: float
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What the loop drives. Opened and closed by run.py."""

    client: BridgeClient
    cameras: Cameras
    predictor: Predictor
    frame: Frame
    recorder: Recorder | NoRecorder
    control: Control
    ui: LoopUi


class Loop:
    """`run()` once, in the thread that owns the signals."""

    def __init__(self, config: LoopConfig, parts: Parts) -> None:
        self.config = config
        self.parts = parts
        self.sent = 0
        self.refused = 0
        self.waited_ticks = 0
        self.status: Status | None = None
        self._task = self._good_task = config.task
        self._latency = Latency(config.first_latency_s)
        self._motion = Motion()
        self._epoch = 0
        self._index = 0
        self._refused_in_a_row = 0
        self._holds: set[str] = set()  # why no chunks are wanted: "user", "camera"
        self._camera_text = ""
        self._started = time.monotonic()
        self._shown = -SHOW_S

    def run(self) -> Ending:
        """Turns until there is a reason to stop."""
        self._started = time.monotonic()
        while True:
            try:
                status = self.parts.client.status(timeout_s=STATUS_S)
            except BridgeGone as error:
                return ExitReason.BRIDGE, str(error)
            ending = self._turn(status, time.monotonic())
            if ending is not None:
                return ending

    def event(self, name: str, text: str) -> None:
        """Tells the person and the recording."""
        event = LoopEvent(time.monotonic(), name, text)
        self.parts.ui.event(event)
        self.parts.recorder.put(EventRecord(event.t, name, text))

    # -- one turn

    def _turn(self, status: Status, now: float) -> Ending | None:
        self.hear(status)
        try:
            ending = self._why_stop(status, now) or self._obey() or self._watch_cameras(now)
            if ending is None and (answer := self.parts.predictor.take()) is not None:
                ending = self._answered(answer, status)
            if ending is None:
                self._look(status, now)
        except BridgeGone as error:
            return ExitReason.BRIDGE, str(error)
        except CameraError as error:  # lost since it was asked for its condition
            return ExitReason.CAMERA, str(error)
        if now - self._shown >= SHOW_S:
            self._shown = now
            self.parts.ui.state(self._state(status, now))
        return ending

    def hear(self, newest: Status) -> None:
        """Records every status since the last turn and tells what changed between them."""
        for status in self.parts.client.statuses():
            self.parts.recorder.put(to_tick_record(status))
            before, self.status = self.status, status
            waiting = status.mode == "ready" and status.chunk_seq < 0
            self.waited_ticks += waiting and self.sent > 0 and not self._holds
            if before is None or status.mode != before.mode:
                text = f"from {before.mode}" if before else "at the start"
                self.parts.recorder.put(EventRecord(time.monotonic(), f"mode {status.mode}", text))
            if before is not None and status.fault and status.fault != before.fault:
                self.event("fault", status.fault)
            missed = [j for j, fresh in enumerate(status.fresh) if not fresh]
            if missed and (before is None or all(before.fresh)):
                names = ", ".join(self.parts.client.info.joints[j] for j in missed)
                self.event("servo", f"{names} did not answer: holding")
        self.status = newest

    def _why_stop(self, status: Status, now: float) -> Ending | None:
        duration = self.config.duration_s
        if self.parts.control.interrupts:
            return ExitReason.INTERRUPT, "Ctrl-C or SIGTERM"
        if status.mode == "fault":
            return ExitReason.FAULT, status.fault
        if status.mode == "stopped":
            return ExitReason.BRIDGE, f"the bridge has stopped: {status.note}"
        if duration is not None and now - self._started >= duration:
            return ExitReason.DURATION, f"{duration:g} s are over"
        return None

    # -- words

    def _obey(self) -> Ending | None:
        for word in self.parts.control.take():
            if word.name == words.QUIT:
                return ExitReason.QUIT, "asked to quit"
            if word.name == words.TASK:
                self._task = word.text
                self.event("task", word.text)
            elif word.name == words.PAUSE:
                self._hold("user", "paused")
            elif word.name == words.RESUME:
                self._unhold("user", "goes on")
            else:
                self._latch(word.name)
        return None

    def _latch(self, name: str) -> None:
        self._forget()
        client = self.parts.client
        try:
            reply = client.estop() if name == words.ESTOP else client.rearm()
            if name == words.REARM:
                self._holds.clear()
            self.event(name, reply.text)
        except CommandRefused as error:
            self.event(name, str(error))

    def _hold(self, why: str, text: str) -> None:
        if why in self._holds:
            return
        self._holds.add(why)
        self._forget()
        self.event("pause", text)
        if len(self._holds) == 1:
            self._tell_bridge("pause")

    def _unhold(self, why: str, text: str) -> None:
        if why not in self._holds:
            return
        self._holds.discard(why)
        self.event("resume", text)
        if not self._holds:
            self._tell_bridge("resume")

    def _tell_bridge(self, name: str) -> None:
        """In shadow and after an emergency stop the bridge holds anyway and refuses the word."""
        try:
            self.parts.client.pause() if name == "pause" else self.parts.client.resume()
        except CommandRefused as error:
            self.parts.recorder.put(EventRecord(time.monotonic(), name, str(error)))

    def _forget(self) -> None:
        """What is being predicted is worthless, and the arm stands."""
        self._epoch += 1
        self._motion = Motion()

    # -- cameras

    def _watch_cameras(self, now: float) -> Ending | None:
        condition = self.parts.cameras.condition(now)
        self._camera_text = condition.text
        if condition.word == LOST:
            return ExitReason.CAMERA, condition.text
        if condition.word == STALE:
            self._hold("camera", f"{condition.text}: holding")
        else:
            self._unhold("camera", "every camera is fresh again")
        return None

    # -- predicting

    def _look(self, status: Status, now: float) -> None:
        """Starts the next prediction once it is due."""
        if (
            self.parts.predictor.busy
            or self._holds
            or status.mode not in MAY_PREDICT
            or not all(status.fresh)
        ):
            return
        latency_ticks = self._latency.safe_s * self.config.rate_hz
        if status.tick < observe_at(self.config.rhythm, self._motion, latency_ticks):
            return
        frames = self.parts.cameras.newest()
        observation = to_observation(status, frames, self.parts.frame)
        seed = call_seed(self.config.seed, self._index)
        job = Job(self._index, self._epoch, status, observation, self._task, seed, now)
        self.parts.recorder.put(
            ObservationRecord(
                index=job.index,
                t=now,
                status_seq=status.seq,
                status_tick=status.tick,
                task=job.task,
                seed=seed,
                state=observation.state,
                image_times={slot: frame.t for slot, frame in frames.items()},
                images={slot: frame.image for slot, frame in frames.items()},
            )
        )
        self._index += 1
        self.parts.predictor.submit(job)

    def _answered(self, answer: Answer, status: Status) -> Ending | None:
        job = answer.job
        if isinstance(answer.error, PromptError) and job.task != self._good_task:
            self.event("task", f"not taken: {answer.error}")
            self._task = self._good_task
            return None
        if answer.prediction is None:
            return ExitReason.POLICY, f"{answer.error or 'no prediction'}"
        self._good_task = job.task
        self._latency = self._latency.seen(answer.seconds)
        actions = to_si(answer.prediction, self.parts.frame)
        outcome, start_tick = self._send(job, actions, status)
        timings = {**answer.prediction.timings, "observation to arm": time.monotonic() - job.begun}
        record = ChunkRecord(
            job.index,
            time.monotonic(),
            job.status.seq,
            start_tick,
            outcome,
            timings,
            actions,
            answer.prediction.actions,
        )
        self.parts.recorder.put(record)
        if self._refused_in_a_row >= REFUSALS:
            return ExitReason.REFUSED, f"{REFUSALS} chunks in a row were not taken; the last: {outcome}"
        return None

    def _send(self, job: Job, actions: Float64, status: Status) -> tuple[str, int]:
        """Sends what of the chunk is still to come. Gives "sent", or why not, and its start tick."""
        if job.epoch != self._epoch:
            return "dropped: the arm was stopped meanwhile", -1
        placed = place(self.config.rhythm, self._motion, job.status.tick, status.tick)
        if placed is None:
            return self._refuse(
                "all its steps are past when it comes: the policy is too slow for its horizon"
            ), -1
        chunk = to_chunk(actions[: placed.steps], job.status, placed.start_tick, self.config.dt_s)
        try:
            reply = self.parts.client.send_chunk(chunk)
        except ChunkRefused as error:
            return self._refuse(str(error)), placed.start_tick
        if not reply.ok:
            return self._refuse(reply.text), placed.start_tick
        self._motion = placed.motion
        self._refused_in_a_row = 0
        self.sent += 1
        return "sent", placed.start_tick

    def _refuse(self, text: str) -> str:
        self.refused += 1
        self._refused_in_a_row += 1
        self.event("chunk refused", text)
        return text

    def _state(self, status: Status, now: float) -> LoopState:
        recorder = self.parts.recorder
        return LoopState(
            running_s=now - self._started,
            mode=status.mode,
            torque=status.torque,
            task=self._task,
            chunks=self.sent,
            refused=self.refused,
            predicting=self.parts.predictor.busy,
            latency_s=self._latency.mean_s,
            waited_ticks=self.waited_ticks,
            late_ticks=status.late_ticks,
            clamped_ticks=status.clamped_total,
            camera=self._camera_text,
            recording=recorder.error or str(recorder.path or ""),
            note=status.note,
            measured=tuple(float(v) for v in status.measured),
            joints=self.parts.client.info.joints,
        )
