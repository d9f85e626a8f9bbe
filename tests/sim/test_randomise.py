"""Scenes drawn from seeds: repeatable, apart, in reach, and training never meets held-out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from policy_spec.errors import SimError
from sim.place_things import APART, AREA
from sim.randomise import PERTURBATIONS, STRANGE, draw, with_pictures, wrong_text
from sim.tasks.table import TASKS
from sim.tasks.words import WORDS, say

SEEDS = range(25)


@pytest.mark.parametrize("kind", TASKS)
def test_a_seed_is_a_scene(kind: str) -> None:
    for seed in SEEDS:
        assert draw(kind, seed) == draw(kind, seed)
    scenes = [draw(kind, seed, training=training) for seed in SEEDS for training in (False, True)]
    assert len({repr(scene.things) for scene in scenes}) == len(scenes)


@pytest.mark.parametrize("kind", TASKS)
def test_errands_can_be_understood_and_done(kind: str) -> None:
    task, firsts, sides = TASKS[kind], set(), set()
    for seed in SEEDS:
        scene = draw(kind, seed, training=True)
        assert scene.errand is not None and scene.errand.kind == kind
        assert scene.errand.thing in scene.text and scene.errand.side in scene.text
        assert len(scene.things) == task.things == len({thing.name.split()[0] for thing in scene.things})
        points = [np.array(thing.position) for thing in scene.solids]
        assert all(np.linalg.norm(a - b) >= APART for a, b in itertools.combinations(points, 2))
        for thing in scene.things:
            assert all(low <= p <= high for p, (low, high) in zip(thing.position, task.area, strict=True))
        firsts.add([thing.name for thing in scene.things].index(scene.errand.thing))
        sides.add(scene.errand.side)
    assert firsts == set(range(task.things)) and sides == set(task.sides)


def test_wordings_of_tests_are_not_in_training() -> None:
    for words in WORDS.values():
        assert not set(words.training) & set(words.held_out)
    heard = {draw("pick", seed, training=True).text for seed in SEEDS}
    asked = {draw("pick", seed, perturb=("wording",)).text for seed in SEEDS}
    assert not heard & asked


def test_perturbations_do_what_they_say_and_nothing_else() -> None:
    for seed in SEEDS:
        plain = draw("reach", seed)
        moved, crowded, dark = (draw("reach", seed, perturb=(name,)) for name in ("position", "distractors", "light"))
        assert moved.errand is not None
        point, area = moved.thing(moved.errand.thing).position, TASKS["reach"].area
        assert not all(low <= p <= high for p, (low, high) in zip(point, area, strict=True))
        assert all(low <= p <= high for p, (low, high) in zip(point, AREA, strict=True))
        assert not plain.distractors and 2 <= len(crowded.distractors) <= 3
        assert {thing.name.split()[0] for thing in crowded.distractors} <= set(STRANGE)
        assert dark.light.strength <= 0.35 < plain.light.strength
        assert dark.things == plain.things and dark.text == plain.text
    with pytest.raises(SimError, match=r"position or light.*got: fog"):
        draw("reach", 0, perturb=("fog",))
    assert set(PERTURBATIONS) >= {"position", "light", "wording", "distractors"}


@pytest.mark.parametrize("kind", TASKS)
def test_wrong_words_name_something_else_that_is_there(kind: str) -> None:
    for seed in SEEDS:
        scene = draw(kind, seed)
        assert scene.errand is not None
        text = wrong_text(scene)
        assert scene.errand.thing not in text
        assert any(thing.name in text for thing in scene.things)
        if scene.errand.side:
            assert scene.errand.side not in text.split()
        assert text == wrong_text(scene)


def test_words_with_blanks_left_are_refused() -> None:
    with pytest.raises(SimError, match="side"):
        say("push", "push the {thing}", "red cube", "left")
    with pytest.raises(SimError, match="task"):
        draw("juggle", 0)


def test_pictures_of_another_size() -> None:
    scene = with_pictures(draw("reach", 0), 140, 168)
    assert {(row.height, row.width) for row in scene.cameras or ()} == {(140, 168)}
