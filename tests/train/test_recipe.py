"""A run's TOML: the recipe where it is silent, errors that name what is near, and the same again when written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from policy_spec.errors import UsageError
from train.recipe.config import Config
from train.recipe.read import config_of, parse, read_config, write
from train.trainer.same import compare

START = {"start": {"preset": "tiny", "fast": "somewhere"}, "data": {"datasets": [{"path": "x"}]}}


def made(*stages: dict[str, Any], **others: Any) -> Config:
    return config_of({**START, "stages": list(stages) or [{}], **others})


def test_the_recipe_is_what_is_not_said() -> None:
    config = made({"kind": "pretrain"}, {"kind": "posttrain"}, {"kind": "finetune"})
    pre, post, fine = config.stages
    assert (pre.loss.flow, pre.loss.lm, pre.answer) == (0.0, 1.0, "actions")
    assert (post.noise_samples, post.insulated, post.loss.flow, post.loss.lm, post.lr.expert) == (
        4,
        True,
        1.0,
        1.0,
        5e-5,
    )
    assert (fine.noise_samples, fine.insulated, fine.lr.expert, fine.batch) == (8, False, 1e-4, 64)
    assert all((s.lr.llm, s.lr.vit, s.lr.connector) == (1e-5, 5e-6, 5e-6) for s in config.stages)
    assert all(
        (s.betas, s.eps, s.weight_decay, s.final_lr, s.loss.z) == ((0.9, 0.95), 1e-6, 0.0, 0.1, 1e-4)
        for s in config.stages
    )
    assert all(rate == 1.0 for s in config.stages for rate in (s.clip.llm, s.clip.vit, s.clip.expert))


def test_adapters_have_rates_and_sizes_of_their_own() -> None:
    (stage,) = made({"mode": "lora"}).stages
    assert (stage.lora.rank, stage.lora.alpha, stage.lora.dropout) == (64, 16.0, 0.05)
    assert (stage.lr.llm, stage.lr.lm_head, stage.lr.expert) == (5e-5, 5e-5, 1e-4)


def test_an_answer_that_is_asked_for_is_learned() -> None:
    assert made({"answer": "depth"}).stages[0].loss.lm == 1.0
    assert made({"answer": "depth", "loss": {"lm": 0.25}}).stages[0].loss.lm == 0.25


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    config = made({"kind": "posttrain", "name": 'a "b"\\c'}, {"mode": "lora"}, run={"out": "here", "seed": 3})
    (tmp_path / "run.toml").write_text(write(config))
    assert read_config(tmp_path / "run.toml") == config


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({**START, "stages": [{"stepz": 3}]}, r"unknown setting stages\.0\.stepz; what to do: did you mean steps"),
        ({**START, "stages": [{}], "runs": {}}, "unknown setting runs; what to do: did you mean run"),
        ({**START, "stages": [{"lr": {"llmm": 1}}]}, r"unknown setting stages\.0\.lr\.llmm.*did you mean llm"),
        ({**START, "stages": [{"steps": "ten"}]}, r"stages\.0\.steps; expected: a whole number; got: ten"),
        ({**START, "stages": [{"steps": True}]}, r"stages\.0\.steps; expected: a whole number; got: True"),
        ({**START, "stages": [{"mode": "lorra"}]}, "stages.mode; expected: 'full' or 'lora' or 'expert'"),
        ({**START, "stages": []}, r"\[\[stages\]\]; expected: at least one stage"),
        ({"start": {}, "data": {}, "stages": [{}]}, "either checkpoint or preset"),
        ({"data": {}, "stages": [{}]}, r"settings are missing; expected: \[start\]"),
        ({**START, "stages": [{"loss": {"flow": 0.0}}]}, "nothing is learned"),
        ({**START, "stages": [{"mode": "expert", "loss": {"flow": 0.0, "lm": 1.0}}]}, "only the expert learns"),
        ({**START, "stages": [{"noise_samples": 0}]}, "because the flow is learned"),
        ({**START, "stages": [{"mode": "expert", "lr": {"expert": 0.0}}]}, r"lr\].*one of them above 0; got: .*0\.0"),
        ({**START, "stages": [{"lr": {"llm": -1e-5}}]}, r"lr\], mode 'full'; expected: rates of 0"),
        ({**START, "start": {"preset": "tiny"}, "stages": [{"kind": "pretrain"}]}, "start.fast; expected: the folder"),
    ],
)
def test_what_cannot_be_is_named(data: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        config_of(data)


def test_settings_on_top(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(write(made({})))
    settings = ["stages.0.steps=7", "stages.0.lr.expert=0.5", "run.out=over there", "data.datasets.0.path='y'"]
    config = read_config(tmp_path / "run.toml", settings)
    assert (config.stages[0].steps, config.stages[0].lr.expert) == (7, 0.5)
    assert (config.run.out, config.data.datasets[0].path) == ("over there", "y")
    for wrong, text in (
        ("steps", "expected: key=value"),
        ("stages.4.steps=1", "a number below 1"),
        ("stages.0=1", "name"),
    ):
        with pytest.raises(UsageError, match=text):
            read_config(tmp_path / "run.toml", [wrong])


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("a = = 3")
    with pytest.raises(UsageError, match=r"run\.toml cannot be read; expected: a TOML file"):
        read_config(tmp_path / "run.toml")


def test_a_resumed_run_may_change_its_machine_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(write(made({})))
    compare(made({}, run={"threads": 2, "save_every": 5, "device": "cpu"}), tmp_path / "config.toml")
    with pytest.raises(UsageError, match=r"another run.*stages\.0\.steps; expected: stages\.0\.steps = 24000; got: 5"):
        compare(made({"steps": 5}), tmp_path / "config.toml")
    assert parse("a = 1") == {"a": 1}
