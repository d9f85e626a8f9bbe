"""The words of parity reports."""

from __future__ import annotations

import numpy as np
import pytest

from policy_spec import compare


def test_the_worst_element_is_named() -> None:
    a, b = np.zeros((2, 3)), np.zeros((2, 3))
    a[1, 2] = -0.5
    w = compare.worst(a, b)
    assert w == compare.Worst((1, 2), -0.5, 0.0, 0.5)
    assert "[1, 2]" in str(w)


def test_a_nan_on_one_side_is_the_worst() -> None:
    assert compare.max_abs([0.0, np.nan], [9.0, 1.0]) == np.inf
    assert compare.max_abs([np.nan, np.inf], [np.nan, np.inf]) == 0.0
    assert compare.max_abs([np.inf], [-np.inf]) == np.inf
    assert compare.max_abs([], []) == 0.0


def test_relative_error_and_cosine() -> None:
    assert compare.relative([1.0, 3.0], [1.0, 4.0]) == 0.25
    assert compare.relative([0.5], [0.0]) == 0.5
    assert compare.cosine([1.0, 0.0], [2.0, 0.0]) == 1.0
    assert compare.cosine([1.0, 0.0], [0.0, 1.0]) == 0.0
    assert (compare.cosine([0.0], [0.0]), compare.cosine([0.0], [1.0])) == (1.0, 0.0)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        compare.worst(np.zeros(2), np.zeros(3))


def test_rows_pass_and_fail() -> None:
    good = compare.row("actions", [1.0], [1.0], 1e-4)
    bad = compare.row("actions", [1.0], [1.1], 1e-4)
    assert good.ok and not bad.ok
    assert compare.Row("c", 0.9999, 0.999, at_least=True).ok and not compare.Row("c", 0.9, 0.99, at_least=True).ok
    assert not compare.Row("n", float("nan"), 1.0).ok and not compare.Row("n", float("nan"), 0.0, at_least=True).ok
    assert compare.Row.from_json(bad.to_json()) == bad and bad.to_json()["ok"] is False
    text = compare.table([good, bad])
    assert text.splitlines()[0].startswith("quantity") and "NO" in text.splitlines()[2]
