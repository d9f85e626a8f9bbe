"""Whole runs of bundles that generate tokens: what is recorded, when an episode begins, what holds the arm."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge.control import Control
from edge.run import run
from edge.session import Session
from edge.state import ExitReason
from episodes.recording import Recording
from episodes.report import make_report
from policy_spec.pipeline import Observation
from tests.edge.arm import Watcher, moving, run_and, sim_config, until


def still(folder: Path, frames: int = 12) -> dict[str, str]:
    """Cameras; the first sees a square that moves over a background that does not."""
    folder.mkdir()
    background = np.random.default_rng(4).integers(60, 200, (60, 80, 3), np.uint8)
    for frame in range(frames):
        image = background.copy()
        image[10 + 2 * frame : 22 + 2 * frame, 8 + 4 * frame : 24 + 4 * frame] = (30, 60, 240)
        cv2.imwrite(str(folder / f"{frame:03d}.png"), image)
    return {"cam0": str(folder), "cam1": "test:64x48"}


def test_a_run_that_thinks_is_recorded_and_can_be_predicted_again(thinking: Path, tmp_path: Path) -> None:
    cameras = still(tmp_path / "pictures")
    config = sim_config(thinking, cameras=cameras, record=tmp_path / "run", image_format="png", duration_s=3.0)
    result = run(config, ui=(watcher := Watcher()))
    assert result.ok and result.chunks >= 3
    assert "depth maps" in result.thoughts and "passes of the language model each" in result.thoughts
    assert any(state.thought.startswith("depth: ") for state in watcher.states)
    recording = Recording.open(tmp_path / "run")
    assert recording.header.facts["mode"] == "think, head depth, order draft"
    assert [seen.begins for seen in recording.observations] == [True] + [False] * (len(recording.observations) - 1)
    first = recording.chunks[0].depth
    assert first is not None and first.changed.all() and first.codes.shape == (100,)
    assert np.ptp(recording.ticks["measured"], axis=0).max() > 0.3  # it moved
    _check_replay(recording, thinking)
    text = make_report(tmp_path / "run").read_text()
    assert "Depth maps" in text and "passes of the language model" in text


def _check_replay(recording: Recording, bundle: Path) -> None:
    """The recorded calls in their order give the same codes and actions; without the memory between them, others."""
    with Session.open(bundle) as session:
        for chunk in recording.chunks:
            seen = recording.observations[chunk.index]
            images = tuple(recording.image(seen, slot) for slot in session.slots)
            if seen.begins:
                session.reset()
            again = session.predict(Observation(images, seen.state), seen.task, seen.seed)
            assert again.depth is not None and chunk.depth is not None
            assert np.array_equal(again.depth.codes, chunk.depth.codes)
            assert np.array_equal(again.depth.changed, chunk.depth.changed)
            assert (again.depth.passes, again.depth.accepted) == (chunk.depth.passes, chunk.depth.accepted)
            assert np.array_equal(again.actions, chunk.policy_actions.astype(np.float32))


def test_an_episode_begins_where_the_world_may_be_another(thinking: Path, tmp_path: Path) -> None:
    def act(control: Control, watcher: Watcher) -> None:
        until(moving(watcher, 2))
        control.say("task", "push the button")
        until(moving(watcher, watcher.states[-1].chunks + 3))
        for word, back in (("pause", "resume"), ("estop", "rearm")):
            control.say(word)
            until(lambda: watcher.states[-1].mode in ("paused", "estop"))
            control.say(back)
            until(moving(watcher, watcher.states[-1].chunks + 3))

    cameras = still(tmp_path / "pictures")
    result, _ = run_and(sim_config(thinking, cameras=cameras, record=tmp_path / "run", duration_s=None), act)
    assert result.reason is ExitReason.QUIT
    recording = Recording.open(tmp_path / "run")
    begins = [seen for seen in recording.observations if seen.begins]
    assert begins[0].index == 0
    for word in ("task", "resume", "rearm"):
        at = next(event.t for event in recording.events if event.name == word)
        assert next(seen for seen in recording.observations if seen.t > at) in begins, word
    full = {chunk.index for chunk in recording.chunks if chunk.depth is not None and chunk.depth.changed.all()}
    chunks = {chunk.index for chunk in recording.chunks}
    assert {seen.index for seen in begins} & chunks <= full
    assert len(full) < len(chunks)  # the control: the others replay


def test_answers_that_are_no_chunk_hold_the_arm_and_then_end_the_run(answering: Path, tmp_path: Path) -> None:
    config = sim_config(answering, record=tmp_path / "run", duration_s=None)
    result = run(config, ui=(watcher := Watcher()))
    assert result.reason is ExitReason.REFUSED and not result.ok
    assert (result.chunks, result.refused) == (0, 5)
    assert "5 chunks in a row were not taken; the last: the policy's discrete answer" in result.text
    assert watcher.said("chunk refused", "the policy's discrete answer")
    recording = Recording.open(tmp_path / "run")
    assert recording.chunks == () and len(recording.observations) == 5
    before_parking = [recording.modes[mode] != "parking" for mode in recording.ticks["mode"]]
    assert np.ptp(recording.ticks["commanded"][before_parking], axis=0).max() < 0.01  # it never moved: no zeros
