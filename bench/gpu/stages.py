"""The stages of a call over buffers that are allocated once: vision, the prompt, the flow.

Each is made for one model, one number of cameras, one bracket and one horizon; `run` reads its input ports and other
stages' buffers, and writes its own. The prompt's length, who is an image and who is seen arrive as masks, so that the
shapes, and with them a captured graph, serve every prompt of the bracket. Know nothing of capture and of the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.gpu.capture import Port
from bench.gpu.pieces import ExpertMasks, ExpertSizes, Keys, Pieces, Rope, TextSizes, VitSizes, Way, signed
from bench.gpu.weights import expert_weights, gate_weights, layer_weights, token_table, vision_weights
from policy_spec.image import pooling_index
from policy_spec.masks import HIDDEN
from policy_spec.pipeline import Array, Pipeline
from train.model import MolmoAct2
from train.model.expert import NORM_EPS, ROPE_BASE
from train.model.llm import rope_tables

MIDDLE = 127.5  # of a byte: a pixel is byte / MIDDLE - 1


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """What all stages are made from."""

    model: MolmoAct2  # its weights lie on the device
    pipeline: Pipeline  # sizes: cameras, bracket, horizon
    device: torch.device
    dtype: torch.dtype
    pieces: Pieces
    places: int  # of K and V: the bracket, and room for generated tokens


class Vision:
    """patches -> features, from row 1 on: row 0 stays zero, for tokens that are no image."""

    def __init__(self, s: Setup) -> None:
        spec, c = s.pipeline.spec, s.model.config
        self.pieces, self.c = s.pieces, c
        self.sizes = VitSizes(c.vit.num_heads, c.vit.layer_norm_eps, c.vit.hidden_act)
        self.w = vision_weights(s.model, s.dtype)
        cameras = s.pipeline.cameras
        self.patches = Port.of((cameras, spec.patches_per_image, spec.patch_bytes), torch.uint8, s.device)
        self.pixels = torch.zeros(
            (cameras, spec.patches_per_image, self.w.embed.shape[1]), dtype=s.dtype, device=s.device
        )
        pooling = torch.from_numpy(pooling_index(spec.grid, spec.pool)).to(s.device)
        self.index, valid = pooling.clamp(min=0).flatten(), pooling >= 0
        self.valid = valid.to(s.dtype)[None, :, :, None]  # [1, T, window, 1]
        masked, window = c.adapter.pooling_attention_mask, pooling.shape[1]
        seen = valid.sum(1).clamp(min=1) if masked else torch.full_like(valid[:, 0], window, dtype=torch.int64)
        self.share = (1.0 / seen.float()).to(torch.float32)[None, :, None]  # of each patch of a window in its query
        hide = c.adapter.hide_padding
        self.hidden = torch.where(valid, 0.0, float(HIDDEN))[None, :, None, None, :] if hide else None
        rows = 1 + cameras * pooling.shape[0]
        self.features = torch.zeros((rows, c.text.hidden_size), dtype=s.dtype, device=s.device)

    def load(self, patches: Array) -> None:
        """Queues the copy of one call's pictures, uint8 [N, P, 3 * patch^2]."""
        np.copyto(self.patches.array, patches)
        self.patches.up()

    def run(self) -> None:
        """ViT, pooling, projector."""
        # Half bytes around the middle are exact in bfloat16, where pixels in -1 to 1 are not; the scale comes after.
        torch.sub(self.patches.device, MIDDLE, out=self.pixels[..., : self.patches.device.shape[-1]])
        x = torch.add(self.w.position, F.linear(self.pixels, self.w.embed), alpha=1.0 / MIDDLE)
        taps: dict[int, Tensor] = {}
        for i, block in enumerate(self.w.blocks):
            x = self.pieces.vit_block(x, block, self.sizes)
            if i in self.c.adapter.vit_layers:
                taps[i] = x
        tapped = torch.cat([taps[i] for i in self.c.adapter.vit_layers], dim=-1)
        self.features[1:].copy_(self._projected(self._pooled(tapped)).flatten(0, 1))

    def _pooled(self, tapped: Tensor) -> Tensor:
        """[N, P, width] -> [N, T, width of the connector]: attention of a window's mean to the window, in float32."""
        a = self.c.adapter
        windows = tapped[:, self.index].unflatten(1, self.valid.shape[1:3]) * self.valid  # [N, T, window, width]
        query = (windows.float().sum(2) * self.share).to(windows.dtype)
        q = F.linear(query, *self.w.pool_q).unflatten(-1, (a.num_heads, 1, a.head_dim))  # [N, T, heads, 1, d]
        k, v = F.linear(windows, *self.w.pool_kv).chunk(2, dim=-1)
        k, v = (t.unflatten(-1, (a.num_heads, a.head_dim)).transpose(2, 3).float() for t in (k, v))
        scores = (q.float() * a.head_dim**-0.5) @ k.transpose(-1, -2)
        if self.hidden is not None:
            scores = scores + self.hidden
        mixed = (scores.softmax(-1) @ v).to(windows.dtype)
        return F.linear(mixed.flatten(2), *self.w.pool_out)

    def _projected(self, x: Tensor) -> Tensor:
        gate, up = F.linear(x, self.w.gate_up).chunk(2, dim=-1)
        return F.linear(F.silu(gate) * up, self.w.down)


class Prompt:
    """tokens and features -> K and V of every layer, [layers, places, kv_heads, d], from place 0 on."""

    def __init__(self, s: Setup) -> None:
        c, size = s.model.config.text, s.pipeline.bracket
        self.pieces, self.layers = s.pieces, c.num_layers
        self.sizes = TextSizes(c.num_heads, c.num_kv_heads, c.head_dim, c.layer_norm_eps)
        self.group = c.num_heads // c.num_kv_heads
        self.table, self.w = token_table(s.model, s.dtype), layer_weights(s.model, s.dtype)
        self.ids = Port.of((1, size), torch.int32, s.device)
        self.row = Port.of((1, size), torch.int32, s.device)
        self.type = Port.of((1, size), torch.float32, s.device)
        shape = (c.num_layers, s.places, c.num_kv_heads, c.head_dim)
        self.k, self.v = (torch.zeros(shape, dtype=s.dtype, device=s.device) for _ in range(2))
        tables = rope_tables(s.places, c.head_dim, c.rope_theta, s.device)
        self.rope_all = signed(*tables, torch.float32)  # of all places
        self.rope = Rope(*(t[:size] for t in self.rope_all))
        self.causal = torch.ones((size, size), dtype=torch.bool, device=s.device).tril()
        self.bias = torch.zeros((self.group * size, size), dtype=s.dtype, device=s.device)
        self.zero = torch.zeros((), dtype=s.dtype, device=s.device)
        self.never = torch.full((), float(HIDDEN), dtype=s.dtype, device=s.device)

    def load(self, llm: Mapping[str, Array]) -> None:
        """Queues the copies of one call's tokens: the `llm` feeds of a Prepared."""
        for port, name in ((self.ids, "input_ids"), (self.row, "image_row"), (self.type, "token_type")):
            np.copyto(port.array, llm[name])
            port.up()

    def keys(self, layer: int, seen: int) -> Keys:
        """One layer's K and V."""
        return Keys(self.k[layer], self.v[layer], seen)

    def run(self, features: Tensor) -> None:
        """All layers; of the last one only K and V, which is all that anyone reads."""
        image = self.type.device[0] > 0
        allowed = self.causal | (image[:, None] & image[None, :])
        self.bias.view(self.group, *allowed.shape).copy_(torch.where(allowed, self.zero, self.never))
        x = F.embedding(self.ids.device[0], self.table) + F.embedding(self.row.device[0], features)
        size, way = x.shape[0], Way(None, self.bias)
        for i in range(self.layers - 1):
            x = self.pieces.layer(x, self.w[i], self.rope, self.keys(i, size), way, self.sizes)
        last = self.layers - 1
        self.pieces.layer_keys(x, self.w[last], self.rope, self.keys(last, size), None, self.sizes)


class Flow:
    """K and V -> the expert's, all layers at once; noise -> the chunk, by all Euler steps."""

    def __init__(self, s: Setup) -> None:
        c, steps = s.model.config.expert, s.pipeline.spec.flow_steps
        self.pieces, self.c, self.steps, self.layers = s.pieces, c, steps, c.num_layers
        self.sizes = ExpertSizes(c.num_heads, c.qk_norm, c.qk_norm_eps, c.rope, c.causal_attn)
        self.gate = gate_weights(s.model, s.dtype)
        self.w = expert_weights(s.model, steps, s.dtype)
        horizon, width, size = s.pipeline.horizon, c.max_action_dim, s.places
        self.noise = Port.of((1, horizon, width), torch.float32, s.device)
        self.actions = Port.of((1, horizon, width), torch.float32, s.device)
        self.bias = Port.of((1, 1, 1, size), torch.float32, s.device)
        self.visible, self.depth = (Port.of((1, size), torch.float32, s.device) for _ in range(2))
        own = s.pipeline.tag.action_dim if s.pipeline.spec.mask_action_dim_padding else width
        self.step_size = (torch.arange(width, device=s.device) < own).float() * (1.0 / steps)  # 0 beyond the robot
        tables = rope_tables(horizon, c.head_dim, ROPE_BASE, s.device)
        cross = torch.zeros((1, 1, 1, size), dtype=s.dtype, device=s.device)
        self.masks = ExpertMasks(signed(*tables, s.dtype), cross)
        shape = (c.num_layers, 2, c.num_heads, size, c.head_dim)
        self.kv = torch.zeros(shape, dtype=s.dtype, device=s.device)

    def load(self, bias: Array, noise: Array) -> None:
        """Queues the copies of who is seen, float32 [1, 1, 1, <= S], and of the noise [1, H, A]."""
        known = bias.shape[-1]
        self.bias.array[..., :known], self.bias.array[..., known:] = bias, HIDDEN
        np.copyto(self.noise.array, noise)
        self.bias.up()
        self.noise.up()

    def context(self, k: Tensor, v: Tensor) -> None:
        """The language model's K and V [layers, places, kv_heads, d] -> the expert's."""
        if self.gate is not None:
            k, v = self._gated(k, v)
        c = self.c
        for at, (x, weight) in enumerate(((k, self.w.context_k), (v, self.w.context_v))):
            x = F.linear(x.flatten(2), weight)
            if c.context_layer_norm:
                x = F.rms_norm(x, (c.hidden_size,), None, NORM_EPS)
            x = x.unflatten(-1, (c.num_heads, c.head_dim))
            if c.qk_norm and at == 0:
                x = F.rms_norm(x, (c.head_dim,), None, c.qk_norm_eps)
            self.kv[:, at].copy_(x.transpose(1, 2))

    def _gated(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Depth tokens' K and V times the learned gates of all layers, as train.model.gate has them one by one."""
        assert self.gate is not None
        visible, depth = self.visible.device[0], self.depth.device[0]
        others = visible - depth
        pool = torch.where(others.any(), others, visible)
        share = (pool / pool.sum().clamp(min=1.0)).to(v.dtype)
        mean = share @ v.flatten(2)  # [layers, width]; a gate for all is the last layer's
        weight, bias = self.gate
        mean = mean if weight.shape[0] == mean.shape[0] else mean[-1:]
        value = torch.sigmoid((mean * weight).sum(-1, keepdim=True) + bias)  # [layers, 1], or [1, 1]
        scale = torch.where(depth > 0, value, torch.ones_like(value))[:, :, None, None]
        return k * scale, v * scale

    def run(self) -> None:
        """All steps; actions are float32 from end to end."""
        self.masks.cross.copy_(self.bias.device)
        x = self.noise.device[0]
        for step in range(self.steps):
            x = torch.addcmul(x, self._velocity(x, step), self.step_size)
        self.actions.device[0].copy_(x)

    def _velocity(self, x: Tensor, step: int) -> Tensor:
        narrow = self.kv.dtype
        h = F.linear(x.to(narrow), *self.w.embed).float()
        for i, (weights, modulation) in enumerate(zip(self.w.blocks, self.w.steps[step], strict=True)):
            h = self.pieces.expert_block(h, weights, modulation, self.kv[i], self.masks, self.sizes)
        scale, bias = self.w.final_steps[step]
        return F.linear(F.rms_norm(h, (self.c.hidden_size,), scale, NORM_EPS).to(narrow), self.w.final, bias)
