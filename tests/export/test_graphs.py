"""What the exported graphs hold and do not hold; that graphs of every configuration agree with the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from export.build import Built, GraphOptions, build_graphs
from export.emit import ISLAND, OPERATORS, OPSET
from export.verify import TOLERANCE_ACTION
from policy_spec.errors import CheckpointError, TensorError
from policy_spec.graphs import GRAPHS, graph_specs
from tests.checkpoints import Change, variant

# Rejected by TensorRT, or known there only in newer versions (docs/sources.md).
REFUSED = {"NonZero", "DynamicQuantizeLinear", "MatMulInteger", "Gemm", "Attention", "RMSNormalization", "Loop"}


def graph_of(built: Built, name: str) -> onnx.GraphProto:
    model: onnx.ModelProto = onnx.load(built.folder / f"{name}.onnx", load_external_data=False)
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": OPSET}
    return model.graph


@pytest.mark.parametrize("name", GRAPHS)
def test_only_operators_of_the_table(built: Built, name: str) -> None:
    used = {node.op_type for node in graph_of(built, name).node}
    assert used <= OPERATORS, used - OPERATORS
    assert not REFUSED & OPERATORS


def test_every_operator_of_the_table_is_used(built: Built, thinking: Path) -> None:
    """A row that no graph uses has been accepted by nobody."""
    used = {node.op_type for name in GRAPHS for node in graph_of(built, name).node}
    cached = onnx.load(thinking / "llm.onnx", load_external_data=False).graph
    assert used | {node.op_type for node in cached.node} == OPERATORS
    assert used < OPERATORS


@pytest.mark.parametrize("name", GRAPHS)
def test_the_contract_of_inputs_and_outputs(built: Built, name: str) -> None:
    graph, sizes = graph_of(built, name), built.sizes
    spec = graph_specs(built.spec, sizes.cameras, sizes.bracket, sizes.horizon)[name]

    def shapes(values: object) -> dict[str, tuple[int, ...]]:
        return {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}  # type: ignore[attr-defined]

    assert shapes(graph.input) == {t.name: t.shape for t in spec.inputs}
    assert shapes(graph.output) == {t.name: t.shape for t in spec.outputs}
    onnx.checker.check_model(built.folder / f"{name}.onnx", full_check=True)


def test_what_is_folded_or_left_out(built: Built) -> None:
    llm = {t.name for t in graph_of(built, "llm").initializer}
    last = built.config.text.num_layers - 1
    assert "model.transformer.wte.merged" in llm
    assert not any("lm_head" in n or "ln_f" in n or n.endswith("wte.embedding") for n in llm)
    assert not any(f"blocks.{last}.mlp" in n or f"blocks.{last}.self_attn.attn_out" in n for n in llm)
    assert f"model.transformer.blocks.{last - 1}.mlp.ff_out.weight" in llm
    parts = [n for n in llm if f"blocks.{last}.self_attn.att_proj" in n]
    assert sorted(parts) == [f"model.transformer.blocks.{last}.self_attn.att_proj.{p}.weight" for p in "kv"]
    flow = {t.name for t in graph_of(built, "flow").initializer}
    assert not any("time_embed" in n or "modulation.linear" in n or "context_" in n for n in flow)
    assert "model.action_expert.blocks.0.modulation.table" in flow


@pytest.mark.parametrize("name", GRAPHS)
def test_float32_islands_are_named(built: Built, name: str) -> None:
    islands: dict[str, set[str]] = {}
    for node in graph_of(built, name).node:
        for entry in node.metadata_props:
            if entry.key == ISLAND:
                islands.setdefault(entry.value, set()).add(node.op_type)
    assert "Softmax" in islands["softmax"] | islands.get("pooling_attention", set())
    for node in graph_of(built, name).node:
        if node.op_type in ("Softmax", "Pow", "Sqrt", "ReduceMean"):
            assert any(entry.key == ISLAND for entry in node.metadata_props), node.name


def small(text: dict[str, object] | None = None, **sections: dict[str, object]) -> Change:
    """Changes keys of sections of config.json; the section `config` is the top."""

    def change(config: dict[str, dict[str, object]]) -> None:
        for name, values in {"text_config": text or {}, **sections}.items():
            (config if name == "config" else config[name]).update(values)  # type: ignore[arg-type]

    return change


VARIANTS: dict[str, Change] = {
    "norms after, biased projections": small({"norm_after": True, "qkv_bias": True}),
    "no qk-norm anywhere": small({"use_qk_norm": False}, action_expert_config={"qk_norm": False}),
    "qk-norm over the whole projection": small({"qk_norm_type": "olmo"}),
    "as many key heads as heads": small({"num_key_value_heads": 4}),
    "expert without rope, causal": small(action_expert_config={"rope": False, "causal_attn": True}),
    "expert context not normed": small(action_expert_config={"context_layer_norm": False}),
    "grouped keys in the vit": small(vit_config={"num_key_value_heads": 2, "hidden_act": "quick_gelu"}),
    "grouped keys in the pooling": small(adapter_config={"num_key_value_heads": 2, "pooling_attention_mask": False}),
    "padding seen by the pooling": small(adapter_config={"attn_implementation": "eager"}),
    "no added vocabulary": small({"vocab_size": 2880, "additional_vocab_size": 0}),
    "one tap": small(adapter_config={"vit_layers": [-2]}, vit_config={"hidden_act": "silu"}),
    "other constants": small(
        {"rope_theta": 1e4, "layer_norm_eps": 0.1},
        vit_config={"layer_norm_eps": 0.1},
        action_expert_config={"qk_norm_eps": 0.1},
        config={"flow_matching_num_steps": 7, "max_action_dim": 20},
    ),
    "odd widths": small(
        {"intermediate_size": 120}, action_expert_config={"ffn_multiple_of": 24, "timestep_embed_dim": 33}
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_other_shapes_and_switches(tiny_checkpoint: Path, tmp_path: Path, name: str) -> None:
    """Everything is read from the configuration: graphs of other configurations agree with the model too."""
    checkpoint = variant(tiny_checkpoint, tmp_path / "checkpoint", VARIANTS[name])
    built = build_graphs(checkpoint, tmp_path / "graphs", GraphOptions(cameras=1), lambda *_: None)
    assert all(row.ok for row in built.rows)


@pytest.mark.parametrize(("side", "positions"), [(140, 100), (154, 729), (70, 25)])
def test_other_image_sizes(tiny_checkpoint: Path, tmp_path: Path, side: int, positions: int) -> None:
    """An even grid, one whose positions are resampled, an odd one that the pooling pads."""

    def picture(processor: dict[str, dict[str, object]]) -> None:
        processor["image_processor"]["size"] = {"height": side, "width": side}

    sizes = small(vit_config={"image_default_input_size": [side, side], "image_num_pos": positions})
    checkpoint = variant(tiny_checkpoint, tmp_path / "checkpoint", sizes, picture)
    built = build_graphs(checkpoint, tmp_path / "graphs", GraphOptions(cameras=3), lambda *_: None)
    assert all(row.ok for row in built.rows)
    assert built.sizes.cameras == 3


def test_a_checkpoint_without_continuous_actions_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = variant(tiny_checkpoint, tmp_path / "checkpoint", small(config={"action_mode": "discrete"}))
    with pytest.raises(
        CheckpointError,
        match="--mode continuous; expected: action_mode continuous or both; got: it predicts discrete actions only",
    ):
        build_graphs(checkpoint, tmp_path / "graphs", GraphOptions(), lambda *_: None)
    assert not (tmp_path / "graphs").exists()


def test_a_checkpoint_with_a_tensor_too_many_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Before anything is written: it would be left out without a word."""
    checkpoint = variant(tiny_checkpoint, tmp_path / "checkpoint", small())
    tensors = load_file(checkpoint / "model.safetensors")
    tensors["model.transformer.made_up.weight"] = torch.zeros(3)
    save_file(tensors, checkpoint / "model.safetensors")
    with pytest.raises(TensorError, match=r"1 tensors not part of this model: model\.transformer\.made_up\.weight"):
        build_graphs(checkpoint, tmp_path / "graphs", GraphOptions(), lambda *_: None)
    assert not (tmp_path / "graphs").exists()


def test_causal_image_attention_is_a_switch(tiny_checkpoint: Path, built: Built, tmp_path: Path) -> None:
    options = GraphOptions(image_attention="causal")
    causal = build_graphs(tiny_checkpoint, tmp_path / "graphs", options, lambda *_: None)
    assert all(row.ok for row in causal.rows)
    moved = np.abs(causal.reference.prediction.normalized - built.reference.prediction.normalized).max()
    assert moved > 10 * TOLERANCE_ACTION
