from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small whole bundle; nobody may change it."""
    from tests.edge.small_bundle import small_bundle

    scratch = tmp_path_factory.mktemp("bundle")
    os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")  # remembered hashes stay out of the user's home
    return small_bundle(scratch / "small.bundle", scratch)


@pytest.fixture(scope="session")
def thinking(bundle: Path) -> Path:
    """The same of mode think."""
    from tests.edge.small_bundle import small_bundle

    return small_bundle(bundle.parent / "thinking.bundle", bundle.parent, "think")


@pytest.fixture(scope="session")
def answering(bundle: Path) -> Path:
    """The same of mode discrete. Its language model is random, and never says what decodes to a whole chunk."""
    from tests.edge.small_bundle import small_bundle

    return small_bundle(bundle.parent / "answering.bundle", bundle.parent, "discrete")
