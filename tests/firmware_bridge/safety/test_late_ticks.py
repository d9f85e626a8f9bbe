"""Ticks that a busy computer skips: a chunk that names its speed keeps to it afterwards, any other catches up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_bridge.messages import FRAME, UNITS, Chunk
from tests.firmware_bridge.safety.rig import RULES, Rig

ENVELOPE = replace(RULES.envelope, acceleration=np.array([20.0, 20.0]))
PACE = 0.5  # rad/s
SKIPPED = 20  # ticks


def speeds(word: str, speed: float) -> tuple[np.ndarray, float]:
    """The commanded speed in each tick, rad/s, of a ramp in whose middle ticks are skipped; where it ends."""
    rig = Rig(envelope=ENVELOPE, client_timeout_s=60.0)
    if word:
        rig.do(word)
    rig.run(1)
    begin = rig.measured.copy()
    path = begin[0] - PACE * 0.05 * np.minimum(np.arange(40), 14)
    rows = np.column_stack([path, np.full(40, begin[1])]).astype(np.float32)
    rig.machine.chunk(Chunk(rows, "so101", UNITS, FRAME, rig.tick, rig.tick, 0.05, speed), rig.now)
    went = [rig.machine.commanded[0]]
    for tick in range(150):
        rig.tick += SKIPPED if tick == 30 else 0
        rig.run(1)
        went.append(rig.machine.commanded[0])
    return np.abs(np.diff(went)) / 0.01, went[-1] - path[-1]


@pytest.mark.parametrize("word", ["arm", ""])
def test_a_chunk_that_names_its_speed_keeps_to_it_and_arrives_later(word: str) -> None:
    made, left = speeds(word, PACE)
    assert made.max() <= PACE * 1.0001 and (made[:40] > 0.9 * PACE).sum() > 30
    assert abs(left) < 1e-6


def test_another_catches_up_at_the_arms_own_speed() -> None:
    """Negative control."""
    made, left = speeds("arm", 0.0)
    assert made.max() > 2 * PACE and abs(left) < 1e-6
