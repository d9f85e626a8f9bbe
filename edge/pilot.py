"""The predicting half of a run: looks when it is time, and sends each chunk where it belongs in time.

schedule.py knows the rule; here are its inputs and what comes of them: the observation, the policy's answer, the
bridge's reply, the recording. Every refusal is counted, told and recorded; several in a row end the run. An answer
that is no chunk counts as one: nothing is sent, and the arm holds where its last chunk ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.cameras import Cameras
from edge.control import Control
from edge.convert import Float64, to_chunk, to_observation, to_si
from edge.dataset_recorder import DatasetRecorder, NoDataset
from edge.predictor import Answer, Job, Predictor
from edge.recorder import NoRecorder, Recorder
from edge.schedule import Latency, Motion, Rhythm, call_seed, observe_at, place, steps_made
from edge.state import Ending, ExitReason, LoopUi
from edge.thoughts import Thoughts
from episodes.layout import ChunkRecord, ObservationRecord
from firmware_bridge.client import BridgeClient, ChunkRefused, Status
from policy_spec.errors import AnswerError, PromptError
from policy_spec.frames import Frame

MAY_PREDICT = ("shadow", "ready", "running")
REFUSALS = 5  # in a row: then the run ends


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
    clock: Callable[[], float] = time.monotonic  # of durations; a simulation in lockstep gives its own
    dataset: DatasetRecorder | NoDataset = field(default_factory=NoDataset)


class Pilot:
    """`look` and `take` once per status; `forget` when the arm was stopped."""

    def __init__(self, config: LoopConfig, parts: Parts, tell: Callable[[str, str], None]) -> None:
        self.config = config
        self.parts = parts
        self.task = self._good_task = config.task
        self.thoughts = Thoughts()
        self.sent = 0
        self.refused = 0
        self.latency = Latency(config.first_latency_s)
        self._tell = tell
        self._motion = Motion()
        self._epoch = 0
        self._index = 0
        self._refused_in_a_row = 0
        self._start_tick = 0  # of the last chunk that was sent
        self._begins = True  # the next prediction begins an episode

    def forget(self) -> None:
        """What is being predicted is worthless, and the arm stands."""
        self._epoch += 1
        self._motion = Motion()

    def new_episode(self) -> None:
        """The world may be another one: what the policy remembers of it is dropped before the next prediction."""
        self._begins = True

    def take_task(self, text: str) -> None:
        """From the next prediction on; with another task begins another episode."""
        self.task = text
        self.new_episode()

    def look(self, status: Status, now: float) -> None:
        """Starts the next prediction once it is due."""
        if self.parts.predictor.busy or status.mode not in MAY_PREDICT or not all(status.fresh):
            return
        latency_ticks = self.latency.safe_s * self.config.rate_hz
        if status.tick < observe_at(self.config.rhythm, self._motion, latency_ticks):
            return
        frames = self.parts.cameras.newest()
        observation = to_observation(status, frames, self.parts.frame)
        seed = call_seed(self.config.seed, self._index)
        passed = steps_made(self.config.rhythm, self._start_tick, status.tick) if self.sent else 0
        job = Job(self._index, self._epoch, status, observation, self.task, seed, now, self._begins, passed)
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
                begins=job.begins,
            )
        )
        self._begins = False
        self._index += 1
        self.parts.predictor.submit(job)

    def take(self, status: Status) -> Ending | None:
        """Sends the chunk that is there, if any. Gives why the run must end, if it must."""
        answer = self.parts.predictor.take()
        return None if answer is None else self._answered(answer, status)

    def _answered(self, answer: Answer, status: Status) -> Ending | None:
        job = answer.job
        if isinstance(answer.error, PromptError) and job.task != self._good_task:
            self._tell("task", f"not taken: {answer.error}")
            self.take_task(self._good_task)
            return None
        if isinstance(answer.error, AnswerError):
            return self._no_chunk(job, answer.error)
        if answer.prediction is None:
            return ExitReason.POLICY, f"{answer.error or 'no prediction'}"
        self._good_task = job.task
        self.latency = self.latency.seen(answer.seconds)
        self.thoughts.hear(answer.prediction)
        actions = to_si(answer.prediction, self.parts.frame)
        outcome, start_tick = self._send(job, actions, status)
        timings = {**answer.prediction.timings, "observation to arm": self.parts.clock() - job.begun}
        record = ChunkRecord(
            job.index,
            self.parts.clock(),
            job.status.seq,
            start_tick,
            outcome,
            timings,
            actions,
            answer.prediction.actions,
            answer.prediction.depth,
            answer.prediction.discrete,
        )
        self.parts.recorder.put(record)
        return self._too_many(outcome)

    def _no_chunk(self, job: Job, error: AnswerError) -> Ending | None:
        """The policy gave something else: nothing is sent, and what it remembered is gone."""
        self.new_episode()
        return self._too_many(self._refuse(str(error))) if job.epoch == self._epoch else None

    def _too_many(self, outcome: str) -> Ending | None:
        if self._refused_in_a_row >= REFUSALS:
            return ExitReason.REFUSED, f"{REFUSALS} chunks in a row were not taken; the last: {outcome}"
        return None

    def _send(self, job: Job, actions: Float64, status: Status) -> tuple[str, int]:
        """Sends what of the chunk is still to come. Gives "sent", or why not, and its start tick."""
        if job.epoch != self._epoch:
            return "dropped: the arm was stopped meanwhile", -1
        placed = place(self.config.rhythm, self._motion, job.status.tick, status.tick)
        if placed is None:
            return self._refuse("all its steps are past when it comes: the policy is too slow for its horizon"), -1
        chunk = to_chunk(actions[: placed.steps], job.status, placed.start_tick, self.config.dt_s)
        try:
            reply = self.parts.client.send_chunk(chunk)
        except ChunkRefused as error:
            return self._refuse(str(error)), placed.start_tick
        if not reply.ok:
            return self._refuse(reply.text), placed.start_tick
        self._motion, self._start_tick = placed.motion, placed.start_tick
        self._refused_in_a_row = 0
        self.sent += 1
        return "sent", placed.start_tick

    def _refuse(self, text: str) -> str:
        self.refused += 1
        self._refused_in_a_row += 1
        self._tell("chunk refused", text)
        return text
