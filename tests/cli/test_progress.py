"""Progress in a log: a line for each stage, and how long the rest of a long one will take."""

from __future__ import annotations

import io

from rich.console import Console

from armside.progress import _lines


def test_a_long_stage_says_how_long_its_rest_will_take() -> None:
    now, out = [0.0], io.StringIO()
    tell = _lines(Console(file=out, width=200), lambda: now[0])
    for second in range(0, 181, 10):
        now[0] = float(second)
        tell("write weights", second, 600)
    tell("hash", 0, 1)
    lines = out.getvalue().splitlines()
    assert lines[0] == "... write weights" and lines[-1] == "... hash"
    assert lines[1:-1] == [
        "    write weights: 5%, about 10 min left",
        "    write weights: 10%, about 9 min left",
        "    write weights: 15%, about 8 min left",
        "    write weights: 20%, about 8 min left",
        "    write weights: 25%, about 8 min left",
        "    write weights: 30%, about 7 min left",
    ]


def test_what_was_done_before_does_not_flatter_the_rest() -> None:
    """A stage that begins with half of it finished by an earlier run has shown nothing of its pace."""
    now, out = [0.0], io.StringIO()
    tell = _lines(Console(file=out, width=200), lambda: now[0])
    tell("write weights", 300, 600)
    now[0] = 60.0
    tell("write weights", 300, 600)
    now[0] = 120.0
    tell("write weights", 360, 600)
    assert out.getvalue().splitlines()[1:] == ["    write weights: 50%", "    write weights: 60%, about 8 min left"]
