"""`armside export --mode think` and `--mode discrete` as a person uses them, and what report and inspect say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from policy_spec.bundle import open_bundle
from policy_spec.fast import FastTokenizer
from policy_spec.fast_fit import FitOptions, fit, save
from policy_spec.golden import Golden
from tests.cli.conftest import Armside
from tests.made_once import once


@pytest.fixture(scope="session")
def deep(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint, said to predict depth."""

    def make(folder: Path) -> None:
        shutil.copytree(checkpoint, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "enable_depth_reasoning": True}))

    return once(tmp_path_factory, "cli-deep", make)


@pytest.fixture(scope="session")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FAST tokenizer of smooth made-up chunks."""

    def make(folder: Path) -> None:
        t, phase = np.linspace(0, 1, 30)[None, :, None], np.random.default_rng(0).uniform(0, 6, (200, 1, 6))
        save(fit(np.sin(2 * t + phase), FitOptions(codes=512)), folder, {})

    return once(tmp_path_factory, "cli-fast", make)


@pytest.fixture(scope="session")
def think(armside: Armside, deep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        done = armside("export", deep, folder, "--mode", "think")
        assert done.returncode == 0, done.stderr
        assert "head depth: logits of the depth codes alone; <depth_end> is forced" in done.stdout
        assert "call: codes chosen alike" in done.stdout and "note:" not in done.stdout

    return once(tmp_path_factory, "cli-think.bundle", make)


def test_what_a_think_bundle_says_of_itself(armside: Armside, think: Path) -> None:
    manifest = open_bundle(think).manifest
    places = manifest.bracket + 131
    assert (manifest.mode, manifest.head, manifest.new_tokens) == ("think", "depth", 131)
    assert list(manifest.graphs) == ["vision", "llm", "context", "flow"]
    shown = " ".join(armside("inspect", think).stdout.split())
    cache = f"cache of {places} tokens ({manifest.bracket} + 131), {8 * places * 2 * 16 * 4 / 1e6:.1f} MB"
    for words in (cache, "head depth: ", "cache_k_00..03 float32", "cache_v_00..03_next float32", "[1, any, 128]"):
        assert words in shown, words
    report = (think / "report.md").read_text()
    assert (
        f"Mode think; head depth: logits of the depth codes alone; <depth_end> is forced after the last one; {cache}."
        in report
    )
    assert "| llm.head | fp32 |" in report and "| expert.context | int8-w8a8 |" in report
    assert "int8 tokens: chosen alike" in report


def test_the_golden_carries_its_tokens(think: Path) -> None:
    golden, spec = Golden.load(think), open_bundle(think).spec
    assert len(golden.tokens) == 102
    assert golden.tokens[[0, -1]].tolist() == [spec.token_ids["depth_start"], spec.token_ids["depth_end"]]
    assert golden.stages["best"].shape == (103,) and {"k_00", "v_03"} <= golden.stages.keys()
    assert golden.normalized.shape[1] == 30 and not np.array_equal(golden.normalized, golden.reference_normalized)


def test_a_whole_head(armside: Armside, deep: Path, tmp_path: Path) -> None:
    done = armside("export", deep, tmp_path / "b", "--mode", "think", "--head", "full", "--precision", "fp32")
    assert done.returncode == 0 and "head full: logits of the whole vocabulary, decoded as released" in done.stdout
    assert open_bundle(tmp_path / "b").manifest.graphs["llm"].graph.outputs[0].shape == (1, -1, 2752)


def test_a_discrete_bundle_carries_its_tokenizer(
    armside: Armside, checkpoint: Path, fast: Path, tmp_path: Path
) -> None:
    done = armside("export", checkpoint, tmp_path / "b", "--mode", "discrete", "--fast-tokenizer", fast)
    assert done.returncode == 0, done.stderr
    assert "head action: logits of the action tokens and of both ends alone" in done.stdout
    assert "note: the answer to the golden observation, a made-up scene, decodes to " in done.stdout  # untrained
    bundle = open_bundle(tmp_path / "b", verify=True)
    assert (
        list(bundle.manifest.graphs) == ["vision", "llm"] and "fast_tokenizer/tokenizer.json" in bundle.manifest.files
    )
    assert FastTokenizer.open(bundle.fast_tokenizer_path).config() == FastTokenizer.open(fast).config()
    golden = Golden.load(bundle.path)
    assert golden.normalized.shape == (1, 0, 32) and len(golden.tokens) + 1 == len(golden.stages["best"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--mode", "think"], 1, ["--mode think", "enable_depth_reasoning is not set", "--mode continuous"]),
        (["--mode", "discrete"], 2, ["--fast-tokenizer DIR", "armside fast fit"]),
        (
            ["--mode", "discrete", "--fast-tokenizer", "CHECKPOINT"],
            1,
            ["is not this checkpoint's", "at most 2048 tokens"],
        ),
        (["--fast-tokenizer", "CHECKPOINT"], 2, ["only with --mode discrete", "got: mode continuous"]),
        (["--mode", "discrete", "--head", "depth", "--fast-tokenizer", "FAST"], 1, ["one of action, full"]),
        (["--mode", "dream"], 2, ["dream", "discrete"]),
    ],
)
def test_wrong_arguments(
    armside: Armside, checkpoint: Path, fast: Path, tmp_path: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    paths = {"CHECKPOINT": str(checkpoint), "FAST": str(fast)}
    done = armside("export", checkpoint, tmp_path / "b", *(paths.get(word, word) for word in arguments))
    assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not list(tmp_path.iterdir())  # no half bundle


def test_another_checkpoint_s_fast_tokenizer_is_refused(
    armside: Armside, checkpoint: Path, tmp_path: Path, fast: Path
) -> None:
    """One with more tokens than the checkpoint has for actions."""
    small = tmp_path / "small"
    shutil.copytree(checkpoint, small)
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps({**config, "num_action_tokens": 100}))
    done = armside("export", small, tmp_path / "b", "--mode", "discrete", "--fast-tokenizer", fast)
    assert done.returncode == 1 and "is not this checkpoint's" in done.stderr and "at most 100 tokens" in done.stderr
    assert not (tmp_path / "b").exists()
