"""The model's weights as a static call reads them: fused, folded, and of one type.

Takes train's MolmoAct2, gives tuples of tensors, one per block. Fused: q, k and v of the ViT in one matrix, gate and up
in another. Folded, in float32 before it is rounded: all that the flow time decides. The scale of each adaLN is the
norm's weight, its shift the next product's bias, so that a step costs no operation for either. Weights that need
neither share their memory with the model's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from policy_spec.errors import SpecError, sentence
from train.model import MolmoAct2
from train.model.expert import Block, Modulation
from train.model.llm import Layer
from train.model.vit import Attention, positions
from train.model.vit import Block as VitBlock

PIXEL_ALIGN = 8  # half floats per row of a matrix that tensor cores read without a detour


class VitWeights(NamedTuple):
    """One ViT block."""

    norm: Tensor
    norm_bias: Tensor
    qkv: Tensor
    qkv_bias: Tensor
    out: Tensor
    out_bias: Tensor
    ffn_norm: Tensor
    ffn_norm_bias: Tensor
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor


class LayerWeights(NamedTuple):
    """One layer of the language model."""

    attn_norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    qk_norm: Tensor | None  # float32 [heads + kv_heads, d]: of q and of k
    out: Tensor
    ff_norm: Tensor
    up_gate: Tensor
    down: Tensor


class BlockWeights(NamedTuple):
    """One block of the expert: what all steps share."""

    qkv: Tensor
    self_out: Tensor
    self_out_bias: Tensor
    q: Tensor
    cross_out: Tensor
    cross_out_bias: Tensor
    gate_up: Tensor
    down: Tensor
    down_bias: Tensor


class BlockStep(NamedTuple):
    """One block of the expert at one step."""

    self_scale: Tensor  # 1 + scale, float32 [hidden]
    qkv_bias: Tensor  # bias + weight @ shift
    self_gate: Tensor  # float32 [hidden]
    cross_scale: Tensor
    q_bias: Tensor
    cross_gate: Tensor
    mlp_scale: Tensor
    gate_up_bias: Tensor
    mlp_gate: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class VisionWeights:
    """The image encoder and the connector."""

    embed: Tensor  # [hidden, patch bytes, rounded up to PIXEL_ALIGN]
    position: Tensor  # [P, hidden], the patch embedding's bias added
    blocks: tuple[VitWeights, ...]
    pool_q: tuple[Tensor, Tensor]  # weight, bias
    pool_kv: tuple[Tensor, Tensor]
    pool_out: tuple[Tensor, Tensor]
    gate_up: Tensor
    down: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ExpertWeights:
    """The expert over all steps."""

    blocks: tuple[BlockWeights, ...]
    steps: tuple[tuple[BlockStep, ...], ...]  # [steps][blocks]
    embed: tuple[Tensor, Tensor]
    final: Tensor
    final_steps: tuple[tuple[Tensor, Tensor], ...]  # [steps]: 1 + scale in float32, bias
    context_k: Tensor
    context_v: Tensor


def refuse_other_shapes(model: MolmoAct2) -> None:
    """Raises SpecError on switches that no released checkpoint uses; the plain model knows them."""
    c = model.config
    checks = {
        "text_config.norm_after": (c.text.norm_after, False),
        "text_config.qk_norm_type": (c.text.qk_norm_type if c.text.use_qk_norm else "qwen3", "qwen3"),
        "action_expert_config.conditioning": (c.expert.conditioning, "per_layer"),
    }
    for name, (got, expected) in checks.items():
        if got != expected:
            raise SpecError(sentence(f"{name} in the GPU runtime", expected=expected, got=got, do="use train's model"))


def vision_weights(model: MolmoAct2, dtype: torch.dtype) -> VisionWeights:
    """Of the model's vision backbone."""
    backbone = model.model.vision_backbone
    vit, pool, projector = backbone.image_vit, backbone.image_pooling_2d, backbone.image_projector
    weight = _as(vit.patch_embedding.weight, dtype)
    position = positions(vit.positional_embedding.detach(), vit.config.grid).float() + _floats(vit.patch_embedding)[1]
    return VisionWeights(
        embed=F.pad(weight, (0, -weight.shape[1] % PIXEL_ALIGN)),
        position=position.to(dtype),
        blocks=tuple(_vit_block(cast(VitBlock, b), dtype) for b in vit.transformer.resblocks),
        pool_q=_pair(pool.wq, dtype),
        pool_kv=_joined(_repeated(pool, pool.wk), _repeated(pool, pool.wv), dtype=dtype),
        pool_out=_pair(pool.wo, dtype),
        gate_up=_rows(projector.w1, projector.w3, dtype=dtype),
        down=_as(projector.w2.weight, dtype),
    )


def layer_weights(model: MolmoAct2, dtype: torch.dtype) -> tuple[LayerWeights, ...]:
    """Of all layers of the language model."""
    c = model.config.text

    def one(block: Layer) -> LayerWeights:
        attention, scale = block.self_attn, None
        if c.use_qk_norm:
            q, k = (norm.weight.detach().float() for norm in (attention.q_norm, attention.k_norm))
            scale = torch.cat([q.expand(c.num_heads, -1), k.expand(c.num_kv_heads, -1)])
        bias = attention.att_proj.bias
        return LayerWeights(
            attn_norm=_as(block.attn_norm.weight, dtype),
            qkv=_as(attention.att_proj.weight, dtype),
            qkv_bias=None if bias is None else _as(bias, dtype),
            qk_norm=scale,
            out=_as(attention.attn_out.weight, dtype),
            ff_norm=_as(block.ff_norm.weight, dtype),
            up_gate=_as(block.mlp.ff_proj.weight, dtype),
            down=_as(block.mlp.ff_out.weight, dtype),
        )

    return tuple(one(cast(Layer, block)) for block in model.model.transformer.blocks)


def token_table(model: MolmoAct2, dtype: torch.dtype) -> Tensor:
    """[base and additional rows, hidden]: one table, so that no call joins the two."""
    wte = model.model.transformer.wte
    return torch.cat([_as(wte.embedding, dtype), _as(wte.new_embedding, dtype)])


def gate_weights(model: MolmoAct2, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
    """[layers, width] and [layers, 1] of the depth gates; one row where all share it; None where there is none."""
    gate = getattr(model.model, "action_expert_depth_gate", None)
    if gate is None:
        return None
    pairs = [_pair(cast(nn.Linear, one), dtype) for one in (gate if isinstance(gate, nn.ModuleList) else [gate])]
    return torch.cat([weight for weight, _ in pairs]), torch.stack([bias for _, bias in pairs])


def expert_weights(model: MolmoAct2, steps: int, dtype: torch.dtype) -> ExpertWeights:
    """Of the action expert, for t = 0, 1 / steps, ..."""
    expert = model.model.action_expert
    device = expert.action_embed.weight.device
    times = torch.tensor([i / steps for i in range(steps)], dtype=torch.float32, device=device)
    conditioning = expert.time_embed[0](times)
    for part in (expert.time_embed[1], expert.time_embed[2], expert.time_embed[3]):
        conditioning = F.linear(conditioning, *_floats(part)) if isinstance(part, nn.Linear) else part(conditioning)
    folded = [_block(cast(Block, block), conditioning, dtype) for block in expert.blocks]
    shift, scale = _modulations(expert.final_layer.modulation, conditioning)
    final, bias = _floats(expert.final_layer.linear)
    return ExpertWeights(
        blocks=tuple(block for block, _ in folded),
        steps=tuple(tuple(block_steps[i] for _, block_steps in folded) for i in range(steps)),
        embed=_pair(expert.action_embed, dtype),
        final=final.to(dtype),
        final_steps=tuple((1 + s, (bias + final @ h).to(dtype)) for h, s in zip(shift, scale, strict=True)),
        context_k=_as(expert.context_k_proj.weight, dtype),
        context_v=_as(expert.context_v_proj.weight, dtype),
    )


def _vit_block(block: VitBlock, dtype: torch.dtype) -> VitWeights:
    a, f = block.attention, block.feed_forward
    qkv, qkv_bias = _joined(_floats(a.wq), _repeated(a, a.wk), _repeated(a, a.wv), dtype=dtype)
    norms = (block.attention_norm, block.ffn_norm)
    (norm, norm_bias), (ffn_norm, ffn_bias) = ((_as(n.weight, dtype), _as(n.bias, dtype)) for n in norms)
    inner = (*_pair(f.w1, dtype), *_pair(f.w2, dtype))
    return VitWeights(norm, norm_bias, qkv, qkv_bias, *_pair(a.wo, dtype), ffn_norm, ffn_bias, *inner)


def _block(block: Block, conditioning: Tensor, dtype: torch.dtype) -> tuple[BlockWeights, list[BlockStep]]:
    attention, cross, mlp = block.self_attn, block.cross_attn, block.mlp
    gate_up = _joined(_floats(mlp.gate_proj), _floats(mlp.up_proj), dtype=torch.float32)
    shared = BlockWeights(
        _as(attention.qkv.weight, dtype), *_pair(attention.out_proj, dtype), _as(cross.q_proj.weight, dtype),
        *_pair(cross.out_proj, dtype), gate_up[0].to(dtype), *_pair(mlp.down_proj, dtype),
    )  # fmt: skip
    rows = _modulations(block.modulation, conditioning)  # shift, scale, gate of each of the three: [9, steps, hidden]
    products = (_floats(attention.qkv), _floats(cross.q_proj), gate_up)
    made = []
    for i in range(conditioning.shape[0]):
        parts: list[Tensor] = []
        for at, (weight, bias) in enumerate(products):
            shift, scale, gate = (rows[3 * at + part][i] for part in range(3))
            parts += [1 + scale, (bias + weight @ shift).to(dtype), gate]
        made.append(BlockStep(*parts))
    return shared, made


def _modulations(modulation: Modulation, conditioning: Tensor) -> list[Tensor]:
    """chunks of float32 [steps, hidden]."""
    return list(F.linear(F.silu(conditioning), *_floats(modulation.linear)).chunk(modulation.chunks, dim=-1))


def _as(parameter: Tensor, dtype: torch.dtype) -> Tensor:
    """The parameter itself where it is of that type."""
    return parameter.detach().to(dtype)


def _pair(linear: nn.Linear, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return _as(linear.weight, dtype), _as(linear.bias, dtype)


def _floats(linear: nn.Linear) -> tuple[Tensor, Tensor]:
    return _pair(linear, torch.float32)


def _rows(*linears: nn.Linear, dtype: torch.dtype) -> Tensor:
    return torch.cat([_as(linear.weight, dtype) for linear in linears])


def _joined(*pairs: tuple[Tensor, Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Several products of one input as one."""
    weights, biases = zip(*pairs, strict=True)
    return torch.cat(weights).to(dtype), torch.cat(biases).to(dtype)


def _repeated(attention: Attention, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """K or V with a head for each of q's: grouped heads are repeated in the weights, once."""
    weight, bias = _floats(linear)
    group = attention.heads // attention.kv_heads
    weight = weight.unflatten(0, (attention.kv_heads, -1)).repeat_interleave(group, dim=0).flatten(0, 1)
    return weight, bias.unflatten(0, (attention.kv_heads, -1)).repeat_interleave(group, dim=0).flatten()
