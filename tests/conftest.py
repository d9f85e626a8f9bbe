"""Checkpoints and graphs that many tests read. They are made once, and nobody may write into them."""

from __future__ import annotations

from pathlib import Path

import pytest

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"


@pytest.fixture(scope="session")
def reference_folder() -> Path:
    """The folder of reference cases; the test skips, saying so, where it is absent."""
    if not REFERENCE.is_dir():
        pytest.skip(f"no reference cases at {REFERENCE}")
    return REFERENCE


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`armside init --preset tiny`."""
    from tests.checkpoints import tiny

    return tiny(tmp_path_factory.mktemp("tiny") / "checkpoint")
