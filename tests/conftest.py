"""Checkpoints and graphs that many tests read. They are made once, and nobody may write into them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.made_once import once, together

if TYPE_CHECKING:
    from export.build import Built

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

    return once(tmp_path_factory, "tiny", tiny)


@pytest.fixture(scope="session")
def built(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Its graphs, verified."""
    from export.build import GraphOptions, build_graphs

    return build_graphs(tiny_checkpoint, tmp_path_factory.mktemp("graphs") / "full", GraphOptions(), lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        together(items)
