"""The vision backbone: ViT taps, 2x2 attention pooling, and the SwiGLU into the language model's width.

Takes uint8 patches, gives one feature per image token. The released code rounds pixels back to the uint8 grid
before the ViT, so uint8 is the exact input (docs/sources.md, images).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policy_spec.config import AdapterConfig, ModelConfig
from train.model.vit import Attention, Vit


class Projector(nn.Module):
    """SwiGLU without biases: w2(silu(w1 x) * w3 x)."""

    def __init__(self, c: AdapterConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.w2 = nn.Linear(c.intermediate_size, c.text_hidden_size, bias=False)
        self.w3 = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class VisionBackbone(nn.Module):
    """images -> features of the image tokens."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        a = c.adapter
        self.adapter = a
        self.image_vit = Vit(c.vit, c.vit_layers_run)
        pool_width = c.vit.hidden_size * len(a.vit_layers)
        self.image_pooling_2d = Attention(pool_width, a.hidden_size, a.num_heads, a.num_kv_heads, a.head_dim)
        self.image_projector = Projector(a)

    def forward(self, patches: Tensor, pooling: Tensor) -> Tensor:
        """patches uint8 [N, P, 3 * patch^2]; pooling int64 [T, window], -1 where the window leaves the image.

        Returns [N * T, text hidden].
        """
        pixels = patches.float() / 255.0 * 2.0 - 1.0
        taps = self.image_vit(pixels.to(self.image_vit.patch_embedding.weight.dtype), self.adapter.vit_layers)
        valid = pooling >= 0
        windows = taps[:, pooling.clamp(min=0)] * valid[None, :, :, None].to(taps.dtype)  # [N, T, window, width]
        windows = windows.flatten(0, 1)
        mask = None
        if self.adapter.pooling_attention_mask:
            seen = valid.repeat(patches.shape[0], 1)
            query = windows.sum(1, keepdim=True) / seen.sum(1).clamp(min=1)[:, None, None].to(taps.dtype)
            mask = seen[:, None, None, :] if self.adapter.hide_padding else None
        else:
            query = windows.mean(1, keepdim=True)
        pooled = self.image_pooling_2d(query, windows, mask).squeeze(1)
        return self.image_projector(torch.as_tensor(pooled))
