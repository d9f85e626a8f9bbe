"""`armside fast fit` and `roundtrip`: files in the released format, the same each time, and what they lose."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from armside.cli import main
from armside.fast_fit import interruptible
from policy_spec.fast import FastTokenizer
from tests.episodes.lerobot_files import NAMES, dataset
from tests.policy_spec import tiny

pytest.importorskip("pyarrow")
FILES = {"armside_fit.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"}


def armside(*words: object) -> int:
    return main(["fast", *map(str, words)])


@pytest.fixture
def fitted(tmp_path: Path) -> Path:
    assert armside("fit", dataset(tmp_path / "set", "v3.0"), tmp_path / "t") == 0
    return tmp_path / "t"


def test_fit_writes_the_released_format_and_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fitted = tmp_path / "t"
    assert armside("fit", dataset(tmp_path / "set", "v3.0"), fitted) == 0
    said = capsys.readouterr().out
    assert "gripper.pos by the whole range" in said and "padded to 32 dimensions" in said
    assert {f.name for f in fitted.iterdir()} == FILES
    fast, facts = FastTokenizer.open(fitted), json.loads((fitted / "armside_fit.json").read_text())
    assert (fast.scale, fast.vocab_size, fast.action_dim, fast.horizon) == (10, 2048, 32, 10)  # one second at 10 fps
    assert facts["names"] == list(NAMES) and facts["grippers"] == ["gripper.pos"] and facts["fps"] == 10
    stats = facts["action_stats"]
    assert stats["q99"][2] == stats["max"][2] and stats["q99"][0] < stats["max"][0]
    assert str(fitted.parent) not in (fitted / "armside_fit.json").read_text()


def test_the_same_fit_gives_the_same_bytes(fitted: Path, tmp_path: Path) -> None:
    assert armside("fit", tmp_path / "set", tmp_path / "again") == 0
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (fitted / name).read_bytes(), name
    assert armside("fit", tmp_path / "set", tmp_path / "other", "--scale", 9) == 0
    assert (tmp_path / "other" / "tokenizer.json").read_bytes() != (fitted / "tokenizer.json").read_bytes()


def test_roundtrip_says_error_and_compression(fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    result = tmp_path / "trip.json"
    assert armside("roundtrip", fitted, tmp_path / "set", "--json", result) == 0
    said, facts = capsys.readouterr().out, json.loads(result.read_text())
    assert "statistics of the fit" in said and "worst joint: " in said
    assert facts["chunks_without_tokens"] == facts["coefficients_cut"] == 0
    assert 0 < facts["error_mean"] < 0.05 and facts["bytes_raw"] == 10 * 3 * 4 > facts["bytes_coded"]
    assert facts["tokens_mean"] < 30
    assert (
        0.005 < facts["values_clipped"] < 0.04 and "were clipped before" in said
    )  # beyond 1 and 99 percent, of 2 in 3
    stats = json.loads((fitted / "armside_fit.json").read_text())["action_stats"]
    worst = facts["joints"][0]
    at = NAMES.index(worst["name"])
    half = (stats["q99"][at] - stats["q01"][at]) / 2
    assert worst["p99_own"] == pytest.approx(worst["p99"] * half, rel=1e-5)
    assert worst["p99"] == max(joint["p99"] for joint in facts["joints"])


def test_a_finer_scale_loses_less(tmp_path: Path) -> None:
    root, errors = dataset(tmp_path / "set", "v2.1"), []
    for scale in (5, 10, 40):
        assert armside("fit", root, tmp_path / f"t{scale}", "--scale", scale, "--dims", 0) == 0
        assert armside("roundtrip", tmp_path / f"t{scale}", root, "--json", tmp_path / "r.json") == 0
        errors.append(json.loads((tmp_path / "r.json").read_text())["error_mean"])
    assert errors[0] > 1.5 * errors[1] > 4 * errors[2]


def test_other_data_is_told_from_the_fit_s(fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(0).uniform(-9, 9, (5, 10, 3)).astype(np.float32)
    values[0] = 0
    np.savez(tmp_path / "wild.npz", actions=values)
    assert armside("roundtrip", fitted, tmp_path / "wild.npz", "--normalized") == 0
    assert "more chunks reach above the fitted range" in capsys.readouterr().out


@pytest.mark.reference
@tiny.requires_reference
def test_the_released_tokenizer_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny.REFERENCE / "discrete-tiny"
    npz, out = folder / "fast_roundtrip.npz", tmp_path / "t"
    assert armside("fit", npz, out, "--array", "training", "--normalized", "--dims", 0) == 0
    assert (out / "tokenizer.json").read_bytes() == (folder / "fast_tokenizer" / "tokenizer.json").read_bytes()
    assert "1356 codes of 2048" in capsys.readouterr().out
    result = tmp_path / "r.json"
    assert armside("roundtrip", folder / "fast_tokenizer", npz, "--normalized", "--json", result) == 0
    facts, data = json.loads(result.read_text()), np.load(npz)
    assert facts["tokens_mean"] == pytest.approx(data["lengths"].mean())
    assert facts["error_mean"] == pytest.approx(np.abs(data["decoded"] - data["actions"]).mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--horizon", 40], 1, "got: none; the longest sequence has 30 steps"),
        (["--horizon", 0], 2, "--horizon"),
        (["--chunks", 0], 2, "--chunks"),
        (["--gripper", "hand"], 2, "one of shoulder.pos, elbow.pos, gripper.pos"),
        (["--dims", 2], 1, "expected: at most 2"),
        (["--codes", 20], 1, "20, the number of codes"),
    ],
)
def test_what_cannot_be_fitted_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[object], code: int, said: str
) -> None:
    assert armside("fit", dataset(tmp_path / "set", "v3.0"), tmp_path / "t", *words) == code
    assert said in capsys.readouterr().err
    assert [f.name for f in tmp_path.iterdir()] == ["set"]


def test_a_folder_that_is_taken_is_refused_before_anything_is_read(
    fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert armside("fit", tmp_path / "nothing", fitted) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert armside("fit", tmp_path / "set", fitted, "--overwrite", "--dims", 0) == 0
    assert FastTokenizer.open(fitted).action_dim == 3


def test_work_in_a_thread_gives_its_result_and_its_error() -> None:
    assert interruptible(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0)


def test_ctrl_c_does_not_wait_for_the_trainer() -> None:
    """The trainer is held up by an event that nobody sets; the signal comes while the main thread waits for it."""
    begun, never = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        never.wait(60)

    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(work)
    assert begun.is_set()
    never.set()
