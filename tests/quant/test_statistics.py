"""Activation statistics: the same however the rows come in pieces, kept in a file, refused where they are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from policy_spec.errors import QuantError
from quant.statistics import SAMPLE_ROWS, Accumulator, Statistics


def rows(count: int = 1500, width: int = 6, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    x[count // 2, 3] = 1.7e4
    return x


def collected(x: np.ndarray, *cuts: int, gram: bool = True) -> Statistics:
    made = Accumulator(gram)
    for piece in np.split(x, cuts):
        made.add("w", piece)
    return made.done()


def test_pieces_do_not_matter() -> None:
    x = rows()
    whole, parts = collected(x)["w"], collected(x, 1, 500, 500, 1499)["w"]
    for one in (whole, parts):
        assert one.rows == len(x) and len(one.sample) <= SAMPLE_ROWS
        assert np.array_equal(one.largest, np.abs(x).max(axis=0)) and one.high == x.max() and one.low == x.min()
        assert np.allclose(one.mean_square, (x.astype(np.float64) ** 2).mean(axis=0), rtol=1e-12)
        assert one.gram is not None and np.allclose(one.gram, x.astype(np.float64).T @ x / len(x), rtol=1e-12)
        assert one.high_999 < 10 < one.high  # one value in nine thousand is not the tail
    assert np.array_equal(whole.sample, parts.sample)
    assert np.array_equal(whole.sample, x[::4])  # evenly, from the first to the last
    assert collected(x, gram=False)["w"].gram is None


def test_a_file_holds_them_all(tmp_path: Path) -> None:
    made = Accumulator(gram=lambda weight: weight == "a")
    made.add("a", rows().reshape(1, 30, 50, 6))
    made.add("b", rows(3, 4, 1))
    told = made.done()
    told.save(tmp_path / "stats.npz")
    read = Statistics.load(tmp_path / "stats.npz")
    assert list(read) == ["a", "b"] and [p.name for p in tmp_path.iterdir()] == ["stats.npz"]
    for name in told:
        for part in ("rows", "low", "high", "low_999", "high_999"):
            assert getattr(read[name], part) == getattr(told[name], part)
        for part in ("largest", "mean_square", "sample"):
            assert np.array_equal(getattr(read[name], part), getattr(told[name], part))
    assert read["a"].gram is not None and read["b"].gram is None


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QuantError, match=r"scheme int4-g32-awq needs the activations that enter w; .*episodes"):
        Statistics({}).need("w", "int4-g32-awq")
    made = Accumulator()
    with pytest.raises(QuantError, match="not finite"):
        made.add("w", np.array([[1.0, np.nan]], np.float32))
    made.add("v", np.zeros((2, 3), np.float32))
    with pytest.raises(QuantError, match="expected: width 3"):
        made.add("v", np.zeros((2, 4), np.float32))
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(QuantError, match="holds no activation statistics"):
        Statistics.load(tmp_path / "cut.npz")
    made.done().save(tmp_path / "whole.npz")
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:300])
    with pytest.raises(QuantError, match="holds no activation statistics"):
        Statistics.load(tmp_path / "half.npz")
