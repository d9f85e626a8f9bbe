"""Strict loading: every tensor that is missing, extra or misshapen is named; damage is told from absence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from policy_spec.config import ModelConfig
from policy_spec.errors import CheckpointError, TensorError
from train.checkpoint import INDEX, RECOMPUTED, Checkpoint, expected_shapes, load_model
from train.released_names import released_tensors

NORM = "model.transformer.ln_f.weight"
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    return tmp_path / "copy"


def rewrite(folder: Path, change: Callable[[Tensors], None]) -> None:
    """Changes the tensors of the shard that holds the last norm, and the index with it."""
    index = json.loads((folder / INDEX).read_text())
    shard = index["weight_map"][NORM]
    tensors = load_file(str(folder / shard))
    change(tensors)
    save_file(tensors, str(folder / shard))
    names = {n: s for n, s in index["weight_map"].items() if s != shard}
    index["weight_map"] = names | dict.fromkeys(tensors, shard)
    (folder / INDEX).write_text(json.dumps(index))


def test_the_released_format_loads(tiny_checkpoint: Path) -> None:
    model = load_model(tiny_checkpoint)
    checkpoint = Checkpoint(tiny_checkpoint)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, checkpoint.tensor(name))
        assert parameter.dtype == torch.float32 and not parameter.requires_grad


def test_every_bad_tensor_is_named(copy: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors["model.transformer.made_up.weight"] = torch.zeros(3)
        tensors[NORM] = torch.zeros(5)

    rewrite(copy, change)
    with pytest.raises(TensorError) as caught:
        Checkpoint(copy).check()
    text = str(caught.value)
    assert "1 tensors not part of this model: model.transformer.made_up.weight" in text
    assert NORM in text and "(expected (64,), got (5,))" in text


def test_ten_names_are_shown_of_many(copy: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors.update({f"made_up_{i:02d}": torch.zeros(1) for i in range(11)})

    rewrite(copy, change)
    with pytest.raises(
        TensorError, match=r"11 tensors not part of this model: made_up_00, .*made_up_09 \.\.\."
    ) as caught:
        Checkpoint(copy).check()
    assert "made_up_10" not in str(caught.value)


def test_a_missing_tensor_is_named(copy: Path) -> None:
    def drop(tensors: Tensors) -> None:
        del tensors[NORM]

    rewrite(copy, drop)
    with pytest.raises(TensorError, match=f"1 tensors missing: {NORM}"):
        load_model(copy)


def test_a_tensor_that_its_shard_lacks(copy: Path) -> None:
    index = json.loads((copy / INDEX).read_text())
    other = next(s for s in index["weight_map"].values() if s != index["weight_map"][NORM])
    index["weight_map"][NORM] = other
    (copy / INDEX).write_text(json.dumps(index))
    with pytest.raises(TensorError, match=f"{NORM} is not in its shard"):
        Checkpoint(copy).check()


@pytest.mark.parametrize("keep", [0, 100, 50_000])
def test_a_truncated_shard(copy: Path, keep: int) -> None:
    shard = copy / Checkpoint(copy).shards[NORM]
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=rf"shard {shard.name} cannot be read.*download it again"):
        load_model(copy)


def test_a_missing_shard(copy: Path) -> None:
    shard = copy / Checkpoint(copy).shards[NORM]
    shard.unlink()
    with pytest.raises(CheckpointError, match=f"shard {shard.name} is missing"):
        Checkpoint(copy)


def test_bf16_is_read_as_float32_and_inv_freq_is_recomputed(copy: Path, tiny_checkpoint: Path) -> None:
    name = "model.transformer.rotary_emb.inv_freq"

    def halve(tensors: Tensors) -> None:
        for key in tensors:
            tensors[key] = tensors[key].bfloat16()
        tensors[name] = torch.full((8,), 3.0)  # would wreck every position if it were loaded

    rewrite(copy, halve)
    model = load_model(copy)
    exact = load_model(tiny_checkpoint)
    assert model.model.transformer.ln_f.weight.dtype == torch.float32
    ids = torch.arange(12)[None]
    none = torch.zeros(0, 64)
    got, expected = (m.llm(ids, none, torch.zeros(1, 12))[0] for m in (model, exact))
    assert torch.allclose(got, expected, atol=0.1)


def set_key(folder: Path, section: str, key: str, value: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    part = config[section] if section else config
    if value is ...:
        del part[key]
    else:
        part[key] = value
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("section", "key", "value", "text"),
    [
        ("text_config", "hidden_size", ..., "text_config.hidden_size is missing"),
        ("text_config", "hidden_size", None, "text_config.hidden_size is missing"),
        ("text_config", "use_qk_norm", None, "text_config.use_qk_norm is missing"),
        ("text_config", "layer_norm_eps", None, "text_config.layer_norm_eps is missing"),
        ("text_config", "hidden_size", "64", "text_config.hidden_size has the wrong type"),
        ("text_config", "num_hidden_layers", 0, "positive integer"),
        ("text_config", "rope_theta", ..., "text_config.rope_theta is missing"),
        ("vit_config", "hidden_act", "relu", "vit_config.hidden_act is not supported"),
        ("", "model_type", "molmo2", "config.model_type is not supported"),
        ("adapter_config", "vit_layers", [-30], "indices of the"),
        ("action_expert_config", "num_layers", 3, "one block for each"),
    ],
)
def test_a_configuration_that_cannot_be_built(copy: Path, section: str, key: str, value: object, text: str) -> None:
    set_key(copy, section, key, value)
    with pytest.raises(CheckpointError, match=text):
        Checkpoint(copy)


@pytest.mark.parametrize(("key", "default"), [("mask_action_dim_padding", True), ("num_depth_codes", 0)])
def test_a_null_says_as_little_as_an_absent_key(copy: Path, key: str, default: object) -> None:
    for value in (None, ...):
        set_key(copy, "", key, value)
        assert getattr(Checkpoint(copy).config, key) == default


def test_a_seeded_checkpoint_has_the_model_s_own_names(tiny_checkpoint: Path) -> None:
    """train.released_names needs no torch, so it says by itself what the model's modules say."""
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    switches = [
        {},
        {"qkv_bias": True, "qk_norm_type": "olmo", "tie_word_embeddings": True},
        {"use_qk_norm": False, "num_key_value_heads": 4},
    ]
    for gate in ({}, {"action_expert_depth_gate": True}, {"action_expert_depth_gate_per_layer": True}):
        for text in switches:
            gated = {"action_expert_depth_gate": bool(gate), **gate}
            changed = ModelConfig.from_dict({**config, **gated, "text_config": {**config["text_config"], **text}})
            written = {t.name: t.shape for t in released_tensors(changed) if not t.name.endswith(RECOMPUTED)}
            assert written == expected_shapes(changed)


@pytest.mark.parametrize(("kind", "shown"), [(torch.int8, "I8"), (torch.float8_e4m3fn, "F8_E4M3")])
def test_a_quantized_checkpoint_is_refused(copy: Path, kind: torch.dtype, shown: str) -> None:
    """Its integers would be taken for weights."""

    def change(tensors: Tensors) -> None:
        tensors[NORM] = tensors[NORM].to(kind)

    rewrite(copy, change)
    with pytest.raises(TensorError, match=rf"1 tensors are not in full precision.*{NORM} \({shown}\)"):
        Checkpoint(copy).check()


def test_rows_are_read_alone(tiny_checkpoint: Path) -> None:
    checkpoint, name = Checkpoint(tiny_checkpoint), "model.transformer.blocks.0.mlp.ff_proj.weight"
    assert torch.equal(checkpoint.rows(name, 3, 7), checkpoint.tensor(name)[3:7])
    assert checkpoint.rows(name, 3, 7).dtype == torch.float32


def test_json_that_is_none(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json is not JSON"):
        Checkpoint(copy)
