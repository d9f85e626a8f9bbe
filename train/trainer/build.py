"""A learner ready for a stage: built without memory, adapted, sharded, then filled tensor by tensor.

Takes a ModelConfig and a source of tensors by released name; gives a Learner on its device with float32 masters. A
sharded one never holds more than its own share and one whole tensor. Knows nothing of where tensors come from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from policy_spec.config import ModelConfig
from train.learn.learner import Learner
from train.learn.lora import adapt
from train.learn.optimizer import choose
from train.model import MolmoAct2
from train.model.expert import Block
from train.recipe.config import Stage
from train.trainer.world import World

Source = Callable[[str, tuple[int, ...]], Tensor]  # name, shape -> float32 values


def build(config: ModelConfig, stage: Stage, pool: tuple[int, int], world: World, recompute: bool) -> Learner:
    """The learner of a stage, its parameters not yet filled."""
    with torch.device("meta"):
        model = MolmoAct2(config)
    if stage.mode == "lora":
        adapt(model, stage.lora)
    choose(model, stage)
    for layer in model.model.transformer.blocks:
        cast(nn.Dropout, layer.dropout).p = stage.dropout
    for part in (model.model.transformer, model.model.vision_backbone.image_vit, model.model.action_expert):
        part.recompute = recompute
    learner = Learner(model, pool)
    if world.mesh is not None:
        shard(learner, world)
    model.to_empty(device=world.device)
    learner.pooling = learner.pooling.to(world.device)
    return learner.train()


def shard(learner: Learner, world: World) -> None:
    """FSDP2, a unit for each layer. Modulations are units of their own: they run before their block."""
    from torch.distributed.fsdp import fully_shard  # imported where it is needed: it takes seconds

    body = learner.model.model
    units: list[nn.Module] = [*body.vision_backbone.image_vit.transformer.resblocks, *body.transformer.blocks]
    for block in body.action_expert.blocks:
        units += [cast(Block, block).modulation, block]
    for unit in (*units, learner):
        fully_shard(unit, mesh=world.mesh)


def compile_layers(learner: Learner) -> None:
    """torch.compile of every layer by itself: they are alike, so that few kernels are made."""
    body = learner.model.model
    for part in (body.vision_backbone.image_vit.transformer.resblocks, body.transformer.blocks):
        for layer in part:
            layer.compile()
    for block in body.action_expert.blocks:
        block.compile()


def fill(learner: Learner, source: Source) -> None:
    """Every parameter from its source, each process its own share."""
    with torch.no_grad():
        for name, parameter in learner.model.named_parameters():
            copy_whole(parameter, source(name, tuple(parameter.shape)))


def copy_whole(target: Tensor, values: Tensor) -> None:
    """Whole values into a tensor, or this process's share of them into its shard."""
    if hasattr(target, "to_local"):  # a DTensor
        from torch.distributed.tensor import distribute_tensor

        mesh, placements = target.device_mesh, target.placements  # type: ignore[attr-defined]
        part = distribute_tensor(values.to(target.device), mesh, placements, src_data_rank=None)
        target.copy_(part)
    else:
        target.copy_(values)


def whole(tensor: Tensor) -> Tensor:
    """A whole tensor on the CPU; every process of a sharded one must ask."""
    if hasattr(tensor, "full_tensor"):
        tensor = tensor.full_tensor()
    return tensor.detach().to("cpu")
