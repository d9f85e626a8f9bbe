"""Graphs of the tiny checkpoint, built and verified once."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.build import Built, GraphOptions, build_graphs


@pytest.fixture(scope="session")
def built(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build_graphs(tiny_checkpoint, tmp_path_factory.mktemp("graphs") / "full", GraphOptions(), lambda *_: None)
