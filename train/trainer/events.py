"""What a run tells while it runs: a line of JSON per logged step, and TensorBoard or W&B where asked for and installed.

Takes Reports with what the clock said; gives Events to whoever listens. log.jsonl is cut back to the step that a run
resumes from, so that it never tells a step twice. Knows nothing of terminals.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from policy_spec.errors import UsageError, sentence
from train.recipe.config import Config
from train.trainer.step import Report

LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Event:
    """One logged step, or a saved one."""

    kind: str  # step, saved, stage
    stage: int
    name: str  # of the stage
    step: int  # done in the stage, of `steps`
    steps: int
    total: int  # done in the run, of `all`
    all: int
    batch: int  # rows of a step
    report: Report | None = None  # of a step
    rows_per_s: float = 0.0  # since the step logged before
    waited: float = 0.0  # share of that time that was spent waiting for data
    path: str = ""  # of a saved step

    def to_json(self) -> dict[str, Any]:
        """One line of log.jsonl: no nulls, no NaN."""
        out = {key: value for key, value in asdict(self).items() if key != "report" and value != ""}
        report = {} if self.report is None else asdict(self.report)
        return {**out, **{key: _number(value) for key, value in report.items() if value is not None}}


Listener = Callable[[Event], None]


class Sink(Protocol):
    """Where numbers go."""

    def write(self, event: Event) -> None:
        """One event."""

    def close(self) -> None:
        """No more come."""


class JsonLog:
    """log.jsonl of a run's folder."""

    def __init__(self, out: Path, total: int) -> None:
        """total: steps that are done; later lines are of a run that was not saved, and go."""
        self.path = out / LOG
        kept = [line for line in read_log(out) if line["total"] <= total]
        partial = self.path.with_suffix(".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        partial.replace(self.path)
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, event: Event) -> None:
        self._file.write(json.dumps(event.to_json()) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TensorBoard:
    """A SummaryWriter."""

    def __init__(self, out: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise _not_there("run.tensorboard", "tensorboard") from error
        self._writer = SummaryWriter(str(out / "tensorboard"))

    def write(self, event: Event) -> None:
        for name, value in scalars(event).items():
            self._writer.add_scalar(name, value, event.total)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A W&B run; its id is the folder's name, so that a resumed run goes on in the same one."""

    def __init__(self, out: Path, config: Config) -> None:
        try:
            wandb: Any = importlib.import_module("wandb")  # of no extra: who asks for it installs it
        except ImportError as error:
            raise _not_there("run.wandb", "wandb") from error
        self._run = wandb.init(
            project=config.run.wandb, id=out.resolve().name, resume="allow", dir=str(out), config=asdict(config)
        )

    def write(self, event: Event) -> None:
        if event.report is not None:
            self._run.log(scalars(event), step=event.total)

    def close(self) -> None:
        self._run.finish()


def sinks(config: Config, out: Path, total: int) -> list[Sink]:
    """All that the configuration asks for. Raises UsageError where a package is not installed."""
    made: list[Sink] = [JsonLog(out, total)]
    if config.run.tensorboard:
        made.append(TensorBoard(out))
    if config.run.wandb:
        made.append(WeightsAndBiases(out, config))
    return made


def scalars(event: Event) -> dict[str, float]:
    """Flat numbers by name."""
    if event.report is None:
        return {}
    out = {"rows_per_s": event.rows_per_s, "waited": event.waited}
    for key, value in asdict(event.report).items():
        if isinstance(value, Mapping):
            out |= {f"{key}/{part}": number for part, number in value.items()}
        elif isinstance(value, float):
            out[key] = value
    return out


def read_log(out: Path) -> list[dict[str, Any]]:
    """The lines of log.jsonl; a last one that was cut off is left out."""
    try:
        text = (out / LOG).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def _number(value: Any) -> Any:
    """Numbers that JSON has; others as text."""
    if isinstance(value, dict):
        return {key: _number(inner) for key, inner in value.items()}
    return value if not isinstance(value, float) or value - value == 0 else str(value)


def _not_there(setting: str, package: str) -> UsageError:
    return UsageError(sentence(setting, expected=f"the package {package}", do=f"pip install {package}, or turn it off"))
