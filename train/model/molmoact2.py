"""The whole model: images, tokens and noise in, a normalised action chunk out. Readable first; export makes it fast."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policy_spec.config import ModelConfig
from train.model.connector import VisionBackbone
from train.model.expert import KV, ActionExpert, Masks
from train.model.gate import apply_gates, depth_token_ids, gates
from train.model.llm import Transformer, attention_bias


class Body(nn.Module):
    """The parts under their released prefix, `model.`."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.transformer = Transformer(c.text)
        self.vision_backbone = VisionBackbone(c)
        self.action_expert = ActionExpert(c.expert, c.text)
        kv_width = c.text.num_kv_heads * c.text.head_dim
        if c.depth_gate == "per_layer":
            self.action_expert_depth_gate: nn.Module = nn.ModuleList(
                nn.Linear(kv_width, 1) for _ in range(c.expert.num_layers)
            )
        elif c.depth_gate == "shared":
            self.action_expert_depth_gate = nn.Linear(kv_width, 1)


class MolmoAct2(nn.Module):
    """`vision`, `llm`, `context`, `velocity` and `sample` are the stages that the exported graphs are compared with."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Body(config)
        if not config.text.tie_word_embeddings:
            self.lm_head = nn.Linear(config.text.hidden_size, config.text.vocab_size, bias=False)

    def vision(self, patches: Tensor, pooling: Tensor) -> Tensor:
        """uint8 patches [N, P, 3 * patch^2], pooling int64 [T, window] -> features [N * T, hidden]."""
        return self.model.vision_backbone(patches, pooling)

    def embed(self, input_ids: Tensor, features: Tensor) -> Tensor:
        """Token embeddings [B, S, hidden], with each image feature added at its <im_patch>."""
        x = self.model.transformer.wte(input_ids)
        places = (input_ids == self.config.token_ids["image_patch_id"]).nonzero(as_tuple=True)
        return x.index_put(places, features.to(x.dtype), accumulate=True)

    def llm(self, input_ids: Tensor, features: Tensor, token_type: Tensor) -> tuple[Tensor, KV]:
        """Last hidden state [B, S, hidden], and what the expert is conditioned on: each layer's k, v [B, kv_heads, S,
        d], or the state itself as one head. token_type [B, S], all 0: purely causal.
        """
        hidden, kv = self.model.transformer(self.embed(input_ids, features), attention_bias(token_type))
        if self.config.expert.conditioning == "hidden_state":
            return hidden, [(hidden[:, None], hidden[:, None])]
        return hidden, kv

    def context(self, kv: KV, input_ids: Tensor, visible: Tensor) -> KV:
        """The expert's k and v of each layer, depth gate applied where the checkpoint has one."""
        gate = getattr(self.model, "action_expert_depth_gate", None)
        if gate is not None:
            depth = torch.isin(input_ids, depth_token_ids(self.config, input_ids.device)) & visible
            kv = apply_gates(kv, gates(gate, kv, visible, depth), depth)
        return self.model.action_expert.context(kv)

    def velocity(self, x: Tensor, t: Tensor, context: KV, masks: Masks) -> Tensor:
        """Velocity [B * K, H, A] at flow times t [B * K]; the K chunks of one row of the context stand together."""
        return self.model.action_expert(x, t, context, masks)

    def sample(
        self,
        noise: Tensor,
        context: KV,
        visible: Tensor,
        action_dim: int,
    ) -> Tensor:
        """Euler steps from noise [1, H, A] at t = 0 to the normalised chunk at t = 1; padded dims stay 0.

        visible: bool [1, S], the prompt positions that the expert may see.
        """
        steps = self.config.flow_steps
        mask = torch.ones(noise.shape[-1])
        if self.config.mask_action_dim_padding:
            mask[action_dim:] = 0.0
        masks = Masks(noise.shape[1], self.config.expert, visible, None)
        x = noise * mask
        for i in range(steps):
            t = torch.full((x.shape[0],), i / steps)
            x = (x + self.velocity(x, t, context, masks) * mask * (1.0 / steps)) * mask
        return x
