"""FAST codes: equal to the released ones, back again, and never zeros for what is no chunk."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_spec.errors import AnswerError, CheckpointError, SpecError
from policy_spec.fast import FastTokenizer, coefficients, cosines, text_of
from policy_spec.fast_fit import FitOptions, fit
from tests.policy_spec import tiny

FOLDER = tiny.REFERENCE / "discrete-tiny"
STEPS, DIMS = 12, 3


def reaches(count: int, steps: int = STEPS, dims: int = DIMS, seed: int = 0) -> np.ndarray:
    """Smooth motions [N, H, D] within -1..1."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-1, 1, (2, count, 1, dims))
    t = np.clip(np.linspace(0, 1, steps)[:, None] * rng.uniform(0.5, 2, (count, 1, dims)), 0, 1)
    return (a + (b - a) * (10 * t**3 - 15 * t**4 + 6 * t**5)).astype(np.float32)


@pytest.fixture(scope="module")
def fast() -> FastTokenizer:
    return fit(reaches(300), FitOptions(codes=512, dims=0))


@pytest.fixture(scope="module")
def released() -> FastTokenizer:
    if not FOLDER.is_dir():
        pytest.skip(f"no reference cases at {FOLDER}")
    return FastTokenizer.open(FOLDER / "fast_tokenizer")


def split(data: dict[str, np.ndarray]) -> list[list[int]]:
    return [part.tolist() for part in np.split(data["token_ids"], np.cumsum(data["lengths"])[:-1])]


@pytest.mark.reference
def test_ids_and_values_of_the_released_tokenizer(released: FastTokenizer) -> None:
    data = dict(np.load(FOLDER / "fast_roundtrip.npz"))
    assert (released.scale, released.min_token, released.vocab_size, released.size) == (10, -30, 2048, 1356)
    for chunk, ids, decoded in zip(data["actions"], split(data), data["decoded"], strict=True):
        assert released.encode(chunk) == ids
        np.testing.assert_allclose(released.decode(ids, 30, 6), decoded, rtol=0, atol=1e-12)
        assert released.letters()[ids].sum() == 180


@pytest.mark.reference
def test_another_scale_gives_other_ids(released: FastTokenizer) -> None:
    data = dict(np.load(FOLDER / "fast_roundtrip.npz"))
    other = FastTokenizer(released.backend, released.scale * 0.9, released.vocab_size, released.min_token)
    same = [other.encode(c) == ids for c, ids in zip(data["actions"], split(data), strict=True)]
    assert not any(same)


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
def test_the_cosine_transform_is_the_formula(steps: int) -> None:
    """scipy.fft.dct(x, norm="ortho"), written out."""
    signal = np.random.default_rng(steps).standard_normal(steps)
    slow = [
        math.sqrt((1 if k == 0 else 2) / steps)
        * sum(signal[t] * math.cos(math.pi * k * (2 * t + 1) / (2 * steps)) for t in range(steps))
        for k in range(steps)
    ]
    np.testing.assert_allclose(cosines(steps) @ signal, slow, atol=1e-12)
    np.testing.assert_allclose(cosines(steps).T @ cosines(steps), np.eye(steps), atol=1e-12)


def test_the_order_of_coefficients_is_time_first() -> None:
    chunk = np.zeros((4, 2))
    chunk[:, 1] = 1.0  # constant: the zeroth coefficient of the second dimension
    whole = coefficients(chunk, 10)
    assert whole.tolist() == [[0, 20], [0, 0], [0, 0], [0, 0]]
    assert text_of(whole, -1) == "\x01\x15\x01\x01\x01\x01\x01\x01"
    assert text_of(np.array([[-5, 3]]), -1) == "\x00\x04"  # below the smallest: cut, as released


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_there_and_back(fast: FastTokenizer, seed: int) -> None:
    chunk = reaches(1, seed=seed)[0] * 0.9
    codes = fast.encode(chunk)
    back = fast.decode(codes, STEPS, DIMS)
    bound = math.sqrt(STEPS) * 0.5 / fast.scale  # each coefficient is off by half a step at most
    assert np.linalg.norm(back - chunk, axis=0).max() <= bound + 1e-6
    assert np.array_equal(coefficients(back, fast.scale), coefficients(chunk, fast.scale))
    assert len(codes) < chunk.size


def test_what_does_not_decode_is_an_error_that_counts(fast: FastTokenizer) -> None:
    codes = fast.encode(reaches(1)[0])
    for wrong in (codes[:-1], [*codes, codes[0]], []):
        got = int(fast.letters()[wrong].sum())
        with pytest.raises(AnswerError, match=f"{len(wrong)} action tokens.*expected: 36 coeff.*got: {got} coeff"):
            fast.decode(wrong, STEPS, DIMS)
    with pytest.raises(AnswerError, match=f"none of the FAST tokenizer's; expected: 0 to {fast.size - 1}; got: 2047"):
        fast.decode([*codes, 2047], STEPS, DIMS)
    assert fast.decode(codes, DIMS, STEPS).shape == (
        DIMS,
        STEPS,
    )  # the count is right


def test_half_a_character_is_no_coefficient() -> None:
    """Coefficients from 98 on above the smallest are two bytes. Half of one would read as 65,533, a jump to a limit."""
    chunks = reaches(200) * 4
    fast = fit(chunks, FitOptions(codes=1000, dims=0))
    halves = [n for token, n in fast.backend.get_vocab().items() if token == "Ã"]
    assert halves, "the fit has two-byte characters"
    codes = fast.encode(np.zeros((STEPS, DIMS)))
    least = [n for n in range(fast.size) if fast.backend.decode([n]) == chr(-fast.min_token)]
    assert len(fast.read(codes)) == STEPS * DIMS and least
    with pytest.raises(AnswerError, match=r"a coefficient that no chunk has.*got: 65"):
        fast.decode([*halves, *least * (STEPS * DIMS - 1)], STEPS, DIMS)


def test_above_the_fitted_range_there_are_no_tokens(fast: FastTokenizer) -> None:
    with pytest.raises(SpecError, match="fitted on; got: one of 69"):
        fast.encode(np.full((STEPS, DIMS), 20.0))
    below = fast.encode(np.full((STEPS, DIMS), -20.0))  # cut, as released
    assert np.abs(fast.decode(below, STEPS, DIMS)).max() < 2
    with pytest.raises(SpecError, match="not finite"):
        fast.encode(np.full((STEPS, DIMS), np.nan))


def test_letters_count_what_decoding_gives() -> None:
    fast = fit(reaches(200) * 4, FitOptions(codes=1000, dims=0))
    for chunk in reaches(20, seed=5) * 3.5:
        assert fast.letters()[fast.encode(chunk)].sum() == STEPS * DIMS


def damage(folder: Path, name: str, text: str | None) -> None:
    (folder / name).unlink() if text is None else (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("tokenizer.json", None, "tokenizer.json is missing"),
        ("tokenizer.json", "{", "cannot be read"),
        ("processor_config.json", "[", "expected: JSON"),
        ("processor_config.json", "[]", "expected: a JSON object"),
        ("processor_config.json", '{"scale": "10"}', "scale; expected: a number"),
        ("processor_config.json", '{"scale": 0}', "scale; expected: above 0"),
    ],
)
def test_a_damaged_folder_is_named(fast: FastTokenizer, tmp_path: Path, name: str, text: str, words: str) -> None:
    fast.backend.save(str(tmp_path / "tokenizer.json"))
    damage(tmp_path, name, text)
    with pytest.raises(CheckpointError, match=words):
        FastTokenizer.open(tmp_path)


def test_the_released_class_s_defaults_where_the_config_is_silent(fast: FastTokenizer, tmp_path: Path) -> None:
    fast.backend.save(str(tmp_path / "tokenizer.json"))
    opened = FastTokenizer.open(tmp_path)
    assert (opened.scale, opened.vocab_size, opened.min_token, opened.horizon) == (10, 1024, 0, None)


@pytest.mark.reference
def test_a_copy_of_the_released_folder_reads_the_same(released: FastTokenizer, tmp_path: Path) -> None:
    copy = shutil.copytree(FOLDER / "fast_tokenizer", tmp_path / "copy")
    said = json.loads((copy / "processor_config.json").read_text())
    assert FastTokenizer.open(copy).config() == released.config() == said
