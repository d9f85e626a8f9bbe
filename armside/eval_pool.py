"""Processes that play: takes settings and cases, gives outcomes in the order of the cases.

A case is always a whole episode made from its own seed, so the number of processes changes nothing but the time. A
process that dies ends the evaluation; what was played is in the journal, and the next start goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from armside.eval_cases import Case, Outcome
from armside.eval_player import Settings
from firmware_bridge.processes import Lines, spawn
from policy_spec.errors import SimError, sentence

OPEN_S = 600.0  # a large bundle on a slow disk
EPISODE_S = 3600.0


class Pool:
    """A context manager; `play` once or often."""

    def __init__(self, settings: Settings, jobs: int) -> None:
        """Raises SimError where a process cannot open the policy, with its words."""
        self._processes = [spawn("armside.eval_worker", json.dumps(settings.to_json())) for _ in range(jobs)]
        self._readers = [Lines(process) for process in self._processes]
        try:
            for worker in range(jobs):
                self._hear(worker, OPEN_S)
        except BaseException:
            self.close()
            raise

    def play(self, cases: Sequence[Case], shown: dict[Case, Path]) -> Iterator[Outcome]:
        """Outcomes in the order of `cases`. `shown`: where the pictures of a case go."""
        jobs = len(self._processes)
        for place, case in enumerate(cases[:jobs]):
            self._ask(place, case, shown)
        for place in range(len(cases)):
            said = self._hear(place % jobs, EPISODE_S)
            if place + jobs < len(cases):
                self._ask(place % jobs, cases[place + jobs], shown)
            yield Outcome.from_json(said)

    def _ask(self, worker: int, case: Case, shown: dict[Case, Path]) -> None:
        order = case.to_json() | ({"shown": str(shown[case])} if case in shown else {})
        stdin = self._processes[worker].stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(order).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            return  # its end is heard in its turn

    def _hear(self, worker: int, seconds: float) -> dict[str, Any]:
        said = self._readers[worker].read(seconds)
        if said is None:
            code = self._processes[worker].poll()
            do = "read the lines above; started again, an evaluation with --out goes on"
            raise SimError(sentence("a process that plays episodes", got=f"no word, exit code {code}", do=do))
        if "error" in said:
            raise SimError(str(said["error"]))
        return said

    def close(self) -> None:
        """Ends the processes, whatever they do."""
        for process, reader in zip(self._processes, self._readers, strict=True):
            reader.close()
            process.terminate()
        for process in self._processes:
            process.wait()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
