"""One tiny checkpoint for all tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_spec.prompt import Tokenizer
from policy_spec.spec import PolicySpec
from tests.policy_spec import tiny


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def spec(checkpoint: Path) -> PolicySpec:
    return PolicySpec.from_checkpoint(checkpoint)


@pytest.fixture(scope="session")
def tokenizer(spec: PolicySpec, checkpoint: Path) -> Tokenizer:
    return spec.tokenizer(checkpoint / "tokenizer.json")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
