"""Every tensor of a checkpoint by its released name: its shape, and the spread of a random one.

Takes a ModelConfig, gives `TensorSpec`s in file order. Needs no torch: the model itself (train/model) states
the same names by its modules, and a test holds the two together. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from policy_spec.config import AdapterConfig, ExpertConfig, ModelConfig, TextConfig, VitConfig

# Spreads as multiples of fan_in ** -0.5. One keeps a layer's output as wide as its input.
UNIT = 1.0
# The prompt and the noise must both be seen in the actions: what crosses from the prompt is doubled, and the
# modulations and the last layer, which training starts at zero, are not zero here.
CROSS, MODULATION, FINAL = 2.0, 0.5, 0.6
BIAS, NORM, EMBEDDING = 0.02, 0.1, 0.5  # absolute
PATCH_SPREAD, POSITION_SPREAD = 0.1, 0.1  # absolute: pixels are -1..1 and 588 of them meet in one patch


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor: normal(mean, std), or the rope frequencies where `theta` is given."""

    name: str
    shape: tuple[int, ...]
    std: float
    mean: float = 0.0
    theta: float | None = None

    @property
    def count(self) -> int:
        """Number of elements."""
        total = 1
        for side in self.shape:
            total *= side
        return total


def released_tensors(config: ModelConfig) -> Iterator[TensorSpec]:
    """All tensors of a checkpoint of this configuration."""
    yield from _text("model.transformer", config.text)
    yield from _vision("model.vision_backbone", config)
    yield from _expert("model.action_expert", config.expert, config.text)
    yield from _gate("model.action_expert_depth_gate", config)
    if not config.text.tie_word_embeddings:
        yield weight("lm_head", config.text.vocab_size, config.text.hidden_size)


def weight(name: str, rows: int, columns: int, gain: float = UNIT) -> TensorSpec:
    """A matrix [out, in], spread by its fan-in."""
    return TensorSpec(f"{name}.weight", (rows, columns), gain * columns**-0.5)


def linear(name: str, rows: int, columns: int, gain: float = UNIT) -> Iterator[TensorSpec]:
    """A matrix and its bias."""
    yield weight(name, rows, columns, gain)
    yield TensorSpec(f"{name}.bias", (rows,), BIAS)


def norm(name: str, width: int) -> TensorSpec:
    """The weight of a norm: close to one."""
    return TensorSpec(f"{name}.weight", (width,), NORM, mean=1.0)


def _text(root: str, c: TextConfig) -> Iterator[TensorSpec]:
    yield TensorSpec(f"{root}.wte.embedding", (c.vocab_size, c.hidden_size), EMBEDDING)
    if c.additional_vocab_size:
        yield TensorSpec(f"{root}.wte.new_embedding", (c.additional_vocab_size, c.hidden_size), EMBEDDING)
    q_width, kv_width = c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim
    for i in range(c.num_layers):
        block = f"{root}.blocks.{i}"
        fused = f"{block}.self_attn.att_proj"
        yield weight(fused, q_width + 2 * kv_width, c.hidden_size)
        if c.qkv_bias:
            yield TensorSpec(f"{fused}.bias", (q_width + 2 * kv_width,), BIAS)
        yield weight(f"{block}.self_attn.attn_out", c.hidden_size, q_width)
        if c.use_qk_norm:
            per_head = c.qk_norm_type == "qwen3"
            yield norm(f"{block}.self_attn.q_norm", c.head_dim if per_head else q_width)
            yield norm(f"{block}.self_attn.k_norm", c.head_dim if per_head else kv_width)
        yield norm(f"{block}.attn_norm", c.hidden_size)
        yield weight(f"{block}.mlp.ff_proj", 2 * c.intermediate_size, c.hidden_size)
        yield weight(f"{block}.mlp.ff_out", c.hidden_size, c.intermediate_size)
        yield norm(f"{block}.ff_norm", c.hidden_size)
    yield norm(f"{root}.ln_f", c.hidden_size)
    yield TensorSpec(f"{root}.rotary_emb.inv_freq", (c.head_dim // 2,), 0.0, theta=c.rope_theta)


def _vision(root: str, config: ModelConfig) -> Iterator[TensorSpec]:
    c, vit = config.vit, f"{root}.image_vit"
    yield TensorSpec(f"{vit}.positional_embedding", (c.num_positions, c.hidden_size), POSITION_SPREAD)
    yield TensorSpec(f"{vit}.patch_embedding.weight", (c.hidden_size, 3 * c.patch_size**2), PATCH_SPREAD)
    yield TensorSpec(f"{vit}.patch_embedding.bias", (c.hidden_size,), BIAS)
    for i in range(config.vit_layers_run):  # blocks after the last tap are not released
        yield from _vit_block(f"{vit}.transformer.resblocks.{i}", c)
    yield from _connector(root, config.adapter, c)


def _vit_block(block: str, c: VitConfig) -> Iterator[TensorSpec]:
    q_width, kv_width = c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim
    for name, width in (("wq", q_width), ("wk", kv_width), ("wv", kv_width)):
        yield from linear(f"{block}.attention.{name}", width, c.hidden_size)
    yield from linear(f"{block}.attention.wo", c.hidden_size, q_width)
    yield from linear(f"{block}.feed_forward.w1", c.intermediate_size, c.hidden_size)
    yield from linear(f"{block}.feed_forward.w2", c.hidden_size, c.intermediate_size)
    for name in ("attention_norm", "ffn_norm"):
        yield norm(f"{block}.{name}", c.hidden_size)
        yield TensorSpec(f"{block}.{name}.bias", (c.hidden_size,), BIAS)


def _connector(root: str, c: AdapterConfig, vit: VitConfig) -> Iterator[TensorSpec]:
    pool, width = f"{root}.image_pooling_2d", vit.hidden_size * len(c.vit_layers)  # the taps, concatenated
    q_width, kv_width = c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim
    for name, rows in (("wq", q_width), ("wk", kv_width), ("wv", kv_width)):
        yield from linear(f"{pool}.{name}", rows, width)
    yield from linear(f"{pool}.wo", c.hidden_size, q_width)
    for name in ("w1", "w3"):
        yield weight(f"{root}.image_projector.{name}", c.intermediate_size, c.hidden_size)
    yield weight(f"{root}.image_projector.w2", c.text_hidden_size, c.intermediate_size)


def _expert(root: str, c: ExpertConfig, text: TextConfig) -> Iterator[TensorSpec]:
    hidden = c.hidden_size
    yield from linear(f"{root}.time_embed.1", hidden, c.timestep_embed_dim)
    yield from linear(f"{root}.time_embed.3", hidden, hidden)
    yield from linear(f"{root}.action_embed", hidden, c.max_action_dim)
    for name in ("context_k_proj", "context_v_proj"):
        yield weight(f"{root}.{name}", *_context_shape(c, text))
    for i in range(c.num_layers):
        block = f"{root}.blocks.{i}"
        yield from linear(f"{block}.self_attn.qkv", 3 * hidden, hidden)
        yield from linear(f"{block}.self_attn.out_proj", hidden, hidden)
        yield from linear(f"{block}.cross_attn.q_proj", hidden, hidden)
        yield from linear(f"{block}.cross_attn.out_proj", hidden, hidden, CROSS)
        yield from linear(f"{block}.mlp.up_proj", c.inner_size, hidden)
        yield from linear(f"{block}.mlp.gate_proj", c.inner_size, hidden)
        yield from linear(f"{block}.mlp.down_proj", hidden, c.inner_size)
        yield from linear(f"{block}.modulation.linear", 9 * hidden, hidden, MODULATION)
    yield from linear(f"{root}.final_layer.modulation.linear", 2 * hidden, hidden, MODULATION)
    yield from linear(f"{root}.final_layer.linear", c.max_action_dim, hidden, FINAL)


def _context_shape(c: ExpertConfig, text: TextConfig) -> tuple[int, int]:
    """Rows and columns of the projection of K, and of V."""
    if c.conditioning == "per_head":
        return c.head_dim, text.head_dim
    return c.hidden_size, text.hidden_size if c.conditioning == "hidden_state" else text.num_kv_heads * text.head_dim


def _gate(root: str, config: ModelConfig) -> Iterator[TensorSpec]:
    kv_width = config.text.num_kv_heads * config.text.head_dim
    if config.depth_gate == "shared":
        yield from linear(root, 1, kv_width)
    elif config.depth_gate == "per_layer":
        for i in range(config.expert.num_layers):
            yield from linear(f"{root}.{i}", 1, kv_width)
