"""Normalizers by the released rules, tags, and their refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policy_spec.errors import CheckpointError, SpecError
from policy_spec.norm import Limits, Normalizer, pick_tag, read_tags
from tests.policy_spec import tiny

STATS = {
    "q01": [-1.0, 0.0, 2.0],
    "q99": [3.0, 1.0, 2.5],
    "q10": [0.0, 0.25, 2.0],
    "q90": [2.0, 0.75, 2.25],
    "min": [-2.0, 0.0, 2.0],
    "max": [4.0, 2.0, 2.0],
    "mean": [1.0, 0.5, 2.0],
    "std": [2.0, 0.0, 0.5],
}
LIMITS = Limits(max_horizon=6, max_action_dim=8, n_obs_steps=1)
RANGES = {"q01_q99": ("q01", "q99"), "q10_q90": ("q10", "q90"), "min_max": ("min", "max")}


@pytest.mark.parametrize("mode", RANGES)
def test_ranges_clip_before_the_affine_step(mode: str) -> None:
    low, high = (np.array(STATS[key]) for key in RANGES[mode])
    n = Normalizer.from_stats(STATS, mode)
    x = np.array([[-9.0, 0.4, 2.1], [0.7, 9.0, 2.2]], np.float32)
    expected = np.clip(2 * (x - low) / np.maximum(high - low, 1e-6) - 1, -1, 1)
    expected[:, 2] = 0.0  # min == max
    np.testing.assert_allclose(n.normalize(x), expected, atol=1e-6)
    y = np.array([[-5.0, 0.5, 0.0]], np.float32)
    np.testing.assert_allclose(n.unnormalize(y), (np.clip(y, -1, 1) + 1) * (high - low) / 2 + low, atol=1e-6)
    assert n.normalize(x).dtype == n.unnormalize(y).dtype == np.float32


def test_masked_out_dimensions_pass_raw_but_clipped_on_the_way_back() -> None:
    n = Normalizer.from_stats({**STATS, "mask": [True, False, True]}, "q01_q99")
    assert n.normalize([0.0, 7.5, 2.0])[1] == 7.5
    assert n.unnormalize([0.0, 7.5, 0.0])[1] == 1.0
    assert n.half_range().tolist() == [2.0, 1.0, 0.25]


def test_a_constant_dimension_is_zero_even_if_masked_out() -> None:
    n = Normalizer.from_stats({**STATS, "mask": [True, True, False]}, "q01_q99")
    assert n.normalize([0.0, 0.0, 123.0])[2] == 0.0
    control = Normalizer.from_stats({**STATS, "mask": [True, True, False], "max": [4, 2, 2.5]}, "q01_q99")
    assert control.normalize([0.0, 0.0, 123.0])[2] == 123.0


def test_mean_std_is_never_clipped_and_bounded_below() -> None:
    n = Normalizer.from_stats(STATS, "mean_std")
    out = n.normalize([101.0, 0.6, 2.0])
    assert out[0] == 50.0 and out[1] == pytest.approx(0.1 / 1e-6, rel=1e-3) and out[2] == 0.0
    assert n.unnormalize([50.0, 3.0, -9.0]).tolist() == [101.0, 0.5, -2.5]


def test_none_leaves_everything_alone() -> None:
    n = Normalizer.from_stats(STATS, "none")
    x = np.array([-99.0, 5.0, 7.0], np.float32)
    assert n.dim == 3
    assert np.array_equal(n.normalize(x), x) and np.array_equal(n.unnormalize(x), x)


def test_nan_stays_a_nan() -> None:
    assert np.isnan(Normalizer.from_stats(STATS, "q01_q99").normalize([np.nan, 0, 0])[0])


@pytest.mark.parametrize("mode", ["q01_q99", "q10_q90", "min_max", "mean_std", "none"])
def test_json_is_lossless(mode: str) -> None:
    stats = {k: (np.array(v) / 3).tolist() for k, v in STATS.items()}
    n = Normalizer.from_stats({**stats, "mask": [True, False, True]}, mode)
    assert Normalizer.from_json(n.to_json()) == n
    assert Normalizer.from_json({**n.to_json(), "dim": n.dim, "mask": None}) != n or mode == "none"


@pytest.mark.parametrize(
    ("stats", "mode", "words"),
    [
        ({"q01": [0.0]}, "q01_q99", "q99"),
        ({"mean": [0.0]}, "mean_std", "std"),
        (None, "q01_q99", "missing"),
        (STATS, "q5_q95", "q01_q99"),
        ({"q01": [0.0, 1.0], "q99": [1.0]}, "q01_q99", "width"),
        ({"q01": [float("nan")], "q99": [1.0]}, "q01_q99", "finite"),
        ({"q01": ["low"], "q99": [1.0]}, "q01_q99", "a list of numbers"),
        ({"q01": [0.0], "q99": [1.0], "min": [0.0], "max": [1.0, 2.0]}, "q01_q99", "width of max"),
        (None, "none", "action_dim"),
    ],
)
def test_what_is_wrong_with_statistics_is_said(stats: Any, mode: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        Normalizer.from_stats(stats, mode)


def test_a_tag_says_its_sizes_and_slots() -> None:
    mode, tags = read_tags(tiny.norm_stats(), LIMITS)
    tag = pick_tag(tags, None)
    assert mode == "q01_q99"
    assert (tag.action_dim, tag.state_dim, tag.horizon, tag.n_action_steps) == (3, 3, 4, 3)
    assert tag.camera_slots == ("front", "wrist")
    assert tag.camera_keys[0] == "observation.images.front"


def test_slots_that_would_clash_keep_their_whole_keys() -> None:
    payload = tiny.norm_stats()
    payload["metadata_by_tag"]["arm"]["camera_keys"] = ["left.rgb", "right.rgb"]
    assert read_tags(payload, LIMITS)[1]["arm"].camera_slots == ("left.rgb", "right.rgb")


def test_horizon_defaults_to_the_models() -> None:
    payload = tiny.norm_stats()
    for key in ("action_horizon", "n_action_steps"):
        del payload["metadata_by_tag"]["arm"][key]
    tag = read_tags(payload, LIMITS)[1]["arm"]
    assert (tag.horizon, tag.n_action_steps) == (6, 6)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("action_horizon", 7, "at most 6"),
        ("action_horizon", 0, "at least 1"),
        ("n_action_steps", 5, "at most 4"),
        ("action_stats", None, "action_stats"),
        ("state_stats", None, "state_stats"),
        ("action_stats", {"q01": [0.0] * 9, "q99": [1.0] * 9}, "at most 8"),
    ],
)
def test_what_is_wrong_with_a_tag_is_said(key: str, value: Any, words: str) -> None:
    payload = tiny.norm_stats()
    payload["metadata_by_tag"]["arm"][key] = value
    with pytest.raises(CheckpointError, match=words):
        read_tags(payload, LIMITS)


def test_observation_steps_shift_the_executed_part() -> None:
    with pytest.raises(CheckpointError, match="at most 2"):
        read_tags(tiny.norm_stats(), Limits(6, 8, n_obs_steps=3))


def test_unknown_and_open_tags_list_the_allowed() -> None:
    payload = tiny.norm_stats()
    payload["metadata_by_tag"]["other"] = payload["metadata_by_tag"]["arm"]
    tags = read_tags(payload, LIMITS)[1]
    assert pick_tag(tags, "other").tag == "other"
    for name in (None, "third"):
        with pytest.raises(SpecError, match=r"\['arm', 'other'\]"):
            pick_tag(tags, name)


def test_other_formats_and_empty_files_are_refused() -> None:
    for change in ({"format": "v2"}, {"metadata_by_tag": {}}):
        with pytest.raises(CheckpointError, match=r"norm_stats\.json"):
            read_tags({**tiny.norm_stats(), **change}, LIMITS)
