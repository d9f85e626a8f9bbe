"""The reference model with one weight in memory at a time: of any size, on a small machine.

The modules are train.model's own. Each module's tensors are read when it is about to run and dropped after it; of the
embedding only the rows that are asked for are read. The action expert, which runs at every step of the flow, is kept
from its second run on (2.3 GB at full size). Takes a Checkpoint, gives a MolmoAct2 that computes what
`load_model`'s does, and may tell whoever fits schemes to activations what enters every linear layer. Knows nothing of
graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from train.checkpoint import Checkpoint
from train.model import MolmoAct2
from train.model.llm import Embedding

OFTEN = "model.action_expert"
Held = dict[str, nn.Parameter]
Seen = Callable[[str, Tensor], None]  # released name of a linear layer (without .weight), its input [..., K]


def streamed_model(checkpoint: Checkpoint, seen: Seen | None = None, held: Held | None = None) -> MolmoAct2:
    """The model in evaluation mode. Raises TensorError as `load_model` does. `seen` is told of every linear layer;
    `held` gets the weights that are kept: cleared, they are read again when they are needed.
    """
    held = {} if held is None else held
    checkpoint.check()
    with torch.device("meta"):
        model = MolmoAct2(checkpoint.config)
    model.eval().requires_grad_(False)
    for name, module in model.named_modules():
        if isinstance(module, Embedding):
            _rows_only(module, checkpoint, name)
        elif any(True for _ in module.parameters(recurse=False)):
            _on_demand(module, checkpoint, name, seen, held)
    return model


def _on_demand(module: nn.Module, checkpoint: Checkpoint, name: str, seen: Seen | None, held: Held) -> None:
    empty = dict(module.named_parameters(recurse=False))
    runs = 0

    def load(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal runs
        runs += 1
        if seen is not None and isinstance(module, nn.Linear):
            seen(name, inputs[0])
        for key in empty:
            full = f"{name}.{key}"
            value = held[full] if full in held else nn.Parameter(checkpoint.tensor(full), requires_grad=False)
            setattr(module, key, value)
            if runs > 1 and name.startswith(OFTEN):
                held[full] = value

    def drop(*_: object) -> None:
        for key, value in empty.items():
            setattr(module, key, value)

    module.register_forward_pre_hook(load)
    module.register_forward_hook(drop)


def _rows_only(module: Embedding, checkpoint: Checkpoint, name: str) -> None:
    base = module.embedding.shape[0]

    def forward(ids: Tensor) -> Tensor:
        wanted, place = torch.unique(ids, return_inverse=True)
        rows = []
        for i in wanted.tolist():
            table, row = ("embedding", i) if i < base else ("new_embedding", i - base)
            rows.append(checkpoint.rows(f"{name}.{table}", row, row + 1)[0])
        return torch.stack(rows)[place]

    module.forward = forward  # type: ignore[method-assign]
