"""Scaled dot-product attention, by the kernel that is fastest where it runs.

Takes q, k, v [B, heads, n, d] and an additive or boolean mask, gives [B, heads, Q, d]. Torch has a fused kernel; of
half floats on a CPU its backward pass is three times slower than plain products, which are taken there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d) + mask) v. mask: additive of any float type, or bool (True: may see)."""
    if mask is not None and mask.dtype != torch.bool:
        # The lowest float32 is -inf in bfloat16, and a row of which everything is hidden would be no number.
        mask = mask.clamp(min=torch.finfo(q.dtype).min).to(q.dtype)
    if q.device.type == "cpu" and (torch.is_autocast_enabled("cpu") or q.dtype in (torch.bfloat16, torch.float16)):
        return _plain(q, k, v, mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _plain(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    elif mask is not None:
        scores = scores + mask.clamp(min=torch.finfo(scores.dtype).min).to(scores.dtype)
    return scores.softmax(-1) @ v
