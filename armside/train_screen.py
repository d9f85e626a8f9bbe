"""What a training run shows: a line that moves on a terminal, plain lines elsewhere; both on stderr.

Takes the trainer's events; knows nothing of training.
"""

from __future__ import annotations

import math
import time
from collections import deque
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40  # of the sparkline
PLAIN_EVERY_S = 10.0


def sparkline(values: list[float]) -> str:
    """The values as bars, on a logarithmic scale: a loss falls by factors."""
    logs = [math.log(v) for v in values if v > 0 and math.isfinite(v)]
    if not logs:
        return ""
    low, high = min(logs), max(logs)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((v - low) * scale)] for v in logs)


def duration(seconds: float) -> str:
    """1:02:03, or 4:05."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


class Screen:
    """A context; `event` and `stage` are told what happens."""

    def __init__(self, talks: bool) -> None:
        self._console = Console(stderr=True)
        self._talks = talks
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._losses: deque[float] = deque(maxlen=WIDTH)
        self._said = -math.inf
        self._stages: set[str] = set()
        self._saved = ""

    def __enter__(self) -> Screen:
        if self._moves:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._moves:
            self._live.stop()

    @property
    def _moves(self) -> bool:
        return self._talks and self._console.is_terminal

    def stage(self, what: str, done: int, total: int) -> None:
        """Before training: decoding pictures."""
        if not self._talks:
            return
        if self._moves:
            self._live.update(f"{what}: {done} of {total}")
        elif what not in self._stages:
            self._stages.add(what)
            self._console.print(f"... {what}: {total - done} to do", highlight=False)

    def event(self, event: Any) -> None:
        """A logged or saved step."""
        if event.kind == "saved":
            self._saved = event.path
            if not self._moves:
                self._console.print(f"saved {event.path}", highlight=False, soft_wrap=True)
            return
        self._losses.append(event.report.loss)
        if self._moves:
            self._live.update(self._table(event))
        elif time.monotonic() - self._said >= PLAIN_EVERY_S or event.step == event.steps:
            self._said = time.monotonic()
            self._console.print(self._line(event), highlight=False, soft_wrap=True)

    def _line(self, event: Any) -> str:
        rate = max(event.report.rates.values(), default=0.0)
        left = (event.steps - event.step) * self._seconds_per_step(event)
        return (
            f"{event.name} {event.step}/{event.steps}  loss {_losses(event.report)}  lr {rate:.2g}  "
            f"{event.rows_per_s:.1f} rows/s  {duration(left)} left"
        )

    def _seconds_per_step(self, event: Any) -> float:
        return float(event.batch) / event.rows_per_s if event.rows_per_s > 0 else 0.0

    def _table(self, event: Any) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_row(self._line(event))
        waited = f"waiting for data {event.waited:.0%}" if event.waited > 0.05 else ""
        table.add_row(f"{sparkline(list(self._losses))}  {waited}")
        if self._saved:
            table.add_row(f"saved {self._saved}")
        return table


def _losses(report: Any) -> str:
    parts = [f"{report.loss:.4f}"]
    if report.flow is not None and report.ce is not None:
        parts.append(f"(flow {report.flow:.4f}, next token {report.ce:.4f}, {report.accuracy:.0%} right)")
    elif report.ce is not None:
        parts.append(f"({report.accuracy:.0%} of the tokens right)")
    return " ".join(parts)
