"""The mailbox: the newest chunk wins, age by the bridge's own ticks, the path between actions."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from firmware_bridge.errors import ChunkRefused
from firmware_bridge.messages import FRAME, UNITS, Chunk
from firmware_bridge.safety.chunks import Door, Mailbox, end_tick

DOOR = Door("so101", 2, 100.0, 200)


def chunk(**changes: Any) -> Chunk:
    actions = np.array([[0.0, 0.0], [0.3, 0.6], [0.6, 1.2]], np.float32)
    return dataclasses.replace(Chunk(actions, "so101", UNITS, FRAME, 10, 10, 0.03), **changes)


def mailbox(upto: int = 20) -> Mailbox:
    box = Mailbox(DOOR)
    for tick in range(1, upto + 1):
        box.published(tick, tick)
    return box


def test_path_is_linear_between_actions_then_holds_then_ends() -> None:
    box = mailbox(10)
    box.offer(chunk())
    path = [box.target(tick) for tick in range(10, 20)]
    first = [None if target is None else round(float(target[0]), 4) for target in path]
    assert first == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6, None]
    assert end_tick(chunk(), 100.0) == 19 and box.chunk_seq == -1


def test_pace_is_how_the_path_moves_from_its_first_tick_on() -> None:
    box = mailbox(10)
    assert box.pace(10) is None
    box.offer(chunk())
    paces = []
    for tick in range(10, 19):
        box.target(tick)
        pace = box.pace(tick)
        assert pace is not None and pace[1] == pytest.approx(2 * pace[0], abs=1e-5)
        paces.append(round(float(pace[0]), 3))
    assert paces == [10.0] * 7 + [0.0] * 2  # while it goes on, and while its last action lasts
    assert box.target(19) is None and box.pace(19) is None


def test_a_newer_chunk_waits_for_its_start_tick() -> None:
    box = mailbox(12)
    box.offer(chunk())
    box.offer(chunk(status_seq=12, start_tick=15, actions=np.full((3, 2), 9.0)))
    assert box.target(13) == pytest.approx([0.3, 0.6]) and box.chunk_seq == 10
    assert box.target(15) == pytest.approx([9.0, 9.0]) and box.chunk_seq == 12


def test_between_the_end_of_a_chunk_and_the_start_of_the_next_there_is_none() -> None:
    box = mailbox(12)
    box.offer(chunk())
    box.offer(chunk(status_seq=12, start_tick=25))
    assert box.target(18) is not None
    assert [box.target(tick) for tick in (19, 24)] == [None, None] and box.pace(24) is None
    assert box.target(25) == pytest.approx([0.0, 0.0]) and box.chunk_seq == 12


def test_a_newer_chunk_that_starts_now_is_followed_now() -> None:
    box = mailbox(12)
    box.offer(chunk())
    box.offer(chunk(status_seq=12, start_tick=12))
    assert box.chunk_seq == 12


def test_a_first_chunk_is_the_one_followed_even_before_its_start() -> None:
    box = mailbox(12)
    box.offer(chunk(start_tick=15))
    assert box.chunk_seq == 10 and box.target(14) is None and box.target(15) is not None


def test_the_last_tick_at_which_an_observation_or_a_start_will_do() -> None:
    for tick, young in ((201, True), (202, False)):
        box = Mailbox(DOOR)  # at most 200 ticks
        box.published(1, 1)
        box.published(2, tick)
        late = chunk(status_seq=1, start_tick=tick)
        if young:
            box.offer(late)
            box.offer(chunk(status_seq=2, start_tick=tick + 200))
            continue
        with pytest.raises(ChunkRefused, match="stale"):
            box.offer(late)
        with pytest.raises(ChunkRefused, match="far future"):
            box.offer(chunk(status_seq=2, start_tick=tick + 201))


def test_a_chunk_that_started_in_the_past_is_joined_where_it_is_now() -> None:
    box = mailbox(13)
    box.offer(chunk())
    assert box.target(13) == pytest.approx([0.3, 0.6])


REFUSED: dict[str, dict[str, Any]] = {
    "another arm.*so101.*yam": {"arm": "yam"},
    "another units.*si.*degrees": {"units": "degrees"},
    "another frame.*arm.*so101-molmoact2": {"frame": "so101-molmoact2"},
    r"\[H, 2\].*\[3, 7\]": {"actions": np.zeros((3, 7))},
    "stale observation.*status_seq 99": {"status_seq": 99},  # of another bridge
    "is over": {"start_tick": 1},
    "far future": {"start_tick": 5000},
    "finite.*nan at step 1, joint 0": {"actions": np.array([[0, 0], [np.nan, 0]])},
    "finite": {"actions": np.array([[0, np.inf]])},
    r"\[H, D\]": {"actions": np.zeros(2)},
    "dt": {"dt": 0.0},
    "speed": {"speed": -0.1},
    "speed; .*nan": {"speed": float("nan")},
}


@pytest.mark.parametrize("match", REFUSED)
def test_refusals_name_what_and_keep_what_was_there(match: str) -> None:
    box = mailbox()
    box.offer(chunk(status_seq=20, start_tick=20))
    with pytest.raises(ChunkRefused, match=match):
        box.offer(chunk(**{"status_seq": 20, "start_tick": 20, **REFUSED[match]}))
    assert box.chunk_seq == 20


def test_an_old_observation_is_refused_by_the_bridges_own_count() -> None:
    box = mailbox(220)
    with pytest.raises(ChunkRefused, match=r"stale.*status_seq 10"):
        box.offer(chunk(start_tick=215))
    box.offer(chunk(status_seq=25, start_tick=215))  # negative control: young enough


def test_ticks_that_passed_unseen_make_an_observation_old() -> None:
    box = mailbox(20)
    box.published(21, 500)  # the bridge slept: one status, 480 ticks
    with pytest.raises(ChunkRefused, match="stale"):
        box.offer(chunk(status_seq=20, start_tick=500))


def test_an_older_chunk_never_replaces_a_newer() -> None:
    box = mailbox(20)
    box.offer(chunk(status_seq=15, start_tick=15))
    with pytest.raises(ChunkRefused, match="older than the one held"):
        box.offer(chunk(status_seq=14, start_tick=15))
    box.clear()
    box.offer(chunk(status_seq=14, start_tick=15))
