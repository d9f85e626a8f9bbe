"""Fitting: the released file byte for byte, the same each time, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from policy_spec import fast_fit
from policy_spec.errors import SpecError
from policy_spec.fast import FastTokenizer
from policy_spec.fast_fit import FitOptions, fit, padded, save
from policy_spec.fast_measure import round_trip
from tests.policy_spec import tiny
from tests.policy_spec.test_fast import reaches

FOLDER = tiny.REFERENCE / "discrete-tiny"
FILES = {"processor_config.json", "tokenizer.json", "tokenizer_config.json"}


@pytest.mark.reference
@tiny.requires_reference
def test_the_released_fit_is_reproduced_byte_for_byte(tmp_path: Path) -> None:
    chunks = np.load(FOLDER / "fast_roundtrip.npz")["training"]
    save(fit(chunks, FitOptions(dims=0)), tmp_path / "ours", {})
    theirs = FOLDER / "fast_tokenizer"
    assert {f.name for f in (tmp_path / "ours").iterdir()} == FILES == {f.name for f in theirs.iterdir()}
    assert (tmp_path / "ours" / "tokenizer.json").read_bytes() == (theirs / "tokenizer.json").read_bytes()
    ours, other = (json.loads((folder / "processor_config.json").read_text()) for folder in (tmp_path / "ours", theirs))
    assert ours == other
    save(fit(chunks[::-1], FitOptions(dims=0)), tmp_path / "backwards", {})  # the order of chunks may matter
    save(fit(chunks[:-20], FitOptions(dims=0)), tmp_path / "fewer", {})
    assert (tmp_path / "fewer" / "tokenizer.json").read_bytes() != (theirs / "tokenizer.json").read_bytes()


def test_a_saved_tokenizer_reads_as_it_was(tmp_path: Path) -> None:
    fast = fit(reaches(100), FitOptions(codes=400, scale=8.5, dims=5))
    save(fast, tmp_path / "t", {"more.json": {"a": 1}})
    opened = FastTokenizer.open(tmp_path / "t")
    assert opened.config() == fast.config()
    assert (opened.scale, opened.action_dim, opened.horizon) == (8.5, 5, 12)
    chunk = reaches(1, seed=3)[0]
    assert opened.encode(chunk) == fast.encode(chunk)
    assert json.loads((tmp_path / "t" / "more.json").read_text()) == {"a": 1}


def test_padding_adds_zeros_at_the_end() -> None:
    chunks = reaches(2)
    wide = padded(chunks, 5)
    assert wide.shape == (2, 12, 5) and (wide[..., 3:] == 0).all() and np.array_equal(wide[..., :3], chunks)
    assert padded(chunks, 0) is chunks
    with pytest.raises(SpecError, match="at most 2; got: 3"):
        padded(chunks, 2)


@pytest.mark.parametrize(
    ("chunks", "options", "words"),
    [
        (np.zeros((0, 5, 2)), FitOptions(dims=0), "at least one"),
        (np.zeros((5, 2)), FitOptions(dims=0), r"got: \[5, 2\]"),
        (np.full((2, 5, 2), np.inf), FitOptions(dims=0), "not finite"),
        (reaches(5) * 500, FitOptions(dims=0), "expected: at most 2048, the number of codes.*smaller scale"),
        (reaches(5) * 5e4, FitOptions(dims=0), "range of the coefficients"),
    ],
)
def test_what_cannot_be_fitted(chunks: np.ndarray, options: FitOptions, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        fit(chunks, options)


@pytest.mark.parametrize("wrong", [{"codes": 1}, {"dims": -1}, {"scale": 0.0}, {"scale": float("nan")}])
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(SpecError, match="FAST"):
        FitOptions(**wrong)  # type: ignore[arg-type]


def test_nothing_is_left_of_a_write_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast, folder = fit(reaches(50), FitOptions(dims=0)), tmp_path / "t"
    save(fast, folder, {})
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    monkeypatch.setattr(Path, "rename", _refuse)
    with pytest.raises(OSError, match="disk"):
        save(fit(reaches(60), FitOptions(dims=0)), folder, {}, overwrite=True)
    assert [f.name for f in tmp_path.iterdir()] == ["t"]
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before


def _refuse(self: Path, target: Path) -> Path:
    raise OSError("the disk is gone")


def test_only_a_tokenizer_is_replaced(tmp_path: Path) -> None:
    fast, folder = fit(reaches(50), FitOptions(dims=0)), tmp_path / "t"
    save(fast, folder, {})
    with pytest.raises(SpecError, match=r"exists.*--overwrite"):
        save(fast, folder, {})
    save(fast, folder, {}, overwrite=True)
    for name, text in (("processor_config.json", '{"image_processor": {}}'), ("note.txt", "mine")):
        other = tmp_path / name
        other.mkdir()
        (other / name).write_text(text)
        with pytest.raises(SpecError, match="is no FAST tokenizer"):
            save(fast, other, {}, overwrite=True)
        assert (other / name).read_text() == text


def test_every_coefficient_of_the_range_has_tokens() -> None:
    """The released fit has none for those that do not occur, and its codes then decode to nothing."""
    chunks = np.zeros((3, 4, 2), np.float32)
    chunks[0], chunks[1] = 8, -8  # nothing between but zero
    fast = fit(chunks, FitOptions(dims=0))
    for value in np.linspace(-8, 8, 60):
        chunk = np.full((4, 2), value, np.float32)
        assert np.abs(fast.decode(fast.encode(chunk), 4, 2) - chunk).max() <= 0.05


def test_measuring_counts_what_is_lost() -> None:
    fast = fit(reaches(100), FitOptions(dims=0))
    good = round_trip(fast, reaches(20, seed=9) * 0.9)
    assert good.lost == good.cut == good.too_long == 0
    assert good.errors.shape == (20, 12, 3) and 0 < good.errors.mean() < 0.05
    assert good.raw_bytes == 12 * 3 * 4 and good.coded_bytes == pytest.approx(good.tokens.mean() * 11 / 8)
    wide = np.concatenate([reaches(3) * 0.9, np.full((2, 12, 3), 3.0), np.full((1, 12, 3), -3.0)])
    bad = round_trip(fast, wide.astype(np.float32))
    assert bad.lost == 2 and len(bad.tokens) == 4 and bad.cut == 3 and bad.errors.max() > 1
    with pytest.raises(SpecError, match="fit a tokenizer to this data"):
        round_trip(fast, wide[3:5])


def test_progress_names_every_stage() -> None:
    seen: list[str] = []
    fit(reaches(10), FitOptions(dims=0), lambda stage, done, total: seen.append(stage))
    assert list(dict.fromkeys(seen)) == ["cosine transform", "merging"]
    assert fast_fit.CODES == 2048 and FitOptions() == FitOptions(2048, 10.0, 32)
