"""One part at a time in low precision: a part whose weights were made sensitive is found; measurements go on after a
kill.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from armside.quant_sensitivity import Asked, find
from policy_spec.errors import UsageError
from policy_spec.spec import PolicySpec
from quant.loss import Loss, gathered
from quant.samples import SampleOptions
from quant.sensitivity_file import Sensitivity
from tests.checkpoints import variant
from tests.cli.conftest import armside_program
from tests.quant.seen import folder

GROUPS = ("vision.projector", "llm.attention", "llm.ffn", "expert.mlp")
LAYER, CHANNEL, FACTOR = 1, 5, 400.0


def quiet(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def plain(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return variant(tiny_checkpoint, tmp_path_factory.mktemp("plain") / "checkpoint", lambda _: None)


@pytest.fixture(scope="module")
def seen(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("seen") / "seen", PolicySpec.from_checkpoint(plain).tag(), 4)


def sensitive(source: Path, target: Path) -> Path:
    """The same function, one FFN harder to quantize: one row of its weights is 400 times as large, what enters it as
    much smaller. The whole column's int8 scale is that row's.
    """
    checkpoint = variant(source, target, lambda _: None)
    weights = load_file(checkpoint / "model.safetensors")
    block = f"model.transformer.blocks.{LAYER}"
    weights[f"{block}.ff_norm.weight"][CHANNEL] /= FACTOR
    weights[f"{block}.mlp.ff_proj.weight"][:, CHANNEL] *= FACTOR
    save_file(weights, checkpoint / "model.safetensors")
    return checkpoint


def asked(checkpoint: Path, seen: Path, work: Path, **changes: object) -> Asked:
    made = Asked(
        str(checkpoint), str(seen), work, samples=SampleOptions(2), schemes=("int8-weight",), groups=GROUPS, threads=1
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def usual(plain: Path, seen: Path, tmp_path_factory: pytest.TempPathFactory) -> Sensitivity:
    return find(asked(plain, seen, tmp_path_factory.mktemp("usual") / "work"), quiet)[0]


def test_a_part_that_was_made_sensitive_is_found(plain: Path, seen: Path, usual: Sensitivity, tmp_path: Path) -> None:
    checkpoint = sensitive(plain, tmp_path / "sensitive")
    found, _ = find(asked(checkpoint, seen, tmp_path / "work", layers=True), quiet)
    whole = [row for row in found.rows if "@" not in row.part]
    layers = [row for row in found.rows if "@" in row.part]
    for key in ("action_worst", "action_mean", "velocity"):
        assert max(whole, key=lambda row: getattr(row, key)).part == "llm.ffn", key
        assert max(layers, key=lambda row: getattr(row, key)).part == f"llm.ffn@{LAYER}", key
    ffn, before = found.find("llm.ffn", "int8-weight"), usual.find("llm.ffn", "int8-weight")
    assert ffn is not None and before is not None and ffn.action_mean > 5 * before.action_mean
    assert max(usual.rows, key=lambda row: row.action_mean).part != "llm.ffn"  # the control: nobody planted anything
    assert abs(found.flow / usual.flow - 1) < 1e-3  # and the function is the same
    alone = found.find(f"llm.ffn@{LAYER}", "int8-weight")
    assert (
        alone is not None and max(alone.kv[: LAYER + 1]) == 0.0
    )  # K and V of layers before it, and its own, are whole
    assert min(alone.kv[LAYER + 1 :]) > 0.0 and alone.kv_layer > LAYER


def test_what_is_measured(usual: Sensitivity) -> None:
    assert [row.part for row in usual.rows] == list(GROUPS) and len(usual.samples) == 2
    expert = usual.find("expert.mlp", "int8-weight")
    assert expert is not None and expert.kv_worst == 0.0 and expert.velocity > 0 and expert.action_worst > 0
    assert all(row.saved > 0 and row.cosine > 0.99 and len(row.joints) == 6 for row in usual.rows)
    assert usual.control > 10 * max(row.action_worst for row in usual.rows)  # another seed moves more
    assert not usual.recorded and usual.flow > 0 and usual.joints[5].name == "gripper"


def test_the_worst_sample_is_kept() -> None:
    losses = [Loss((0.1, 0.2), 1.0, 3.0, (0.1, 0.5), 0.9), Loss((0.7, 0.0), 2.0, 5.0, (0.2, 0.3), 0.8)]
    found = gathered(("llm.ffn", "int8-w8a8"), losses, (3, 100))
    assert (found.kv_worst, found.kv_layer, found.kv_sample) == (0.7, 0, 1)
    assert (found.action_worst, found.action_joint, found.action_sample) == (0.5, 1, 0)
    assert (found.velocity, found.velocity_worst, found.velocity_sample, found.flow) == (1.5, 2.0, 1, 4.0)
    assert (found.action_mean, found.cosine, found.joints) == (0.4, 0.8, (0.2, 0.5))
    np.testing.assert_allclose(found.kv, (0.4, 0.1))


def test_names_are_checked_before_anything_is_run(plain: Path, seen: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"scheme to measure; .*got: int9; what to do: did you mean"):
        find(asked(plain, seen, tmp_path / "work", schemes=("int9",)), quiet)
    with pytest.raises(UsageError, match=r"group to measure; .*got: llm.fnn; what to do: did you mean llm.ffn"):
        find(asked(plain, seen, tmp_path / "work", groups=("llm.fnn",)), quiet)


def test_a_killed_measurement_goes_on(plain: Path, seen: Path, usual: Sensitivity, tmp_path: Path) -> None:
    work = tmp_path / "work"
    command = [*armside_program(), "quant", "sensitivity", str(plain), "--episodes", str(seen), "--work", str(work)]
    command += ["--samples", "2", "--schemes", "int8-weight", "--groups", ",".join(GROUPS), "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 800
    while process.poll() is None and len(facts(work)) < 2:
        assert time.monotonic() < deadline, "nothing was measured"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait(800) == -signal.SIGKILL
    before = facts(work)
    assert 2 <= len(before) < len(GROUPS)
    with pytest.raises(UsageError, match="asked for something else"):
        find(asked(plain, seen, work, samples=SampleOptions(1)), quiet)
    told: list[tuple[str, int]] = []
    found, _ = find(asked(plain, seen, work), lambda stage, done, total: told.append((stage, done)))
    assert found.rows == usual.rows and facts(work)[: len(before)] == before
    assert sum(stage == "quantize one part at a time" for stage, _ in told) == 2 * (len(GROUPS) - len(before))
    assert not any(stage == "write float32" for stage, _ in told)  # nor are the graphs written again


def facts(work: Path) -> list[str]:
    """What the journal has of parts, as whole lines."""
    journal = work / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True) if journal.is_file() else []
    return [line for line in lines if line.endswith("\n") and "fact" in json.loads(line)]
