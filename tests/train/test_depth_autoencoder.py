"""Depth codes: a fit that goes on is the fit that never stopped, codes say depth, and shuffled ones do not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from policy_spec.errors import CheckpointError, DatasetError, UsageError
from train.depth import files
from train.depth.autoencoder import DepthAutoencoder, Sizes
from train.depth.files import Autoencoder, open_autoencoder
from train.depth.fit import FitOptions, baseline, fit, measure
from train.depth.maps import Range, cell_means, off, range_of, spread, square, usual

SMALL = Sizes(grid=4, codes=16, width=8, dim=6)
OPTIONS = FitOptions(steps=110, batch=12, rate=4e-3, seed=3, save_every=20, sizes=SMALL)


def scenes(count: int, seed: int) -> np.ndarray:
    """[count, 32, 32] m: a slanted table, nearer or farther, with a box somewhere; a corner is never measured."""
    rng = np.random.default_rng(seed)
    table = np.linspace(1.0, 0.4, 32, dtype=np.float32)[:, None] * np.ones((1, 32), np.float32)
    out = np.repeat(table[None], count, 0)
    for one in out:
        top, left, size = rng.integers(2, 20), rng.integers(2, 20), rng.integers(6, 12)
        one *= np.float32(rng.uniform(0.6, 1.4))
        one[top : top + size, left : left + size] -= np.float32(0.2)
    out[:, :3, :3] = np.nan
    return out


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Autoencoder, Path]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("depth") / "ae"
    return fit(scenes(80, 0), "m", OPTIONS, folder, lambda *_: None), folder


def test_codes_say_depth_and_shuffled_ones_do_not(fitted: tuple[Autoencoder, Path]) -> None:
    autoencoder, _ = fitted
    learned, unseen = scenes(80, 0), scenes(20, 1)
    errors = measure(autoencoder, unseen, baseline(autoencoder, learned))
    assert errors.codes < 0.6 * errors.constant < errors.constant < errors.shuffled, errors
    assert errors.used >= 8 and 4 < errors.perplexity <= errors.used
    codes = autoencoder.codes(unseen)
    assert codes.shape == (20, 16) and codes.min() >= 0 and codes.max() < 16
    assert autoencoder.depths(codes).shape == (20, 32, 32)


def test_the_baseline_is_the_best_constant(fitted: tuple[Autoencoder, Path]) -> None:
    truth = cell_means(scenes(40, 2), 4)
    best = usual(truth)
    assert off(best, truth) < off(np.nanmean(truth, axis=0), truth) < off(best + 0.1, truth)


def test_a_fit_that_was_stopped_gives_the_same_bytes(fitted: tuple[Autoencoder, Path], tmp_path: Path) -> None:
    _, folder = fitted

    def stop_at(stage: str, done: int, total: int) -> None:
        if done == 70:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(scenes(80, 0), "m", OPTIONS, tmp_path, stop_at)
    assert {path.name for path in tmp_path.iterdir()} == {files.STATE, files.STATE_FACTS}
    with pytest.raises(UsageError, match="another unfinished fit"):
        fit(scenes(80, 0), "m", replace(OPTIONS, seed=4), tmp_path, lambda *_: None)
    begun: list[int] = []
    fit(scenes(80, 0), "m", OPTIONS, tmp_path, lambda stage, done, total: begun.append(done))
    assert begun[0] == 60  # the last that was saved
    for name in (files.FACTS, files.WEIGHTS):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {files.FACTS, files.WEIGHTS}
    steps: list[int] = []
    fit(scenes(80, 0), "m", OPTIONS, tmp_path, lambda stage, done, total: steps.append(done))
    assert not steps  # it was taken as it is
    fit(scenes(80, 5), "m", replace(OPTIONS, steps=2), tmp_path, lambda stage, done, total: steps.append(done))
    assert steps == [0, 1, 2]  # other maps: fitted anew


def test_what_is_saved_is_what_is_opened(fitted: tuple[Autoencoder, Path], tmp_path: Path) -> None:
    autoencoder, folder = fitted
    opened, seen = open_autoencoder(folder), scenes(5, 7)
    assert np.array_equal(opened.codes(seen), autoencoder.codes(seen)) and opened.range == autoencoder.range
    with pytest.raises(CheckpointError, match="holds no depth autoencoder"):
        open_autoencoder(tmp_path)
    for name in (files.FACTS, files.WEIGHTS):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    facts = json.loads((tmp_path / files.FACTS).read_text())
    facts["sizes"]["codes"] = 32
    (tmp_path / files.FACTS).write_text(json.dumps(facts))
    with pytest.raises(CheckpointError, match="is damaged"):
        open_autoencoder(tmp_path)


def test_the_gradient_passes_the_codebook_and_the_codebook_follows_its_vectors() -> None:
    model = DepthAutoencoder(SMALL)
    maps = torch.rand(3, 1, 32, 32) * 2 - 1
    draw = torch.Generator().manual_seed(0)
    model.begin(model.encode(maps), draw)
    said, vectors, entries, codes = model(maps)
    vectors.retain_grad()
    said.sum().backward()
    assert model.encoder[0].weight.grad is not None and model.encoder[0].weight.grad.abs().sum() > 0
    assert torch.equal(entries, model.codebook[codes])
    assert torch.equal(said, model.decode(codes)) or torch.allclose(said, model.decode(codes), atol=1e-6)
    far = (vectors.detach()[..., None, :] - model.codebook).square().sum(-1)
    assert torch.equal(codes, far.argmin(-1))
    before = far.gather(-1, codes[..., None]).mean()
    for _ in range(30):
        model.follow(vectors.detach(), codes, 0.8)
    after = (vectors.detach() - model.codebook[codes]).square().sum(-1).mean()
    assert after < before or before == 0


def test_an_entry_that_nothing_uses_begins_anew() -> None:
    model, draw = DepthAutoencoder(SMALL), torch.Generator().manual_seed(0)
    vectors = torch.randn(2, 16, 6, generator=draw)
    model.begin(vectors, draw)
    model.codebook[3], model.sums[3], model.counts[3] = 99.0, 99.0, 0.01
    assert model.revive(vectors, 0.3, draw) == 1
    assert (vectors.reshape(-1, 6) == model.codebook[3]).all(-1).any() and model.counts[3] == 1.0
    assert model.revive(vectors, 0.3, draw) == 0


def test_maps_are_squared_by_area_of_what_was_measured() -> None:
    depth = np.full((8, 16), 2.0, np.float32)
    depth[:4, :8] = np.nan
    depth[0, 0] = 1.0
    depth[4:, :8] = 4.0
    assert np.isnan(square(depth, 2)[0, 0]) and square(depth, 2)[1, 0] == 4.0 and square(depth, 2)[0, 1] == 2.0
    assert square(np.full((4, 4), 3.0, np.float32), 8).shape == (8, 8)
    with pytest.raises(DatasetError, match="got: none in all"):
        range_of(np.full((1, 4, 4), np.nan, np.float32), "m")
    with pytest.raises(DatasetError, match="1 everywhere"):
        range_of(np.ones((1, 4, 4), np.float32), "m")
    limits = Range(0.5, 1.5)
    assert limits.share(np.array([0.1, 1.0, np.nan], np.float32)).tolist() == [-1.0, 0.0, 1.0]
    assert limits.depth(np.array([-1.0, 0.0], np.float32)).tolist() == [0.5, 1.0]
    assert spread(np.array([[1, 1, 2, 2]]), 4) == (2, pytest.approx(2.0))
