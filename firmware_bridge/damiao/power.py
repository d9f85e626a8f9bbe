"""Torque on without a jump: measure, enable, hold exactly where each motor stands, verify. Or nothing.

Motors that hold already go on holding, whatever happens to the others. Called by arm.py and by nothing
that runs by itself: no motor is ever enabled again without a word from somebody.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from firmware_bridge.damiao import nibbles
from firmware_bridge.damiao.codec import find_turns
from firmware_bridge.damiao.frames import CLEAR, ENABLE, make_word
from firmware_bridge.errors import BridgeError, ServoError, ServoWrong, sentence

if TYPE_CHECKING:
    from firmware_bridge.damiao.arm import DamiaoArm

Array = npt.NDArray[np.float64]
ON_TRIES = 3


def switch_on(arm: DamiaoArm) -> Array:
    """Every motor of `arm` enabled with goal = present; that present, [D] joints. Raises ServoError."""
    arm.measure()
    turn_right(arm)
    before = set(arm.on)
    wanted = [index for index in range(len(arm.drive.motors)) if index not in before]
    arm.goal = arm.seen.position
    arm.ours = True
    try:
        for attempt in range(ON_TRIES):
            if attempt:
                arm.measure()  # an answer got lost: hear everybody again, holding who is on
            _enable(arm, wanted)
            wanted = [index for index in wanted if not _holds(arm, index)]
            if not wanted:
                break
        if wanted:
            raise _refusal(arm, wanted)
    except BaseException:
        _undo(arm, before)
        raise
    arm.dropped.clear()
    return arm.codec.to_joint(arm.goal)


def turn_right(arm: DamiaoArm) -> tuple[str, ...]:
    """Choose the turns of all motors by where they stand now; remarks. Raises ServoWrong."""
    turns, remarks = find_turns(arm.seen.position, arm.base_codec, arm.robot)
    arm.codec = arm.base_codec.turned(turns)
    return remarks


def _enable(arm: DamiaoArm, motors: list[int]) -> None:
    stuck = {index for index in motors if _nibble(arm, index) in nibbles.ERRORS}
    if stuck:
        arm.exchange({index: make_word(arm.drive.motors[index].id, CLEAR) for index in stuck})
    arm.exchange({index: make_word(arm.drive.motors[index].id, ENABLE) for index in motors})
    assert arm.goal is not None
    for index in motors:  # what moved while limp is held where its enabling found it
        if arm.chain.fresh(index) and _nibble(arm, index) == nibbles.ENABLED:
            arm.goal[index] = arm.seen.position[index]
            arm.on.add(index)
    arm.exchange(arm.frames(arm.holding()))


def _holds(arm: DamiaoArm, index: int) -> bool:
    return index in arm.on and arm.chain.fresh(index) and _nibble(arm, index) == nibbles.ENABLED


def _nibble(arm: DamiaoArm, index: int) -> int:
    row = arm.chain.latest[index]
    return -1 if row is None else row.error


def _refusal(arm: DamiaoArm, motors: list[int]) -> ServoError:
    rows = [f"{arm.robot.joints[index]}: {nibbles.meaning(_nibble(arm, index))}" for index in motors]
    do = nibbles.alarm(_nibble(arm, motors[0])) or "check its power supply and cable, then again"
    return ServoWrong(sentence("torque on", expected="every motor enabled", got="; ".join(rows), do=do))


def _undo(arm: DamiaoArm, before: set[int]) -> None:
    """Off again with what this attempt switched on; what held before holds on."""
    others = [index for index in range(len(arm.drive.motors)) if index not in before]
    with contextlib.suppress(BridgeError):  # a bus that is gone: watchdogs end it, and the error says so
        arm.switch_off(others)
    arm.on &= before
