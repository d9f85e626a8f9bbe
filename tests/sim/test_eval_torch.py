"""A checkpoint plays without an export, as its bundle does; ablations of the expert's conditioning play too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("torch")

from armside.eval import journal_settings
from armside.eval_cases import Case
from armside.eval_player import Player, Settings
from armside.eval_torch import TorchPolicy, is_checkpoint, open_checkpoint, sha256_of
from armside.make_bundle import ExportOptions, export_bundle
from edge.engine import EngineOptions
from edge.session import Session
from policy_spec.errors import CheckpointError
from tests.checkpoints import variant
from tests.edge.small_bundle import observation
from tests.sim.drawing import need_drawing
from tests.train.material import micro_checkpoint
from train.init_checkpoint import InitOptions, init_checkpoint

TASK = "reach the red cube"


@pytest.fixture(scope="module")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return micro_checkpoint(tmp_path_factory.mktemp("micro") / "checkpoint")


@pytest.fixture(scope="module")
def bundle(micro: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        export_bundle(ExportOptions(str(micro), folder / "b.bundle", precision="fp32"), lambda *_: None)
        yield folder / "b.bundle"


def conditioned(micro: Path, folder: Path, kind: str) -> Path:
    """The same checkpoint with another conditioning: weights are drawn anew where shapes differ."""

    def change(config: dict) -> None:
        config["action_expert_config"]["conditioning"] = kind

    return variant(micro, folder, change)


def test_a_checkpoint_says_what_its_bundle_says(micro: Path, bundle: Path) -> None:
    assert is_checkpoint(micro) and not is_checkpoint(bundle)
    policy = open_checkpoint(micro, threads=1)
    with Session.open(bundle, engine=EngineOptions(1)) as session:
        assert policy.slots == session.slots and policy.tag.n_action_steps == session.tag.n_action_steps
        for salt in range(3):
            seen = observation(6, 2, salt)
            one, two = (p.predict(seen, TASK, seed=salt) for p in (policy, session))
            other = policy.predict(seen, TASK, seed=salt + 1)
            assert np.abs(one.normalized - two.normalized).max() < 2e-4
            assert np.abs(one.normalized - other.normalized).max() > 0.01  # the control


def test_both_play_the_same_episode(micro: Path, bundle: Path) -> None:
    need_drawing()
    played = []
    for path in (micro, bundle):
        with Player(Settings(str(path), threads=1, limit_s=0.8)) as player:
            assert isinstance(player._session, TorchPolicy) == (path is micro)
            played.append(player.play(Case("reach", 2)))
    one, two = played
    assert one.chunks > 0 and one.path_rad == pytest.approx(two.path_rad, abs=2e-3)
    assert replace(one, path_rad=0.0) == replace(two, path_rad=0.0)


@pytest.mark.parametrize("kind", ["per_head", "hidden_state"])
def test_other_conditionings_play_and_say_something_else(micro: Path, tmp_path: Path, kind: str) -> None:
    folder = conditioned(micro, tmp_path / "c", kind)
    said = open_checkpoint(folder).predict(observation(6, 2), TASK, seed=1)
    usual = open_checkpoint(micro).predict(observation(6, 2), TASK, seed=1)
    assert said.actions.shape == usual.actions.shape and np.isfinite(said.actions).all()
    assert np.abs(said.normalized - usual.normalized).max() > 1e-3
    assert sha256_of(folder) != sha256_of(micro)


def test_a_journal_is_of_the_weights_not_of_the_place(micro: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(micro, tmp_path / "copy")
    facts = journal_settings(Settings(str(micro)))
    assert journal_settings(Settings(str(copy))) == facts and json.dumps(facts)
    init_checkpoint(InitOptions(tmp_path / "other", "tiny", "so101", 1, True, False))
    assert journal_settings(Settings(str(tmp_path / "other"))) != facts


def test_a_checkpoint_that_is_not_whole_is_refused(micro: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((micro / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match="no weights there"):
        open_checkpoint(tmp_path)
