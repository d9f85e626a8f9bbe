"""What tests share is made once, whole or anew, whoever asks first; and what shares a fixture goes to one worker."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.made_once import once


def slowly(path: Path) -> None:
    path.mkdir()
    with (path.parent / "made").open("a") as made:
        made.write("x")
    time.sleep(0.2)
    (path / "whole").touch()


def test_four_that_ask_at_once_make_it_once(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tmp_path_factory, "getbasetemp", lambda: tmp_path / "gw0")
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    with ThreadPoolExecutor(4) as pool:  # locks are between open files, so threads stand for workers
        asked = [pool.submit(once, tmp_path_factory, "shared", slowly) for _ in range(4)]
    assert all((path.result() / "whole").exists() for path in asked)
    assert (tmp_path / "made-once" / "made").read_text() == "x"


def test_what_failed_is_made_anew(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tmp_path_factory, "getbasetemp", lambda: tmp_path)

    def half(path: Path) -> None:
        path.mkdir()
        (path / "half").touch()
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        once(tmp_path_factory, "b", half)
    path = once(tmp_path_factory, "b", slowly)
    assert (path / "whole").exists() and not (path / "half").exists()
