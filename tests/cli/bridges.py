"""For tests of verbs with an arm: a home of their own, and a bridge started as a person would start it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.conftest import armside_program

DEADLINE_S = 60.0


class Home:
    """Folders for profiles and running bridges that no other test meets. Short: ipc paths have 108 bytes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(root), "XDG_CONFIG_HOME": str(root / "c"), "COLUMNS": "160"}
        self.env["XDG_STATE_HOME"] = str(root / "s")
        self.robots = root / "c" / "armside" / "robots"
        self.robots.mkdir(parents=True)
        self.profile("blue", 'type = "so101"\nport = "sim"\npark_speed = 3\n')

    def profile(self, name: str, text: str) -> None:
        (self.robots / f"{name}.toml").write_text(text)

    def call(self, *words: object) -> subprocess.CompletedProcess[str]:
        command = [*armside_program(), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=self.env)

    def start(self, *words: object) -> subprocess.Popen[str]:
        """A verb that goes on; its words are in its stdout."""
        command = [*armside_program(), *map(str, words)]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**self.env, "PYTHONUNBUFFERED": "1"},
        )

    @contextmanager
    def bridge(self, *words: object) -> Iterator[subprocess.Popen[str]]:
        """`armside bridge WORDS`, ready; ended by SIGTERM if the test did not."""
        process = self.start("bridge", *words)
        try:
            assert process.stdout is not None
            seen = []
            while not (seen and seen[-1].startswith("ready")):
                line = process.stdout.readline()
                assert line, f"the bridge did not start: {''.join(seen)}"
                seen.append(line)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.communicate(timeout=DEADLINE_S)


@contextmanager
def home() -> Iterator[Home]:
    """One home; bridges that are left in it are a failure of the test that left them."""
    root = Path(tempfile.mkdtemp(prefix="as-"))
    root.chmod(0o700)
    try:
        yield Home(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def wait_for(holds: Callable[[], bool], what: str) -> None:
    """Until it is so; generous, because the machine may be busy."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
