"""AdamW over the parts of a model, with clipping by each part's own norm.

Takes a learner and a Stage, gives a torch optimizer whose groups carry their part's name. Sharded parameters are
clipped by the norm of the whole. Knows nothing of files; states go in and out by parameter name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from train.learn.groups import GROUPS, group_of
from train.recipe.config import Stage

MOMENTS = ("exp_avg", "exp_avg_sq")
Sum = Callable[[Tensor], Tensor]  # over all processes


def choose(model: nn.Module, stage: Stage) -> None:
    """Says which parameters learn: all, the expert's, or the expert's and the adapters'; none of a part at rate 0."""
    for name, parameter in model.named_parameters():
        adapter, part = name.endswith((".lora_a", ".lora_b")), group_of(name)
        chosen = stage.mode == "full" or adapter or part == "expert"
        parameter.requires_grad_(chosen and getattr(stage.lr, part) > 0)


def make_optimizer(model: nn.Module, stage: Stage) -> torch.optim.AdamW:
    """Groups in the order of GROUPS; parts where nothing learns have none."""
    parts: dict[str, list[nn.Parameter]] = {name: [] for name in GROUPS}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parts[group_of(name)].append(parameter)
    groups = [
        {"params": parameters, "name": name, "lr": getattr(stage.lr, name)}
        for name, parameters in parts.items()
        if parameters
    ]
    betas = (stage.betas[0], stage.betas[1])
    return torch.optim.AdamW(groups, betas=betas, eps=stage.eps, weight_decay=stage.weight_decay, fused=True)


def clip(optimizer: torch.optim.Optimizer, stage: Stage, total: Sum) -> dict[str, float]:
    """Clips each group's gradient to its part's norm. Returns the norms before, by part."""
    names = [group["name"] for group in optimizer.param_groups]
    gradients = [[p.grad for p in group["params"] if p.grad is not None] for group in optimizer.param_groups]
    device = next((g.device for part in gradients for g in part), torch.device("cpu"))
    squares = torch.stack([_square(part).to(device) if part else torch.zeros((), device=device) for part in gradients])
    norms = total(squares).sqrt().tolist()
    for name, part, norm in zip(names, gradients, norms, strict=True):
        most = getattr(stage.clip, name)
        if part and 0.0 < most < norm:
            torch._foreach_mul_([_local(g) for g in part], most / norm)
    return dict(zip(names, norms, strict=True))


def _square(gradients: list[Tensor]) -> Tensor:
    """[] the sum of squares of what lies in this process."""
    return torch.stack(torch._foreach_norm([_local(g) for g in gradients])).square().sum()


def _local(tensor: Tensor) -> Tensor:
    """What of a tensor lies in this process. A DTensor is told by its method: its class takes seconds to import."""
    share: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return share


def moments(optimizer: torch.optim.Optimizer, model: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    """(moment, parameter name, tensor) of everything that has been stepped, in the model's order."""
    for name, parameter in model.named_parameters():
        for moment in MOMENTS:
            if moment in optimizer.state.get(parameter, {}):
                yield moment, name, optimizer.state[parameter][moment]


def steps_of(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, int]:
    """How often each parameter was stepped."""
    return {
        name: int(optimizer.state[parameter]["step"].item())
        for name, parameter in model.named_parameters()
        if "step" in optimizer.state.get(parameter, {})
    }
