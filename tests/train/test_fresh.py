"""First values: near numbers are near words, neighbouring patches are neighbours, nothing else is touched."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from train.learn.fresh import first_tensor
from train.recipe.config import Run, Start
from train.trainer.files import template_of

WORDS = "model.transformer.wte.embedding"
POSITIONS = "model.vision_backbone.image_vit.positional_embedding"


def first(name: str, shape: tuple[int, ...], **changed: object) -> torch.Tensor:
    template = template_of(Start(preset="sim"), Run(), 0)
    return first_tensor(name, shape, template.model, template.config | changed, 0)


def test_near_state_bins_begin_near() -> None:
    config = template_of(Start(preset="sim"), Run(), 0).config
    start, count = config["state_token_start_id"], config["num_state_tokens"]
    shape = (config["text_config"]["vocab_size"], config["text_config"]["hidden_size"])
    table = first(WORDS, shape)
    bins = table[start : start + count]
    like = F.cosine_similarity(bins[100], bins, dim=-1)
    assert like[101] > 0.9 and like[101] > like[104] > like[116] and like[250] < 0.5
    random = first(WORDS, shape, num_state_tokens=0)  # the control: without bins all words are drawn
    others = torch.ones(len(table), dtype=torch.bool)
    others[start : start + count] = False
    assert torch.equal(table[others], random[others]) and not torch.equal(bins, random[start : start + count])
    assert F.cosine_similarity(random[start + 100], random[start + 101], dim=0) < 0.5
    assert abs(float(bins.square().mean().sqrt() / random.square().mean().sqrt()) - 1.0) < 0.05  # as large as words


def test_neighbouring_patches_begin_near() -> None:
    table = first(POSITIONS, (100, 128))
    like = F.cosine_similarity(table[44], table, dim=-1)  # row 4, column 4 of 10 by 10
    assert like[44] > like[45] > like[47] and like[44] > like[54] > like[74]
