"""How far the joints of an SO arm turn, from stop to stop, and which calibrated ranges such an arm can have.

Takes ticks, gives words for people. Expected ways: the CAD models of SO-100 and SO-101 (docs/calibration.md has the
table and the calibration files that the tolerances were chosen by). Pure; knows no bus and no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firmware_bridge.sts.registers import TICKS_PER_TURN

DEGREES_PER_TICK = 360.0 / TICKS_PER_TURN


@dataclass(frozen=True, slots=True)
class Travel:
    """One joint's way in degrees. `lower` and `upper`: its stops, from the zero of the arm's model."""

    lower: float
    upper: float
    short: float = 0.0  # so much narrower a calibrated range may be
    wide: float = 0.0  # so much wider
    free: bool = False  # turns freely, only its cable ends it: any range will do

    @property
    def width(self) -> float:
        return self.upper - self.lower

    @property
    def narrowest(self) -> float:
        return self.width - self.short

    @property
    def widest(self) -> float:
        return self.width + self.wide


# Stops are those of the models' meshes (kinematics/so101.py: the elbow's middle is the middle of its sweep). The
# tolerances are those of 30 published calibration files of real arms (docs/calibration.md): pans turn 20 degrees and
# wrists 15 degrees further than the models say, followers' grippers open to 128 degrees and leaders' to 105. All that
# were swept from stop to stop fit, and a joint that was swept to 60 % of its way does not.
TRAVEL: Mapping[str, Travel] = {
    "shoulder_pan": Travel(-110.0, 110.0, short=45.0, wide=32.0),
    "shoulder_lift": Travel(-100.0, 100.0, short=32.0, wide=30.0),
    "elbow_flex": Travel(-96.8, 96.8, short=28.6, wide=24.4),
    "wrist_flex": Travel(-95.0, 95.0, short=28.0, wide=40.0),
    "wrist_roll": Travel(-157.2, 162.8, free=True),
    "gripper": Travel(0.0, 110.0, short=25.0, wide=38.0),
}
