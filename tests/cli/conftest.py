"""What the tests of the command line share: the program itself, a checkpoint and a bundle made with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.made_once import once

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
    def make(folder: Path) -> None:
        done = armside("init", folder)
        assert done.returncode == 0, done.stderr

    return once(tmp_path_factory, "cli-tiny", make)


@pytest.fixture(scope="session")
def bundle(armside: Armside, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        done = armside("export", checkpoint, folder, "--target", "x86-cpu", "--precision", "int8")
        assert done.returncode == 0, done.stderr
        assert "verified: " in done.stdout and "peak memory" in done.stdout

    return once(tmp_path_factory, "cli-tiny.bundle", make)


@pytest.fixture(scope="session")
def plain_bundle(armside: Armside, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of float32; its checkpoint cannot predict depth, and what was said meanwhile holds no note."""

    def make(folder: Path) -> None:
        done = armside("export", checkpoint, folder, "--precision", "fp32")
        assert done.returncode == 0, done.stderr
        assert "note:" not in done.stdout

    return once(tmp_path_factory, "cli-plain.bundle", make)
