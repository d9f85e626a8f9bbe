"""Trains a depth autoencoder on maps that are in memory: seeded, resumed to the bit on one device.

Takes maps [N, side, side] and settings; gives an Autoencoder, saved in its folder now and then. Each step draws from a
generator of its own, so that a fit that goes on is the fit that never stopped. Loss: squared error over what was
measured, and the distance of the vectors from their entries; the codebook learns by running means, and entries that
nothing uses are put where vectors are. Knows nothing of datasets.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from policy_spec.errors import UsageError, sentence
from train.depth import files
from train.depth.autoencoder import DepthAutoencoder, Sizes
from train.depth.files import Autoencoder
from train.depth.maps import Errors, Floats, Range, cell_means, off, range_of, spread, usual

Told = Callable[[str, int, int], None]  # stage, done, total
COMMITMENT = 0.25  # weight of the vectors' distance from their entries
DECAY = 0.98  # of the codebook's running means
LEAST = 0.3  # of a running count; an entry below it begins anew
REVIVE_EVERY = 20  # steps; not in the last quarter, so that the labels' codes are settled


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How it is trained."""

    steps: int = 1500
    batch: int = 32
    rate: float = 2e-3
    seed: int = 0
    save_every: int = 250
    sizes: Sizes = field(default_factory=Sizes)

    def __post_init__(self) -> None:
        """Raises UsageError."""
        for name in ("steps", "batch", "save_every"):
            if getattr(self, name) < 1:
                raise UsageError(sentence(f"{name} of a depth autoencoder", expected="1 or more", got=self))
        if self.seed < 0:
            raise UsageError(sentence("seed", expected="0 or more", got=self.seed))


def fit(maps: Floats, unit: str, options: FitOptions, folder: Path, told: Told) -> Autoencoder:
    """Trains, or goes on with what the folder holds, or takes it where it was fitted on the same maps in the same way.

    maps: NaN where nothing was measured. Raises DatasetError, UsageError (a folder of another unfinished fit).
    """
    if len(maps) == 0:
        raise UsageError(sentence("maps to learn from", expected="at least one", got=0))
    limits = range_of(maps, unit)
    facts = facts_of(options, limits, maps)
    if files.finished(folder) and dict((kept := files.open_autoencoder(folder)).fitted) == facts:
        return kept
    shares = torch.from_numpy(limits.share(maps))[:, None]
    known = torch.from_numpy(np.isfinite(maps).astype(np.float32))[:, None]
    model = DepthAutoencoder(options.sizes)
    first_weights(model, options.seed)
    optimizer = torch.optim.Adam(model.parameters(), options.rate)
    begun = files.restore(folder, facts, model, optimizer)
    for step in range(begun, options.steps):
        told("fit depth autoencoder", step, options.steps)
        one_step(model, optimizer, (shares, known), options, step)
        if (step + 1) % options.save_every == 0 and step + 1 < options.steps:
            files.save_state(folder, facts, model, optimizer, step + 1)
    told("fit depth autoencoder", options.steps, options.steps)
    done = Autoencoder(model.eval(), limits, facts)
    files.publish(folder, done)
    return done


def facts_of(options: FitOptions, limits: Range, maps: Floats) -> dict[str, object]:
    """What a fit may not change when it goes on."""
    seen = {"maps": len(maps), "crc32": zlib.crc32(np.ascontiguousarray(maps).tobytes())}
    facts: dict[str, object] = asdict(options) | {"range": asdict(limits), **seen}
    del facts["save_every"]
    return dict(json.loads(json.dumps(facts)))


def one_step(
    model: DepthAutoencoder,
    optimizer: torch.optim.Optimizer,
    data: tuple[Tensor, Tensor],
    options: FitOptions,
    step: int,
) -> None:
    """One batch. data: shares and what was measured of them, [N, 1, side, side] each."""
    shares, known = data
    draw = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
    chosen = torch.randint(len(shares), (options.batch,), generator=draw)
    seen, measured = shares[chosen], known[chosen]
    if step == 0:
        with torch.no_grad():
            model.begin(model.encode(seen), draw)
    for group in optimizer.param_groups:
        group["lr"] = options.rate * (0.1 + 0.9 * (1.0 + math.cos(math.pi * step / options.steps)) / 2.0)
    said, vectors, entries, codes = model(seen)
    loss = ((said - seen).square() * measured).sum() / measured.sum().clamp(min=1.0)
    loss = loss + COMMITMENT * (vectors - entries.detach()).square().mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    model.follow(vectors.detach(), codes, DECAY)
    if step % REVIVE_EVERY == 0 and step < 0.75 * options.steps:
        model.revive(vectors.detach(), LEAST, draw)


def first_weights(model: DepthAutoencoder, seed: int) -> None:
    """Values by the seed alone, whatever has drawn before: uniform, of variance 2 / inputs; biases 0."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in model.modules():
            if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                continue
            area = math.prod(layer.kernel_size)
            if isinstance(layer, nn.ConvTranspose2d):
                area //= math.prod(layer.stride)  # each pixel is reached by that part of the kernel
            bound = math.sqrt(6.0 / (layer.in_channels * area))
            layer.weight.copy_((torch.rand(layer.weight.shape, generator=draw) * 2.0 - 1.0) * bound)
            assert layer.bias is not None
            layer.bias.zero_()


def measure(autoencoder: Autoencoder, seen: Floats, usual_cells: Floats, seed: int = 0) -> Errors:
    """How well codes say these maps [N, side, side]. usual_cells [cells]: what the baseline says, of other maps."""
    limits, grid = autoencoder.range, autoencoder.sizes.grid
    truth = cell_means(limits.clipped(seen), grid)
    codes = autoencoder.codes(seen)
    used, perplexity = spread(codes, autoencoder.sizes.codes)
    order = np.random.default_rng(seed).permutation(autoencoder.sizes.codes)
    return Errors(
        codes=off(cell_means(autoencoder.depths(codes), grid), truth),
        constant=off(usual_cells, truth),
        shuffled=off(cell_means(autoencoder.depths(order[codes]), grid), truth),
        used=used,
        perplexity=perplexity,
    )


def baseline(autoencoder: Autoencoder, maps: Floats) -> Floats:
    """[cells] each cell's usual depth in these maps."""
    return usual(cell_means(autoencoder.range.clipped(maps), autoencoder.sizes.grid))
