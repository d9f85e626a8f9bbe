"""Named joint frames: a policy's own units to the arm's SI units and back.

Takes arrays [..., D] in policy units (what a norm tag's statistics are in) or in SI (rad, gripper 0 closed ..
1 open), gives the other as float64. A frame is chosen by name and never inferred: two of them look alike and
differ by 90 degrees.

    so101-molmoact2   the older SO-100/101 calibration: policy = sign * degrees + offset; gripper 0..100
    lerobot-degrees   degrees from the middle of the calibrated range; gripper 0..100
    lerobot-m100      -100..100 over the calibrated range of each joint (needs the ranges); gripper 0..100
    radians           rad, gripper 0..1: SI already (YAM)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from policy_spec.errors import SpecError, sentence

Float64 = NDArray[np.float64]

_DEGREE = float(np.pi / 180)


@dataclass(frozen=True, slots=True)
class _Row:
    """policy = sign * arm / unit + offset, joint by joint for one arm whose last joint is the gripper."""

    signs: tuple[float, ...] = ()  # empty: SI already, any number of joints
    offsets: tuple[float, ...] = ()  # policy units
    unit: float = 1.0  # rad in one policy unit
    gripper: float = 1.0  # policy units of an open gripper
    needs_ranges: bool = False  # the unit is half of each joint's own calibrated range


_FRAMES = {
    "so101-molmoact2": _Row((1, -1, 1, 1, 1, 1), (0, 90, 90, 0, 0, 0), _DEGREE, 100.0),
    "lerobot-degrees": _Row((1,) * 6, (0,) * 6, _DEGREE, 100.0),
    "lerobot-m100": _Row((1,) * 6, (0,) * 6, 0.01, 100.0, needs_ranges=True),
    "radians": _Row(),
}


def frame_names() -> list[str]:
    """All names that `frame` knows."""
    return sorted(_FRAMES)


@dataclass(frozen=True, slots=True)
class Frame:
    """One named frame. `scale` and `offset` are per joint of one arm; empty for SI."""

    name: str
    scale: tuple[float, ...]  # policy units per SI unit, sign included
    offset: tuple[float, ...]  # policy units

    def to_si(self, values: ArrayLike) -> Float64:
        """Policy units [..., D] to rad and gripper 0..1 [..., D]. D is a whole number of arms."""
        array = np.asarray(values, np.float64)
        if not self.scale:
            return array.copy()
        arms = self._arms(array)
        out: Float64 = (array - np.tile(self.offset, arms)) / np.tile(self.scale, arms)
        return out

    def from_si(self, values: ArrayLike) -> Float64:
        """Rad and gripper 0..1 [..., D] to policy units [..., D]: the inverse of to_si."""
        array = np.asarray(values, np.float64)
        if not self.scale:
            return array.copy()
        arms = self._arms(array)
        out: Float64 = array * np.tile(self.scale, arms) + np.tile(self.offset, arms)
        return out

    def _arms(self, array: Float64) -> int:
        width = array.shape[-1] if array.ndim else 0
        if width == 0 or width % len(self.scale):
            raise SpecError(
                sentence(
                    f"joint frame {self.name!r}: number of joints",
                    expected=f"a multiple of {len(self.scale)}",
                    got=width,
                    do=f"choose the frame of this arm, one of {frame_names()}",
                )
            )
        return width // len(self.scale)


def frame(name: str, half_ranges: Sequence[float] | None = None) -> Frame:
    """The frame of that name. `half_ranges`: half of each joint's calibrated range, rad, gripper left out.

    Raises SpecError listing the allowed names, or naming the ranges that only a calibration file knows.
    """
    row = _FRAMES.get(name)
    if row is None:
        raise SpecError(sentence("unknown joint frame", expected=f"one of {frame_names()}", got=repr(name)))
    if not row.signs:
        return Frame(name, (), ())
    joints = len(row.signs) - 1
    units = [row.unit] * joints
    if row.needs_ranges:
        if half_ranges is None or len(half_ranges) != joints or not all(r > 0 for r in half_ranges):
            raise SpecError(
                sentence(
                    f"joint frame {name!r} counts in shares of the arm's calibrated range",
                    expected=f"half of the range of each of the {joints} joints, rad",
                    got=half_ranges,
                    do="give the arm's calibration file, or use a policy trained in degrees",
                )
            )
        units = [row.unit * float(r) for r in half_ranges]
    scale = [sign / unit for sign, unit in zip(row.signs[:-1], units, strict=True)]
    return Frame(name, (*scale, row.signs[-1] * row.gripper), tuple(float(o) for o in row.offsets))
