"""What the tests of the command line share: the program itself, a checkpoint and a bundle made with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Armside = Callable[..., "subprocess.CompletedProcess[str]"]


def armside_program() -> list[str]:
    """The installed entry point beside this Python."""
    return [str(Path(sys.executable).with_name("armside"))]


@pytest.fixture(scope="session")
def armside() -> Armside:
    """Runs `armside ARGUMENTS` as a person would, without a terminal."""

    def call(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [*armside_program(), *(str(argument) for argument in arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, **options)

    return call


@pytest.fixture(scope="session")
def checkpoint(armside: Armside, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "tiny"
    done = armside("init", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def bundle(armside: Armside, checkpoint: Path) -> Path:
    folder = checkpoint.with_name("tiny.bundle")
    done = armside("export", checkpoint, folder, "--target", "x86-cpu", "--precision", "int8")
    assert done.returncode == 0, done.stderr
    assert "verified: " in done.stdout and "peak memory" in done.stdout
    return folder
