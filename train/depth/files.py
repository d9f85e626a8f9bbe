"""The folder of a depth autoencoder: what it is, its weights; the state of a fit that is not finished.

    depth_autoencoder.json         sizes, range, how it was fitted
    depth_autoencoder.safetensors  weights and codebook
    fit.json, fit.safetensors      only until it is finished: weights, moments, the step

Every file is written under another name and renamed. Knows nothing of datasets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save

from policy_spec.errors import CheckpointError, UsageError, sentence
from train.depth.autoencoder import DepthAutoencoder, Sizes
from train.depth.maps import Floats, Range, batches

FORMAT, VERSION = "armside-depth-autoencoder", 1
FACTS, WEIGHTS = "depth_autoencoder.json", "depth_autoencoder.safetensors"
STATE_FACTS, STATE = "fit.json", "fit.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True, eq=False)
class Autoencoder:
    """A fitted one, in the unit of its maps."""

    model: DepthAutoencoder
    range: Range
    fitted: Mapping[str, Any]  # how

    @property
    def sizes(self) -> Sizes:
        return self.model.sizes

    def codes(self, maps: Floats) -> NDArray[np.int64]:
        """[N, side, side] -> [N, cells], cells row by row."""
        out = np.zeros((len(maps), self.sizes.cells), np.int64)
        for part in batches(len(maps)):
            shares = torch.from_numpy(self.range.share(maps[part]))[:, None]
            out[part] = self.model.codes_of(shares).numpy()
        return out

    @torch.no_grad()
    def depths(self, codes: NDArray[np.int64]) -> Floats:
        """[N, cells] -> [N, side, side] in the unit of the maps."""
        out = np.zeros((len(codes), self.sizes.side, self.sizes.side), np.float32)
        for part in batches(len(codes)):
            drawn = self.model.decode(torch.from_numpy(codes[part]))[:, 0].clamp(-1.0, 1.0)
            out[part] = self.range.depth(drawn.numpy())
        return out


def publish(folder: Path, done: Autoencoder) -> None:
    """Writes a finished one and forgets how far its fit was."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"format": FORMAT, "version": VERSION, "sizes": asdict(done.sizes), "range": asdict(done.range)}
    _write(folder / WEIGHTS, save(done.model.state_dict()))
    _write(folder / FACTS, _text(facts | {"fitted": dict(done.fitted)}))
    for name in (STATE, STATE_FACTS):
        (folder / name).unlink(missing_ok=True)


def finished(folder: Path) -> bool:
    """Whether a fit ended there."""
    return (folder / FACTS).is_file() and (folder / WEIGHTS).is_file()


def open_autoencoder(folder: Path) -> Autoencoder:
    """Raises CheckpointError where there is none, or it is damaged."""
    if not finished(folder):
        do = "name the folder of a fitted one, or leave --autoencoder out and one is fitted"
        what = f"{folder} holds no depth autoencoder"
        raise CheckpointError(sentence(what, expected=f"{FACTS} and {WEIGHTS}", do=do))
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if (facts["format"], facts["version"]) != (FORMAT, VERSION):
            got = f"{facts['format']} {facts['version']}"
            raise CheckpointError(sentence(f"{folder / FACTS}", expected=f"{FORMAT} {VERSION}", got=got))
        model = DepthAutoencoder(Sizes(**facts["sizes"]))
        model.load_state_dict(load((folder / WEIGHTS).read_bytes()))
        return Autoencoder(model.eval(), Range(**facts["range"]), facts["fitted"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        raise CheckpointError(sentence(f"{folder} is damaged", expected="a depth autoencoder", got=error)) from error


def save_state(
    folder: Path, facts: Mapping[str, Any], model: DepthAutoencoder, optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Where a fit is. The JSON comes last and says which step the tensors are of."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, value in model.named_parameters():
        tensors |= {f"{moment}.{name}": optimizer.state[value][moment] for moment in MOMENTS}
    tensors["step"] = torch.tensor([step])
    _write(folder / STATE, save({name: value.contiguous() for name, value in tensors.items()}))
    _write(folder / STATE_FACTS, _text({"format": FORMAT, "version": VERSION, "fit": dict(facts)}))


def restore(folder: Path, facts: Mapping[str, Any], model: DepthAutoencoder, optimizer: torch.optim.Optimizer) -> int:
    """Puts a fit where it was and gives the step to go on with; 0 where there is none.

    Raises UsageError where the folder holds a fit with other settings or other maps.
    """
    if not (folder / STATE_FACTS).is_file() or not (folder / STATE).is_file():
        return 0
    found = json.loads((folder / STATE_FACTS).read_text(encoding="utf-8"))["fit"]
    if found != facts:
        do = "give the same settings and data, or remove that folder"
        what = f"{folder} holds another unfinished fit"
        raise UsageError(sentence(what, expected=json.dumps(dict(facts)), got=json.dumps(found), do=do))
    tensors = load((folder / STATE).read_bytes())
    step = int(tensors["step"][0])
    model.load_state_dict({name: tensors[f"model.{name}"] for name in model.state_dict()})
    for name, value in model.named_parameters():
        moments = {moment: tensors[f"{moment}.{name}"].clone() for moment in MOMENTS}
        optimizer.state[value] = {"step": torch.tensor(float(step)), **moments}
    return step


def _text(facts: Mapping[str, Any]) -> bytes:
    return (json.dumps(facts, indent=1) + "\n").encode()


def _write(path: Path, data: bytes) -> None:
    half = path.with_name(f".{path.name}.half")
    half.write_bytes(data)
    half.replace(path)
