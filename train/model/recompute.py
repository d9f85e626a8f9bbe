"""Gradient checkpointing of one module: its activations are computed again in the backward pass instead of kept.

Takes a module and its arguments, gives what the module gives. Knows nothing of what the module is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def run(module: nn.Module, recompute: bool, *arguments: Any) -> Any:
    """module(*arguments), recomputed where that is asked for and a gradient is wanted at all."""
    if recompute and torch.is_grad_enabled():
        return checkpoint(module, *arguments, use_reentrant=False)
    return module(*arguments)
