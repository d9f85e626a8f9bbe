"""Twins of the predictor and the cameras for a run on a clock that somebody else moves: an evaluation in lockstep.

`SteppedPredictor` computes when it is asked and hands its answer over when the clock says that so much time has
passed as a prediction is meant to take. `SteppedCameras` looks when it is asked, so that nothing is rendered in
between. Neither has a thread. What they compute is what the session of a run computes. Know nothing of worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from edge.camera import Frame
from edge.camera_sources import Image
from edge.cameras import FRESH, CameraCondition
from edge.predictor import Answer, Job
from policy_spec.errors import CameraError, sentence
from policy_spec.pipeline import Observation, Prediction


class Thinker(Protocol):
    """What predicts: a Session, or whatever stands in for one."""

    def predict(self, observation: Observation, task: str, seed: int, passed: int = 0) -> Prediction: ...

    def reset(self) -> None: ...


class SteppedPredictor:
    """The contract of predictor.Predictor, on a given clock."""

    def __init__(self, thinker: Thinker, clock: Callable[[], float], latency_s: float = 0.0) -> None:
        self._thinker = thinker
        self._clock = clock
        self._latency_s = latency_s
        self._answer: tuple[float, Answer] | None = None

    @property
    def busy(self) -> bool:
        return self._answer is not None

    def submit(self, job: Job) -> None:
        """Computes now."""
        assert self._answer is None, "one prediction at a time"
        prediction, error = None, None
        try:
            if job.begins:
                self._thinker.reset()
            prediction = self._thinker.predict(job.observation, job.task, job.seed, job.passed)
        except Exception as caught:  # the loop decides, as it does for a thread
            error = caught
        self._answer = self._clock() + self._latency_s, Answer(job, prediction, error, self._latency_s)

    def take(self) -> Answer | None:
        """The answer, once it is due."""
        if self._answer is None or self._clock() < self._answer[0] - 1e-9:
            return None
        answer, self._answer = self._answer[1], None
        return answer

    def close(self) -> None:
        return None


class SteppedCameras:
    """The contract of cameras.Cameras: `look` gives every slot's picture of this moment."""

    def __init__(
        self, slots: Sequence[str], look: Callable[[], Mapping[str, Image]], clock: Callable[[], float]
    ) -> None:
        self._slots = tuple(slots)
        self._look = look
        self._clock = clock
        self._index = 0

    def newest(self) -> dict[str, Frame]:
        """slot -> picture, in the policy's order. CameraError for a slot without one."""
        images = self._look()
        missing = [slot for slot in self._slots if slot not in images]
        if missing:
            raise CameraError(sentence("a picture for each slot", expected=", ".join(self._slots), got=list(images)))
        self._index += 1
        return {slot: Frame(images[slot], self._clock(), self._index - 1) for slot in self._slots}

    def condition(self, now: float) -> CameraCondition:
        return CameraCondition(FRESH)

    def close(self) -> None:
        return None
