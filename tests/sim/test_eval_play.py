"""An episode of an evaluation: the run's own loop and pilot, on the world's clock."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")

from armside.eval_cases import DONE, TIME, Case, Condition, Journal, Outcome, make_cases
from armside.eval_play import Manner, Played, Trial, play
from policy_spec.errors import SessionError, UsageError, sentence
from policy_spec.frames import frame
from policy_spec.pipeline import Observation, Prediction
from sim.lockstep import Lockstep
from sim.tasks.judges import Verdict
from tests.sim.twin import Twin

FRAME = frame("so101-molmoact2")
MANNER = Manner(("front", "wrist"), FRAME, horizon=8, execute=4, dt_s=0.1)


class Turner:
    """Turns the pan by 5 degrees a step from where it is: a policy without a network."""

    def __init__(self, degrees: float = 5.0) -> None:
        self.degrees = degrees
        self.seen: list[Observation] = []
        self.seeds: list[int] = []
        self.resets = 0

    def predict(self, observation: Observation, task: str, seed: int, passed: int = 0) -> Prediction:
        if task == "break":
            raise SessionError(sentence("it broke"))
        self.seen.append(observation)
        self.seeds.append(seed)
        actions = np.tile(np.asarray(observation.state, np.float32), (8, 1))
        actions[:, 0] += self.degrees * np.arange(8)
        return Prediction(actions, actions[None], {}, 1, seed)

    def reset(self) -> None:
        self.resets += 1


def episode(thinker: Turner, text: str = "turn", manner: Manner = MANNER, limit_s: float = 5.0) -> tuple[Played, Twin]:
    twin = Twin()

    def look() -> Mapping[str, np.ndarray]:
        shade = np.uint8(abs(100 * twin.at["shoulder_pan"]))
        return {slot: np.full((4, 4, 3), shade) for slot in ("wrist", "front", "unused")}

    def judge() -> Verdict:
        at = twin.at["shoulder_pan"]
        return Verdict(True, True) if at > 0.5 else Verdict(True, False, "too far") if at < -1.5 else Verdict()

    trial = Trial(text, 7, limit_s, judge, look)
    with Lockstep(twin) as rig:
        return play(rig, thinker, manner, trial), twin


def test_it_ends_when_it_is_done_and_says_how() -> None:
    thinker = Turner()
    played, twin = episode(thinker)
    assert played.success and played.ending == DONE and twin.at["shoulder_pan"] > 0.5
    # 5 degrees in 0.1 s but for the lag and the standing step of each chunk: 0.5 rad in about 0.6 to 1.2 s.
    assert 0.5 < played.seconds < 1.3 and played.path_rad == pytest.approx(0.5, abs=0.1)
    assert played.refused == 0 and played.chunks == len(thinker.seen) and thinker.resets == 1
    assert len(thinker.seen[0].images) == 2 and len(set(thinker.seeds)) == len(thinker.seeds)
    assert thinker.seen[-1].images[0].max() > 10  # it sees what the world is by then


def test_the_other_way_it_never_is() -> None:
    played, twin = episode(Turner(-5.0), limit_s=1.5)
    assert not played.success and played.ending == TIME and played.seconds == pytest.approx(1.5, abs=0.05)
    assert -1.5 < twin.at["shoulder_pan"] < -0.5
    failed, _ = episode(Turner(-10.0), limit_s=5.0)
    assert not failed.success and failed.ending == "failed: too far" and failed.seconds < 2.5


def test_the_same_again() -> None:
    assert episode(Turner())[0] == episode(Turner())[0] != episode(Turner(4.0))[0]


def test_a_prediction_that_takes_its_time_is_waited_for() -> None:
    quick, _ = episode(Turner())
    slow = Manner(MANNER.slots, FRAME, horizon=8, execute=4, dt_s=0.1, latency_s=0.5)
    thinker = Turner()
    late, _ = episode(thinker, manner=slow)
    assert late.success and late.seconds > quick.seconds + 0.3
    assert late.refused == 0


def test_a_policy_that_breaks_is_an_ending_not_a_success() -> None:
    played, _ = episode(Turner(), text="break")
    assert not played.success and "it broke" in played.ending


def test_cases_and_their_journal(tmp_path: Path) -> None:
    conditions = [Condition(), Condition(("light", "position")), Condition(wrong_word=True)]
    cases = make_cases(["reach", "pick"], conditions, 3, seed=10)
    assert len(cases) == 18 and len(set(cases)) == 18 and cases[0] == Case("reach", 10)
    assert [c.name for c in conditions] == ["plain", "light, position", "wrong word"]
    path = tmp_path / "out" / "journal.jsonl"
    settings = {"bundle": "a", "execute": 4}
    journal = Journal(path, settings)
    outcomes = [Outcome(case, case.seed % 2 == 0, 1.5, 0.7, DONE, "reach it", chunks=3) for case in cases[:5]]
    for outcome in outcomes:
        journal.add(outcome)
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"case": {"task": "re')  # killed while writing
    again = Journal(path, settings)
    assert list(again.done.values()) == outcomes
    again.add(outcomes[0])
    again.close()
    assert len(Journal(path, settings).done) == 5
    with pytest.raises(UsageError, match="journal of another evaluation"):
        Journal(path, {"bundle": "b", "execute": 4})
