"""A policy that is ready to act: `Session.open(bundle)`, then `predict(observation, task, seed)`.

Opening checks the bundle's files, opens the engine and reproduces the bundle's golden answer on this very
board; one that computes something else is refused before anything moves. Knows nothing of arms and cameras.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from edge.checks import check_golden, check_tensors
from edge.engine import Engine, EngineOptions
from edge.engines import open_graphs
from edge.policies import Policy, PolicyOptions, camera_slots, make_pipeline, make_policy
from edge.runner import runner
from policy_spec.bundle import Bundle, open_bundle
from policy_spec.compare import Row, Worst
from policy_spec.errors import SessionError, sentence
from policy_spec.norm import NormTag
from policy_spec.pipeline import Observation, Prediction

__all__ = ["Ready", "Session", "camera_slots", "make_pipeline"]


@dataclass(frozen=True, slots=True)
class Ready:
    """What opening found out."""

    open_s: float  # the whole of it
    bundle_s: float  # checking files
    engine_s: float  # opening graphs
    first_call_s: float  # the golden call, cold: the first guess of a prediction's latency
    golden: Worst  # worst difference from golden.npz, normalised units
    tolerance: float
    stages: tuple[Row, ...] = ()  # each stage of the golden call beside the golden's, the whole last


class Session:
    """An opened bundle. Safe to share between threads: calls take turns. A context manager.

    A think bundle remembers the call before: `reset` where a new episode begins.
    """

    def __init__(self, bundle: Bundle, engine: Engine, policy: Policy, tag: NormTag, ready: Ready) -> None:
        self.bundle = bundle
        self.engine = engine
        self.ready = ready
        self._policy: Policy | None = policy
        self._run = runner(engine, bundle)
        self._lock = threading.Lock()
        self.tag = tag
        self.slots = camera_slots(tag, bundle.manifest.cameras)

    @classmethod
    def open(
        cls,
        bundle_path: Path | str,
        *,
        norm_tag: str | None = None,
        engine: EngineOptions | None = None,
        verify: bool = False,
        options: PolicyOptions | None = None,
    ) -> Session:
        """Opens a bundle for one robot. `verify` hashes every file again; else remembered hashes count.

        `norm_tag` may be left out where the checkpoint has one. `engine`: which, threads, graphs in memory; by
        default `auto` with all cores. Raises BundleError, SpecError, SessionError.
        """
        started = time.monotonic()
        bundle = open_bundle(bundle_path, verify=verify)
        host = make_pipeline(bundle, norm_tag)
        policy = make_policy(bundle, host, options)
        opened = time.monotonic()
        made = open_graphs(bundle, engine or EngineOptions())
        try:
            check_tensors(bundle, made)
            warm = time.monotonic()
            proof = check_golden(bundle, made)
        except BaseException:
            made.close()
            raise
        now = time.monotonic()
        took = now - started, opened - started, warm - opened, now - warm
        return cls(bundle, made, policy, host.tag, Ready(*took, proof.worst, proof.tolerance, proof.rows))

    def predict(self, observation: Observation, task: str, seed: int, passed: int = 0) -> Prediction:
        """One chunk in policy units, with seconds per stage. The same calls since a reset give the same chunk; but for
        rounding, where guesses learned before it change how many tokens a pass takes.

        `passed`: steps of the chunk before that have been executed since, for policies that guess by it.

        Raises ObservationError (pictures, state), PromptError (the task), SessionError; AnswerError where a policy
        that generates tokens gave something that is no chunk. What was remembered is gone then.
        """
        with self._lock:
            policy = self._open()
            try:
                return policy.predict(self._run, observation, task, seed=seed, passed=passed)
            except BaseException:
                policy.reset()
                self.engine.forget()  # what is not a number there would spread into the next call
                raise

    def reset(self) -> None:
        """A new episode begins; waits for a call that is running."""
        with self._lock:
            self._open().reset()

    def _open(self) -> Policy:
        if self._policy is None:
            raise SessionError(sentence("this session is closed", do="open the bundle again"))
        return self._policy

    def close(self) -> None:
        """Frees the graphs; waits for a call that is running."""
        with self._lock:
            self._policy = None
            self.engine.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
