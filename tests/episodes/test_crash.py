"""kill -9 in the middle of writing, and a disk that is full: what was recorded so far stays readable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from episodes.recording import Recording
from tests.episodes import helpers

ROOT = Path(__file__).parents[2]
WRITE_FOREVER = """
import itertools, sys
from pathlib import Path
from episodes.writer import RecordingWriter
from tests.episodes import helpers
writer = RecordingWriter(Path(sys.argv[1]), helpers.header())
for index in itertools.count():
    if index % 50 == 0:
        writer.write(helpers.observation(index // 50))
        writer.write(helpers.chunk(index // 50))
    writer.write(helpers.tick(index))
    if index == 500:
        print("going", flush=True)
"""
FILL_UP = """
import resource, sys
from pathlib import Path
from episodes.layout import EndRecord
from episodes.writer import RecordingWriter
from policy_spec.errors import RecordingError
from tests.episodes import helpers
writer = RecordingWriter(Path(sys.argv[1]), helpers.header())
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    for index in range(100_000):
        writer.write(helpers.tick(index))
except RecordingError as error:
    writer.finish(EndRecord(1.0, "disk", str(error)))
    print(index, error)
"""


def _python(code: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def test_readable_after_kill_9(tmp_path: Path) -> None:
    process = _python(WRITE_FOREVER, tmp_path / "run")
    assert process.stdout is not None
    assert process.stdout.readline() == "going\n"
    process.kill()
    process.wait()
    process.stdout.close()
    run = Recording.open(tmp_path / "run")
    assert run.end is None
    assert len(run.ticks) >= 500 and len(run.chunks) >= 10
    assert np.array_equal(run.ticks["seq"], np.arange(1, len(run.ticks) + 1))
    for observation in run.observations:
        assert run.image(observation, "cam0").shape == helpers.picture(0).shape


def test_a_full_disk_says_so_and_keeps_what_there_is(tmp_path: Path) -> None:
    process = _python(FILL_UP, tmp_path / "run")
    out, _ = process.communicate(timeout=800)
    index, said = out.split(" ", 1)
    assert "cannot be written: File too large" in said and "what to do: free some space" in said
    run = Recording.open(tmp_path / "run")
    assert len(run.ticks) == int(index) > 100
    assert run.torn.keys() == {"ticks.rows"}
    assert run.end is not None and run.end.reason == "disk" and "free some space" in run.end.text
