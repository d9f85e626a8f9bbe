"""One prediction at a time in a thread of its own, so that the loop hears the bridge while the policy thinks."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass

from edge.priority import step_back
from edge.session import Session
from firmware_bridge.client import Status
from policy_spec.pipeline import Observation, Prediction


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What to predict from."""

    index: int
    epoch: int  # of the loop: a pause or a stop makes answers of an older one worthless
    status: Status  # that the observation was made of
    observation: Observation
    task: str
    seed: int
    begun: float  # s, monotonic
    begins: bool = False  # an episode: what the policy remembers of calls before is dropped first
    passed: int = 0  # steps of the chunk before that the arm has made


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A prediction, or why there is none."""

    job: Job
    prediction: Prediction | None
    error: Exception | None
    seconds: float


class Predictor:
    """`submit` only while not `busy`; `take` gives each answer once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.busy = False
        self._thread = threading.Thread(target=self._run, name="predictor", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        assert not self.busy, "one prediction at a time"
        self.busy = True
        self._jobs.put(job)

    def take(self) -> Answer | None:
        """The answer to the job, once it is there."""
        try:
            answer = self._answers.get_nowait()
        except queue.Empty:
            return None
        self.busy = False
        return answer

    def close(self) -> None:
        """Ends after the prediction that is running, which cannot be cut short."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        step_back()
        while (job := self._jobs.get()) is not None:
            begun = time.monotonic()
            prediction, error = None, None
            try:
                if job.begins:
                    self._session.reset()
                prediction = self._session.predict(job.observation, job.task, job.seed, job.passed)
            except Exception as caught:  # the loop decides; a thread that died would hang it
                error = caught
            self._answers.put(Answer(job, prediction, error, time.monotonic() - begun))
