"""Joint frames: numbers by hand, exact inverses, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from policy_spec.errors import SpecError
from policy_spec.frames import frame, frame_names

HALF = [1.0, 0.5, 2.0, 1.5, np.pi]


def test_the_so101_frame_by_hand() -> None:
    f = frame("so101-molmoact2")
    si = f.to_si([[10.0, 90.0, 90.0, -30.0, 0.0, 44.0], [0.0, 60.0, 120.0, 0.0, 180.0, 100.0]])
    expected = [[np.radians(10), 0, 0, np.radians(-30), 0, 0.44], [0, np.radians(30), np.radians(30), 0, np.pi, 1]]
    np.testing.assert_allclose(si, expected, atol=1e-12)


def test_the_frames_differ_where_they_should() -> None:
    state = [3.1, 124.5, 122.8, 57.8, -11.1, 4.9]
    ours, plain = frame("so101-molmoact2").to_si(state), frame("lerobot-degrees").to_si(state)
    assert np.degrees(plain - ours).round(6).tolist() == [0, 159.0, 90, 0, 0, 0]


@pytest.mark.parametrize("name", ["so101-molmoact2", "lerobot-degrees", "lerobot-m100", "radians"])
@pytest.mark.parametrize("shape", [(6,), (30, 6), (2, 3, 12)])
def test_there_and_back(name: str, shape: tuple[int, ...]) -> None:
    f = frame(name, HALF)
    values = np.random.default_rng(0).uniform(-150, 150, shape)
    np.testing.assert_allclose(f.from_si(f.to_si(values)), values, rtol=0, atol=1e-12)
    np.testing.assert_allclose(f.to_si(f.from_si(values)), values, rtol=0, atol=1e-12)


def test_radians_are_si_for_any_number_of_joints() -> None:
    values = np.arange(14.0)
    out = frame("radians").to_si(values)
    assert np.array_equal(out, values) and not np.shares_memory(out, values)


def test_m100_needs_the_calibrated_ranges() -> None:
    f = frame("lerobot-m100", HALF)
    np.testing.assert_allclose(f.to_si([100, 100, -100, 50, 0, 100]), [1, 0.5, -2, 0.75, 0, 1], atol=1e-12)
    for ranges in (None, [1.0] * 4, [0.0] * 5):
        with pytest.raises(SpecError, match="calibration file"):
            frame("lerobot-m100", ranges)


def test_unknown_names_list_the_allowed() -> None:
    with pytest.raises(SpecError, match=r"lerobot-degrees.*radians.*so101-molmoact2"):
        frame("degrees")
    assert len(frame_names()) == 4


def test_another_number_of_joints_is_refused() -> None:
    for bad in (np.zeros(7), np.zeros((2, 5)), np.float64(1.0), np.zeros((3, 0))):
        with pytest.raises(SpecError, match="multiple of 6"):
            frame("so101-molmoact2").to_si(bad)
