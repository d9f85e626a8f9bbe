"""Whole runs of the smallest model: learning by heart, stopping, resuming bit for bit, stages, adapters, answers."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policy_spec.errors import CheckpointError, TensorError, UsageError
from tests.train.material import ArrayFeed, array_rows, config, micro_checkpoint
from train.checkpoint import Checkpoint, load_model
from train.data.answers import Answers
from train.data.collate import collate
from train.data.examples import Making
from train.learn.learner import Learner
from train.recipe.config import Augment, Config
from train.trainer.events import Event, read_log
from train.trainer.files import spec_of, template_of
from train.trainer.loop import Outcome, Trainer
from train.trainer.save import saved
from train.trainer.world import World

ALONE = World(0, 1, torch.device("cpu"), None)
RATES = ("llm", "vit", "connector", "expert", "lm_head")


@dataclass
class After:
    """Wants the run to end after so many logged steps."""

    steps: int
    seen: list[Event] = field(default_factory=list)

    @property
    def asked(self) -> int:
        return int(sum(event.kind == "step" for event in self.seen) >= self.steps)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return micro_checkpoint(tmp_path_factory.mktemp("start") / "checkpoint")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that predicts depth, with a gate per layer."""
    return micro_checkpoint(tmp_path_factory.mktemp("deep") / "checkpoint", depth=True)


def run(cfg: Config, feed: ArrayFeed | None = None, resume: bool = False, wish: Any = None) -> Outcome:
    feed = ArrayFeed(array_rows()) if feed is None else feed
    if wish is None:
        return Trainer(cfg, feed, ALONE).run(resume)
    return Trainer(cfg, feed, ALONE, wish.seen.append, wish).run(resume)


def digests(folder: Path) -> dict[str, str]:
    """Of every file of a saved step."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_log(out) if line["kind"] == "step"]


BITWISE: dict[str, dict[str, Any]] = {
    "full": {"dropout": 0.1, "augment": {"enabled": True}},
    "lora": {"mode": "lora", "lora": {"rank": 4, "dropout": 0.1}},
}


@pytest.mark.parametrize("mode", BITWISE)
def test_a_run_resumed_from_any_step_is_the_run_that_was_never_stopped(start: Path, tmp_path: Path, mode: str) -> None:
    stage = {"steps": 3, **BITWISE[mode]}
    straight = config(start, tmp_path / "straight", stage, save_every=1, keep=9)
    run(straight)
    for step in (1, 2):
        out = tmp_path / f"from-{step}"
        shutil.copytree(tmp_path / "straight", out)
        for folder in saved(out)[step:]:
            shutil.rmtree(folder)
        (out / "step-00000009.partial-1").mkdir()  # what a killed process was writing
        run(config(start, out, stage, save_every=1, keep=9), resume=True)
        assert digests(out / "step-00000003") == digests(tmp_path / "straight" / "step-00000003")
        assert losses(out) == losses(tmp_path / "straight")
        assert not list(out.glob("*partial*"))
    other = config(start, tmp_path / "other", stage, seed=1)
    run(other)  # the control: another seed gives other weights
    weights = "checkpoint/model-00001-of-00001.safetensors"
    assert digests(tmp_path / "other" / "step-00000003")[weights] != digests(out / "step-00000003")[weights]


def test_a_wish_to_stop_saves_and_the_run_goes_on(start: Path, tmp_path: Path) -> None:
    cfg = config(start, tmp_path / "run", {"steps": 3})
    outcome = run(cfg, wish=After(1))
    assert (outcome.finished, outcome.total, outcome.final) == (False, 2, None)
    assert not (tmp_path / "run" / "final").exists()
    with pytest.raises(UsageError, match="holds a run; expected: a new folder; what to do: say --resume"):
        run(cfg)
    with pytest.raises(UsageError, match="another run than the one"):
        run(config(start, tmp_path / "run", {"steps": 4}), resume=True)
    assert run(cfg, resume=True).finished
    straight = run(config(start, tmp_path / "straight", {"steps": 3}))
    assert digests(tmp_path / "run" / "step-00000003") == digests(straight.folder)
    assert run(cfg, resume=True).finished  # there is nothing left to do
    with pytest.raises(UsageError, match="holds no run"):
        run(config(start, tmp_path / "nowhere", {}), resume=True)


def test_a_tiny_set_is_learned_by_heart(deep: Path, tmp_path: Path) -> None:
    """Depth codes said right, and the demonstrated action sampled from noise."""
    rows = array_rows(1, 30, depth=True)
    stage = {
        "steps": 150, "batch": 1, "noise_samples": 16, "answer": "depth", "depth_noise": 0.0,
        "lr": dict.fromkeys(RATES, 5e-3), "warmup": dict.fromkeys(RATES, 5),
    }  # fmt: skip
    outcome = run(config(deep, tmp_path / "run", stage, save_every=1000), ArrayFeed(rows, first_only=True))
    log = [line for line in read_log(tmp_path / "run") if line["kind"] == "step"]
    assert log[-1]["ce"] < 0.05 < 2.0 < log[0]["ce"] and log[-1]["accuracy"] == 1.0
    assert outcome.final is not None
    model, wrong = load_model(outcome.final), load_model(deep)
    assert np.mean([line["flow"] for line in log[-10:]]) < 0.08 * log[0]["flow"]
    assert chunk_error(model, rows, outcome.final) < 0.1
    assert chunk_error(wrong, rows, deep) > 0.5  # the control


def test_a_checkpoint_that_did_not_think_learns_to(start: Path, tmp_path: Path) -> None:
    """Its weights, and a gate that begins closed; one that thinks already keeps its own gate."""
    stage = {"steps": 1, "answer": "depth", "lr": {"llm": 0.0, "vit": 0.0, "connector": 0.0}, "warmup": {"expert": 1}}
    cfg = config(start, tmp_path / "run", stage)
    thinking = replace(cfg, start=replace(cfg.start, depth=True))
    final = run(thinking, ArrayFeed(array_rows(depth=True))).final
    assert final is not None
    said = json.loads((final / "config.json").read_text())
    assert said["enable_depth_reasoning"] and said["action_expert_depth_gate_per_layer"]
    before, after = Checkpoint(start), Checkpoint(final)
    after.check()
    assert all("depth_gate" in name for name in set(after.shards) - set(before.shards))
    words = "model.transformer.wte.embedding"
    assert torch.equal(before.tensor(words), after.tensor(words))
    bias = after.tensor("model.action_expert_depth_gate.0.bias").float()
    assert torch.allclose(bias, torch.full_like(bias, -4.0), atol=0.1)
    assert template_of(replace(cfg.start, checkpoint=str(final), depth=True), cfg.run, 0).config == said
    shutil.copytree(start, tmp_path / "mute")
    mute = json.loads((start / "config.json").read_text()) | {"num_depth_tokens": 0}
    (tmp_path / "mute" / "config.json").write_text(json.dumps(mute))
    with pytest.raises(UsageError, match=r"start\.depth; expected: a checkpoint with depth tokens"):
        template_of(replace(cfg.start, checkpoint=str(tmp_path / "mute"), depth=True), cfg.run, 0)


def chunk_error(model: Any, rows: Any, checkpoint: Path) -> float:
    """Mean absolute error of the chunk, normalized, sampled from noise."""
    template = template_of(
        config(checkpoint, checkpoint / "unused", {}).start, config(checkpoint, checkpoint, {}).run, 0
    )
    spec, tokenizer = spec_of(template, checkpoint.parent / "spec", ALONE)
    making = Making(spec, tokenizer, Answers(spec, "depth"), 1)
    example = making.example(rows.row((0, 0, 0)), np.random.default_rng(5))
    batch = collate([example], spec, Augment(enabled=False))
    with torch.no_grad():
        _, kv = Learner(model).context(batch)
        context = model.context(kv, batch.input_ids, batch.visible)
        got = model.sample(torch.from_numpy(example.noise), context, batch.visible, 6)[0, :, :6].numpy()
    return float(np.abs(got - example.actions[:, :6]).mean())


def test_stages_follow_each_other(start: Path, tmp_path: Path) -> None:
    """The second begins with the first one's weights; ends of stages stay; data begins anew."""
    cfg = config(start, tmp_path / "run", {"steps": 1}, save_every=1, keep=1)
    second = config(start, tmp_path, {"steps": 2, "mode": "expert", "name": "last"}).stages
    both = Config(cfg.start, cfg.data, cfg.stages + second, cfg.run)
    assert run(both).total == 3
    out = tmp_path / "run"
    assert [f.name for f in saved(out)] == ["step-00000001", "step-00000003"]
    first, last = (load_model(out / name / "checkpoint") for name in ("step-00000001", "step-00000003"))
    changed = {
        n for (n, a), b in zip(first.named_parameters(), last.parameters(), strict=True) if not torch.equal(a, b)
    }
    assert changed and all(name.startswith("model.action_expert.") for name in changed)
    final = digests(out / "final")
    assert final == {k.removeprefix("checkpoint/"): v for k, v in digests(out / "step-00000003" / "checkpoint").items()}


def test_adapters_change_nothing_at_first_and_are_folded_in(start: Path, tmp_path: Path) -> None:
    stage = {"mode": "lora", "lora": {"rank": 2, "dropout": 0.0}, "steps": 1, "lr": dict.fromkeys(RATES, 1e-2)}
    still = {**stage, "lr": dict.fromkeys(RATES, 1e-60)}  # float32 has no number so small: steps that move nothing
    run(config(start, tmp_path / "still", still))
    before = load_model(start)
    for (name, a), b in zip(
        before.named_parameters(), load_model(tmp_path / "still" / "final").parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    run(config(start, tmp_path / "moved", {**stage, "steps": 2}))
    Checkpoint(tmp_path / "moved" / "final").check()  # no adapters in it
    after = dict(load_model(tmp_path / "moved" / "final").named_parameters())
    moved = {n for n, p in before.named_parameters() if not torch.equal(p, after[n])}
    assert (
        "model.transformer.blocks.0.mlp.ff_proj.weight" in moved and "model.action_expert.action_embed.weight" in moved
    )
    assert "model.transformer.wte.embedding" not in moved  # neither a matrix of the VLM nor of the expert
    name = "model.transformer.blocks.0.mlp.ff_proj.weight"
    change = after[name] - dict(before.named_parameters())[name]
    assert torch.linalg.matrix_rank(change, rtol=1e-3) <= 2


def test_knowledge_insulation_keeps_the_flow_out_of_the_language_model(start: Path, tmp_path: Path) -> None:
    run(config(start, tmp_path / "insulated", {"insulated": True, "steps": 1}))
    run(config(start, tmp_path / "attached", {"steps": 1}))
    for name, silent in (("insulated", True), ("attached", False)):
        norms = read_log(tmp_path / name)[0]["norms"]
        assert norms["expert"] > 0 and all((norms[part] == 0.0) == silent for part in ("llm", "vit", "connector"))


def test_recomputing_and_cutting_a_batch_change_only_rounding(start: Path, tmp_path: Path) -> None:
    run(config(start, tmp_path / "plain", {"steps": 1}))
    run(config(start, tmp_path / "recomputed", {"steps": 1}, recompute=True))
    run(config(start, tmp_path / "cut", {"steps": 1, "micro_batch": 1}))
    plain, recomputed, cut = (
        dict(load_model(tmp_path / name / "final").named_parameters()) for name in ("plain", "recomputed", "cut")
    )
    assert all(torch.equal(plain[n], recomputed[n]) for n in plain)
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "plain"), rel=1e-5)
    assert max(float((plain[n] - cut[n]).abs().max()) for n in plain) < 2e-4  # 1e-3 is the largest step


def test_bf16_learns_float32_masters(start: Path, tmp_path: Path) -> None:
    for precision in ("float32", "bf16"):
        run(config(start, tmp_path / precision, {"steps": 1}, precision=precision))
    wide, narrow = (losses(tmp_path / name)[0] for name in ("float32", "bf16"))
    assert narrow != wide and narrow == pytest.approx(wide, rel=0.02)
    kept = Checkpoint(tmp_path / "bf16" / "final")
    assert {kept.dtype(name) for name in kept.shards} == {"F32"}


def test_a_bf16_checkpoint_resumes_from_its_float32_masters(start: Path, tmp_path: Path) -> None:
    stage = {"steps": 2}
    straight = run(config(start, tmp_path / "a", stage, checkpoint_dtype="bfloat16", save_every=1))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "step-00000002")
    run(config(start, tmp_path / "b", stage, checkpoint_dtype="bfloat16", save_every=1), resume=True)
    assert digests(tmp_path / "b" / "step-00000002") == digests(straight.folder)
    assert Checkpoint(tmp_path / "a" / "final").dtype("model.transformer.ln_f.weight") == "BF16"


@pytest.mark.parametrize("conditioning", ["per_head", "hidden_state"])
def test_other_conditionings_learn_and_load(start: Path, tmp_path: Path, conditioning: str) -> None:
    cfg = config(start, tmp_path / "run", {"steps": 1})
    changed = Config(type(cfg.start)(checkpoint=str(start), conditioning=conditioning), cfg.data, cfg.stages, cfg.run)
    run(changed)
    final = tmp_path / "run" / "final"
    assert json.loads((final / "config.json").read_text())["action_expert_config"]["conditioning"] == conditioning
    assert load_model(final).config.expert.conditioning == conditioning
    assert read_log(tmp_path / "run")[0]["norms"]["llm"] > 0


def test_a_gradient_that_is_not_finite_moves_nothing_and_ends_the_run(start: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(start, broken)
    from safetensors.torch import load_file, save_file

    file = next(broken.glob("*.safetensors"))
    tensors = load_file(str(file))
    tensors["model.action_expert.action_embed.bias"].fill_(float("nan"))
    save_file(tensors, str(file))
    with pytest.raises(CheckpointError, match="10 steps in a row without a finite gradient"):
        run(config(broken, tmp_path / "run", {"steps": 20, "batch": 1, "noise_samples": 1}))
    assert [line["moved"] for line in read_log(tmp_path / "run")] == [False] * 9
    assert read_log(tmp_path / "run")[0]["loss"] == "nan"


def test_a_checkpoint_that_does_not_fit_its_configuration_is_refused(start: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(start, other)
    said = json.loads((other / "config.json").read_text())
    said["text_config"]["intermediate_size"] = 64
    (other / "config.json").write_text(json.dumps(said))
    with pytest.raises(TensorError, match="of the wrong shape"):
        run(config(other, tmp_path / "run", {}))
