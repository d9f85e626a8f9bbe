"""The run loop: hears every status of the bridge, obeys words, watches the cameras, lets the pilot predict.

One turn per status. The policy thinks in the predictor's thread while the bridge moves the arm. Whatever is wrong
makes the arm hold, or ends the run with a reason; how the arm is left afterwards is leaving.py's business. Shows
nothing itself: it tells a LoopUi.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from edge import control as words
from edge.cameras import LOST, STALE
from edge.convert import to_tick_record
from edge.pilot import LoopConfig, Parts, Pilot
from edge.state import Ending, ExitReason, LoopEvent, LoopState
from episodes.layout import EventRecord
from firmware_bridge.client import BridgeGone, CommandRefused, Status
from policy_spec.errors import CameraError

SHOW_S = 0.1  # between two live lines
STATUS_S = 1.0  # without a status: the bridge is gone


class Loop:
    """`run()` once, in the thread that owns the signals."""

    def __init__(self, config: LoopConfig, parts: Parts) -> None:
        self.config = config
        self.parts = parts
        self.pilot = Pilot(config, parts, self.event)
        self.waited_ticks = 0
        self.status: Status | None = None
        self._holds: set[str] = set()  # why no chunks are wanted: "user", "camera"
        self._camera_text = ""
        self._started = self.parts.clock()
        self._shown = -SHOW_S

    def run(self) -> Ending:
        """Turns until there is a reason to stop."""
        self._started = self.parts.clock()
        while True:
            try:
                status = self.parts.client.status(timeout_s=STATUS_S)
            except BridgeGone as error:
                return ExitReason.BRIDGE, str(error)
            ending = self._turn(status, self.parts.clock())
            if ending is not None:
                return ending

    def event(self, name: str, text: str) -> None:
        """Tells the person and the recording."""
        event = LoopEvent(self.parts.clock(), name, text)
        self.parts.recorder.put(EventRecord(event.t, name, text))
        with contextlib.suppress(OSError):  # a terminal that was closed is no reason to stop
            self.parts.ui.event(event)

    # -- one turn

    def _turn(self, status: Status, now: float) -> Ending | None:
        self.hear(status)
        try:
            ending = self._why_stop(status, now) or self.obey() or self._watch_cameras(now)
            ending = ending or self.pilot.take(status)
            if ending is None and not self._holds:
                self.pilot.look(status, now)
        except BridgeGone as error:
            return ExitReason.BRIDGE, str(error)
        except CameraError as error:  # lost since it was asked for its condition
            return ExitReason.CAMERA, str(error)
        self.show(status, now)
        return ending

    def show(self, status: Status, now: float) -> None:
        """The live line, not more often than SHOW_S."""
        if now - self._shown >= SHOW_S:
            self._shown = now
            with contextlib.suppress(OSError):
                self.parts.ui.state(self._state(status, now))

    def hear(self, newest: Status) -> None:
        """Records every status since the last turn and tells what changed between them."""
        self.listen(self.parts.client.statuses())
        self.status = newest

    def listen(self, statuses: Sequence[Status]) -> None:
        """Records them and tells what changed; for whoever took them from the client."""
        for status in statuses:
            self.parts.recorder.put(to_tick_record(status))
            self.parts.dataset.hear(status, self.pilot.task)
            before, self.status = self.status, status
            waiting = status.mode == "ready" and status.chunk_seq < 0
            self.waited_ticks += waiting and self.pilot.sent > 0 and not self._holds
            if before is None or status.mode != before.mode:
                text = f"from {before.mode}" if before else "at the start"
                self.parts.recorder.put(EventRecord(self.parts.clock(), f"mode {status.mode}", text))
                if status.mode == "estop":  # whoever asked for it: people may reach in until somebody rearms
                    self.pilot.new_episode()
            if before is not None and status.fault and status.fault != before.fault:
                self.event("fault", status.fault)
            missed = [j for j, fresh in enumerate(status.fresh) if not fresh]
            if missed and (before is None or all(before.fresh)):
                names = ", ".join(self.parts.client.info.joints[j] for j in missed)
                self.event("servo", f"{names} did not answer: holding")

    def _why_stop(self, status: Status, now: float) -> Ending | None:
        duration = self.config.duration_s
        if self.parts.control.interrupts:
            return ExitReason.INTERRUPT, "Ctrl-C, SIGTERM or SIGHUP"
        if status.mode == "fault":
            return ExitReason.FAULT, status.fault
        if status.mode == "stopped":
            return ExitReason.BRIDGE, f"the bridge has stopped: {status.note}"
        if duration is not None and now - self._started >= duration:
            return ExitReason.DURATION, f"{duration:g} s are over"
        return None

    # -- words

    def obey(self) -> Ending | None:
        """Does what was said since the last call; an ending where it was to quit."""
        for word in self.parts.control.take():
            if word.name == words.QUIT:
                return ExitReason.QUIT, "asked to quit"
            if word.name == words.TASK:
                self.pilot.take_task(word.text)
                self.event("task", word.text)
            elif word.name == words.PAUSE:
                self._hold("user", "paused")
                self.pilot.new_episode()
            elif word.name == words.RESUME:
                self._unhold("user", "goes on")
            else:
                self._latch(word.name)
        return None

    def _latch(self, name: str) -> None:
        self.pilot.forget()
        self.pilot.new_episode()
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
        self.pilot.forget()
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
            self.parts.recorder.put(EventRecord(self.parts.clock(), name, str(error)))

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

    def _state(self, status: Status, now: float) -> LoopState:
        recorder = self.parts.recorder
        return LoopState(
            running_s=now - self._started,
            mode=status.mode,
            torque=status.torque,
            task=self.pilot.task,
            chunks=self.pilot.sent,
            refused=self.pilot.refused,
            held=", ".join(sorted(self._holds)),
            predicting=self.parts.predictor.busy,
            latency_s=self.pilot.latency.mean_s,
            waited_ticks=self.waited_ticks,
            late_ticks=status.late_ticks,
            clamped_ticks=status.clamped_total,
            camera=self._camera_text,
            recording=recorder.error or str(recorder.path or ""),
            note=status.note,
            measured=tuple(float(v) for v in status.measured),
            joints=self.parts.client.info.joints,
            thought=self.pilot.thoughts.newest,
        )
