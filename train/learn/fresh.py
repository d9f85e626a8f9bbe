"""First values of a model that is trained from nothing: each tensor from the seed and its name alone.

Expert: Xavier, residual outputs smaller with depth, modulations and the last layer 0, as the released code begins; so
every block begins as the identity. Language model, image encoder, connector: normal with a spread by fan-in (the
released 0.02 fits one width only). Words begin about as large as what the first layer adds to them, or that drowns
them and no word finds its thing (docs/decisions.md). Positions of patches are sines of their row and column and bins of
the state sines of their number, since what begins as noise takes long to say where a patch or a joint is. The depth
gate begins closed. Knows nothing of files.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from policy_spec.config import ModelConfig
from train.learn.groups import group_of

SPREAD = 0.6  # of fan_in ** -0.5
TABLE, POSITIONS = 0.6, 0.3
RESIDUAL = ("attn_out.weight", "ff_out.weight", "attention.wo.weight", "feed_forward.w2.weight")
EXPERT_RESIDUAL = ("out_proj.weight", "down_proj.weight")
GATE = "model.action_expert_depth_gate"


def generator(seed: int, name: str) -> torch.Generator:
    """Draws for one tensor."""
    return torch.Generator().manual_seed((seed << 32) ^ zlib.crc32(name.encode()))


def first_tensor(name: str, shape: tuple[int, ...], config: ModelConfig, said: Mapping[str, Any], seed: int) -> Tensor:
    """float32 values of one parameter; `said` is the parsed config.json."""
    rng = generator(seed, name)
    if name.startswith(GATE):
        bias = float(said.get("action_expert_depth_gate_init_bias", -4.0))
        return torch.full(shape, bias) if name.endswith("bias") else torch.zeros(shape)
    if len(shape) == 1:
        return torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
    if group_of(name) == "expert":
        return _expert(name, shape, config, rng)
    if ".wte." in name:
        return numbered(TABLE * torch.randn(shape, generator=rng), name, said)
    if name.endswith("positional_embedding"):
        return POSITIONS * waves(shape)
    spread = SPREAD * shape[1] ** -0.5
    if name.endswith(RESIDUAL):
        layers = config.vit_layers_run if group_of(name) == "vit" else config.text.num_layers
        spread *= (2 * layers) ** -0.5
    return spread * torch.randn(shape, generator=rng)


def waves(shape: tuple[int, ...]) -> Tensor:
    """[side^2, width] sines and cosines of each patch's column, then of its row: half a turn over the picture up to
    0.4 turns a patch. A table that is no square, or too narrow, is 0.
    """
    side, bands = math.isqrt(shape[0]), shape[1] // 4
    if side * side != shape[0] or bands < 2:
        return torch.zeros(shape)
    turns = math.pi / side * torch.exp(torch.linspace(0.0, math.log(0.8 * side), bands))
    row, column = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    angles = [axis.flatten()[:, None] * turns for axis in (column, row)]
    out = torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1)
    return F.pad(out, (0, shape[1] - out.shape[1]))


def numbered(table: Tensor, name: str, said: Mapping[str, Any]) -> Tensor:
    """A table of words [V, width] whose rows of state bins are sines and cosines of the bin's number, of half a turn
    over all bins up to a tenth of a turn a bin; near numbers are near words.
    """
    first, count = int(said.get("state_token_start_id") or 0), int(said.get("num_state_tokens") or 0)
    bands = table.shape[1] // 2
    if name.endswith("wte.embedding") and count > 1 and first + count <= len(table) and bands > 1:
        turns = math.pi / count * torch.exp(torch.linspace(0.0, math.log(max(0.2 * count, 1.0)), bands))
        angles = torch.arange(count)[:, None] * turns
        table[first : first + count, : 2 * bands] = TABLE * math.sqrt(2.0) * torch.cat([angles.sin(), angles.cos()], 1)
    return table


def _expert(name: str, shape: tuple[int, ...], config: ModelConfig, rng: torch.Generator) -> Tensor:
    if "modulation" in name or name.endswith("final_layer.linear.weight"):
        return torch.zeros(shape)
    bound = math.sqrt(6.0 / (shape[0] + shape[1]))
    if name.endswith(EXPERT_RESIDUAL):
        bound *= (2 * config.expert.num_layers) ** -0.5
    return bound * (2.0 * torch.rand(shape, generator=rng) - 1.0)
