"""A parking that is given up while the arm moves ends in a brake, as every movement does. Found by the soak."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firmware_bridge.safety.modes import Mode
from tests.firmware_bridge.safety.rig import RULES, Rig


def test_a_parking_that_is_given_up_in_motion_is_braked() -> None:
    rig = Rig(envelope=replace(RULES.envelope, acceleration=np.array([2.0, 2.0])))
    rig.do("arm")
    rig.run(1)
    rig.do("park")
    goals = [step.goal for step in rig.run(4)]
    rig.tick += 200  # the process was stopped: the patience is over before the arm has come anywhere
    goals += [step.goal for step in rig.run(1)]
    assert rig.machine.mode is Mode.PAUSED and "could not park" in rig.machine.remark
    goals += [step.goal for step in rig.run(10)]
    sent = np.array([goal for goal in goals if goal is not None])
    assert len(sent) > 5 and goals[-1] is None  # it came to rest
    speeds = np.diff(sent, axis=0, prepend=[[0.5, 0.5]], append=[sent[-1]]) / 0.01
    changes = np.abs(np.diff(speeds, axis=0)) / 0.01
    assert changes.max() <= 2.0 * (1 + 1e-6)
