"""The released modules as one more way, where somebody has them: `--released FOLDER`, with modeling_molmoact2.py in it.

Takes a checkpoint's remote code (or LeRobot's copy of it), this run's configuration and weights; gives a call like the
others. The code in the folder is imported and run, and needs transformers: name only a folder that you trust. Its eager
and flow-graph forms differ by its own switch. The noise is drawn inside it, from a seed, and given to the others.
"""

from __future__ import annotations

import importlib
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.gpu.capture import wait
from bench.gpu.plain import Plain
from policy_spec.errors import UsageError, sentence
from policy_spec.image import pooled_grid, pooling_index
from policy_spec.pipeline import Float32, Pipeline, Prepared

PACKAGE = "released_molmoact2"
SEED = 0  # of the noise


def load(folder: Path, config: dict[str, Any], plain: Plain) -> Any:
    """The released model over the plain model's own weights. Raises UsageError where the folder holds no such code."""
    if not (folder / "modeling_molmoact2.py").is_file():
        raise UsageError(sentence("--released", expected="a folder with modeling_molmoact2.py", got=str(folder)))
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[PACKAGE] = package
    made = importlib.import_module(f"{PACKAGE}.configuration_molmoact2").MolmoAct2Config(**config)
    module = importlib.import_module(f"{PACKAGE}.modeling_molmoact2")
    with torch.device(plain.device):
        model = module.MolmoAct2ForConditionalGeneration(made)
    model.load_state_dict(plain.model.state_dict(), strict=False, assign=True)
    ours, theirs = ({n: p.shape for n, p in m.named_parameters()} for m in (plain.model, model))
    if ours != theirs:
        odd = sorted(set(ours.items()) ^ set(theirs.items()))[:3]
        raise UsageError(sentence("parameters of the released modules", expected="those of train's model", got=odd))
    return model.eval().requires_grad_(False)


@dataclass(slots=True, eq=False)
class ReleasedCall:
    """`call(prepared, noise)`: the noise must be `noise_of` the pipeline, because the released code draws its own."""

    plain: Plain
    model: Any
    rough: float = 4.0  # times the limit of the others: its trajectory and residual stream are half floats too

    @torch.no_grad()
    def __call__(self, prepared: Prepared, noise: Float32) -> Float32:
        """[1, H, A] before the clip."""
        plain, spec = self.plain, self.plain.pipeline.spec
        cameras, ids = plain.pipeline.cameras, plain.tensor(prepared.ids)[None]
        pooling = plain.tensor(pooling_index(spec.grid, spec.pool)).repeat(cameras, 1)
        grid = torch.tensor([[*pooled_grid(spec.grid, spec.pool), 0, 0]] * cameras, device=plain.device)
        own = torch.arange(spec.max_action_dim, device=plain.device)[None] >= plain.pipeline.tag.action_dim
        self.model.model.action_cuda_graph_manager.set_enabled(plain.graphed)
        with plain.autocast():
            out = self.model.model.generate_actions_from_inputs(
                input_ids=ids,
                pixel_values=plain.tensor(prepared.vision["patches"]).float() / 255.0 * 2.0 - 1.0,
                image_token_pooling=pooling,
                image_grids=grid,
                image_num_crops=torch.ones(cameras, dtype=torch.int64, device=plain.device),
                token_type_ids=plain.tensor(prepared.llm["token_type"][:, : ids.shape[1]]).long(),
                action_dim_is_pad=own,
                action_horizon=plain.pipeline.horizon,
                generator=_generator(plain.device),
            )
        wait(plain.device)
        chunk: Float32 = out.float().cpu().numpy()
        return chunk


def noise_of(pipeline: Pipeline, device: torch.device, dtype: torch.dtype) -> Float32:
    """[1, H, A] as the released code will draw it there, 0 where the robot has no dimension."""
    shape = (1, pipeline.horizon, pipeline.spec.max_action_dim)
    made = torch.randn(shape, generator=_generator(device), device=device, dtype=dtype)
    made[..., pipeline.tag.action_dim :] = 0
    noise: Float32 = made.float().cpu().numpy()
    return noise


def _generator(device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(SEED)
