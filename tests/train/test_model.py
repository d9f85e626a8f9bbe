"""The plain model, part by part, against what other rooms say of the same thing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from policy_spec.compare import max_abs
from policy_spec.masks import IMAGE_ATTENTION, prompt_mask
from train.model.attention import attend
from train.model.gate import apply_gates, gates
from train.model.llm import attention_bias
from train.model.vit import positions

TYPES = np.array([0, 1, 1, 0, 1, 0], dtype=bool)


@pytest.mark.parametrize("switch", IMAGE_ATTENTION)
def test_the_language_model_s_mask_is_the_one_in_words(switch: str) -> None:
    types = TYPES if switch == "bidirectional" else np.zeros_like(TYPES)
    bias = attention_bias(torch.from_numpy(types.astype(np.float32))[None])
    assert np.array_equal(bias[0, 0].numpy() == 0, prompt_mask(TYPES, switch))


@pytest.mark.parametrize("grid", [(5, 5), (4, 9), (11, 11), (20, 16)])
def test_positions_are_resampled_as_pillow_resamples(grid: tuple[int, int]) -> None:
    """Pillow's bicubic filter is antialiased, as the released one is; without it a smaller grid differs by tenths."""
    table = torch.randn(81, 3, generator=torch.Generator().manual_seed(1))
    planes = table.numpy().reshape(9, 9, 3)
    expected = [
        np.asarray(Image.fromarray(planes[..., i]).resize(grid[::-1], Image.Resampling.BICUBIC)) for i in range(3)
    ]
    got = positions(table, grid).numpy().reshape(*grid, 3)
    assert max_abs(got, np.stack(expected, axis=-1)) < 1e-5
    assert positions(table, (9, 9)) is table


def kv(layers: int = 2) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """k and v [1, 2, 4, 3] of each layer."""
    draw = torch.Generator().manual_seed(0)
    return [tuple(torch.randn(1, 2, 4, 3, generator=draw) for _ in "kv") for _ in range(layers)]  # type: ignore[misc]


def test_a_gate_is_pooled_over_what_is_seen_and_is_not_depth() -> None:
    head, context = torch.nn.Linear(6, 1), kv()
    visible = torch.tensor([[True, True, False, True]])
    depth = torch.tensor([[False, False, False, True]])
    flat = context[-1][1].transpose(1, 2).flatten(2)
    got = gates(head, context, visible, depth)
    assert len(got) == 2 and torch.equal(got[0], got[1])  # one shared gate, of the last layer's V
    assert torch.allclose(got[0], torch.sigmoid(head(flat[:, :2].mean(1))))
    everything = gates(head, context, visible, visible)  # nothing but depth is seen: then depth is pooled
    assert torch.allclose(everything[0], torch.sigmoid(head(flat[:, [0, 1, 3]].mean(1))))


def test_only_depth_tokens_are_scaled() -> None:
    context, depth = kv(1), torch.tensor([[False, False, True, False]])
    ((k, v),) = apply_gates(context, [torch.tensor([[0.25]])], depth)
    for got, plain in ((k, context[0][0]), (v, context[0][1])):
        assert torch.equal(got[:, :, 2], 0.25 * plain[:, :, 2])
        assert torch.equal(got[:, :, :2], plain[:, :, :2]) and torch.equal(got[:, :, 3], plain[:, :, 3])


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_a_row_of_which_everything_is_hidden_is_still_a_number(half: torch.dtype) -> None:
    """A row of text has no chunk: all its steps are hidden. The mask's own lowest number is -inf in half floats."""
    q, k, v = torch.randn(3, 2, 1, 4, 8).to(half).unbind()
    hidden = torch.full((2, 1, 1, 4), torch.finfo(torch.float32).min)
    assert torch.isfinite(attend(q, k, v, hidden)).all()
    straight = (q @ k.transpose(-1, -2) + hidden.to(half)).softmax(-1) @ v
    assert straight.isnan().all()
