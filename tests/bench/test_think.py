"""The clips and the speakers that thinking is measured with: they must be what the tables say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bench.think_clips import CLIPS, SIDE, shots
from bench.think_speak import Told
from policy_spec.depth_patches import changed_cells, patches_of

CELLS, FIRST = SIDE * SIDE, 50


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: str(clip.share))
@pytest.mark.parametrize("noise", [False, True])
def test_a_clip_changes_about_as_many_cells_as_it_is_called(clip, noise: bool) -> None:
    pictures = shots(replace(clip, noise=noise), 8)
    seen = [patches_of(shot.image, SIDE) for shot in pictures]
    changed = np.mean([changed_cells(now, before) for before, now in pairwise(seen)])
    assert abs(100 * changed - clip.share) <= 5
    assert np.array_equal(pictures[3].image, shots(replace(clip, noise=noise), 4)[3].image)
    moved = any((a.codes != b.codes).any() for a, b in pairwise(pictures))
    assert moved == (clip.share > 0)


def test_flicker_replaces_a_share_of_the_codes() -> None:
    plain, other = (shots(CLIPS[0], 20, flicker=share) for share in (0.0, 0.1))
    assert 0.05 < np.mean([a.codes != b.codes for a, b in zip(plain, other, strict=True)]) < 0.15


def silent(graph: str, feeds: Mapping[str, np.ndarray], /) -> Mapping[str, np.ndarray]:
    return {"logits": np.full((1, feeds["rows"].shape[1], 128), 7.0, np.float32)}


def told(chained: bool) -> Told:
    speaker = Told(silent, FIRST, 128, SIDE, chained)
    speaker.codes = np.arange(CELLS) + 3
    ask(speaker, np.zeros(300, np.int64), 0, [299])
    return speaker


def ask(speaker: Told, ids: np.ndarray, place: int, rows: list[int]) -> list[int]:
    feeds = {"input_ids": ids[None], "positions": place + np.arange(len(ids))[None], "rows": np.array([rows])}
    return [int(row.argmax()) for row in speaker("llm", feeds)["logits"][0]]


@pytest.mark.parametrize("chained", [False, True])
def test_the_picture_speaks(chained: bool) -> None:
    speaker = told(chained)
    fed = np.concatenate([[1], speaker.codes[:30] + FIRST])
    assert ask(speaker, fed, 280, list(range(31))) == speaker.codes[:31].tolist()


def test_a_wrong_neighbour_spoils_what_follows_only_where_it_is_chained() -> None:
    for chained in (False, True):
        speaker = told(chained)
        fed = np.concatenate([[1], speaker.codes[:30] + FIRST])
        fed[5] += 1  # the code of cell 4
        wrong = np.flatnonzero(np.array(ask(speaker, fed, 280, list(range(31)))) != speaker.codes[:31]).tolist()
        assert wrong == ([5, 14] if chained else [])


def test_a_model_that_is_told_nothing_speaks_for_itself() -> None:
    speaker = Told(silent, FIRST, 128, SIDE)
    assert silent("llm", {"rows": np.zeros((1, 2))})["logits"].min() == 7
    feeds = {"input_ids": np.ones((1, 2)), "positions": np.zeros((1, 2), int), "rows": np.zeros((1, 2), int)}
    assert (speaker("llm", feeds)["logits"] == 7).all()
