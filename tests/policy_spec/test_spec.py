"""What is read of a checkpoint, and what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from policy_spec.errors import BundleError, CheckpointError, PromptError, SpecError
from policy_spec.graphs import GRAPHS, graph_specs, kv_names
from policy_spec.prompt import Tokenizer
from policy_spec.spec import SAMPLE_TASK, PolicySpec
from tests.policy_spec import tiny


def test_everything_comes_from_the_files(spec: PolicySpec) -> None:
    assert (spec.image_size, spec.patch_size, spec.grid, spec.tokens_per_image) == ((42, 42), 14, (3, 3), 4)
    assert spec.token_ids["bos"] == spec.token_ids["eos"] == tiny.token("<|im_end|>")
    assert spec.token_ids["state_0"] == tiny.token("<state_0>")
    assert spec.discrete_span == (tiny.token("<action_start>"), tiny.token("<action_end>"))
    assert tiny.token("<im_col>") in spec.image_ids and tiny.token("<|im_end|>") not in spec.image_ids
    assert (spec.flow_steps, spec.max_horizon) == (3, 6)
    assert "image_attention" not in spec.to_json()  # a choice of the export: the manifest alone says it


def test_json_is_lossless(spec: PolicySpec) -> None:
    again = PolicySpec.from_json(spec.to_json())
    assert again == spec and again.to_json() == spec.to_json()
    data = json.loads(spec.to_json())
    data["tags"]["arm"]["state"]["first"][0] += 1e-3
    assert PolicySpec.from_json(json.dumps(data)) != spec


@pytest.mark.parametrize("change", [{"format": 99}, {"pool": None}, {"strange": 1}])
def test_a_damaged_spec_is_refused(spec: PolicySpec, change: dict[str, Any]) -> None:
    data = {**json.loads(spec.to_json()), **change}
    with pytest.raises(BundleError, match=r"spec\.json"):
        PolicySpec.from_json(json.dumps(data))
    with pytest.raises(BundleError, match=r"spec\.json"):
        PolicySpec.from_json(spec.to_json()[:-40])


@pytest.mark.parametrize(
    "key",
    ["eos_token_id", "pad_token_id", "image_patch_id", "state_token_start_id", "action_start_token_id"],
)
def test_ids_that_disagree_with_the_tokenizer_are_refused_naming_both(tmp_path: Path, key: str) -> None:
    wrong = tiny.config()[key] + 1
    with pytest.raises(CheckpointError, match=rf"{key} = {wrong}; got: {wrong - 1} in tokenizer\.json"):
        PolicySpec.from_checkpoint(tiny.checkpoint(tmp_path, **{key: wrong}))


def test_a_broken_run_of_tokens_is_refused(tmp_path: Path) -> None:
    root = tiny.checkpoint(tmp_path)
    names = list(tiny.NAMES)
    i, j = names.index("<state_200>"), names.index("<state_201>")
    names[i], names[j] = names[j], names[i]
    tiny.write_tokenizer(root / "tokenizer.json", names)
    with pytest.raises(CheckpointError, match="<state_200>"):
        PolicySpec.from_checkpoint(root)


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(tmp_path: Path) -> None:
    config = tiny.config()
    config["text_config"]["vocab_size"] = 300
    with pytest.raises(CheckpointError, match="below 300"):
        PolicySpec.from_checkpoint(tiny.checkpoint(tmp_path, config=config))


def test_missing_tokens_are_refused(tmp_path: Path) -> None:
    config = tiny.config()
    del config["image_patch_id"]
    root = tiny.checkpoint(tmp_path, config=config)
    tiny.write_tokenizer(root / "tokenizer.json", [n.replace("<im_patch>", "<im_other>") for n in tiny.NAMES])
    with pytest.raises(CheckpointError, match="im_patch"):
        PolicySpec.from_checkpoint(root)


def test_a_model_that_could_not_find_its_pictures_is_refused(tmp_path: Path) -> None:
    config = tiny.config()
    del config["image_patch_id"]
    with pytest.raises(CheckpointError, match=r"image_patch_id is missing; expected: \d+, the id of <im_patch>"):
        PolicySpec.from_checkpoint(tiny.checkpoint(tmp_path, config=config))


def test_without_an_eos_in_config_json_nothing_is_hidden_by_it(tmp_path: Path) -> None:
    config = tiny.config()
    del config["eos_token_id"]
    spec = PolicySpec.from_checkpoint(tiny.checkpoint(tmp_path, config=config))
    assert "eos" not in spec.token_ids and "bos" in spec.token_ids


def test_bos_may_be_written_out_with_its_flags(tmp_path: Path) -> None:
    words = {"bos_token": {"content": "<|im_start|>", "special": True}, "pad_token": "<|endoftext|>"}
    spec = PolicySpec.from_checkpoint(tiny.checkpoint(tmp_path, tokenizer_config=words))
    assert spec.token_ids["bos"] == tiny.token("<|im_start|>")


def test_the_older_layout_of_the_processor_is_read(tmp_path: Path, spec: PolicySpec) -> None:
    root = tiny.checkpoint(tmp_path)
    whole = tiny.processor()
    (root / "preprocessor_config.json").write_text(json.dumps(whole.pop("image_processor")))
    (root / "processor_config.json").write_text(json.dumps(whole))
    assert PolicySpec.from_checkpoint(root) == spec
    (root / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json is missing"):
        PolicySpec.from_checkpoint(root)


def test_columns_follow_the_general_flag_where_the_special_one_is_silent(tmp_path: Path) -> None:
    flags = {**tiny.processor(), "use_single_crop_col_tokens": None}
    spec = PolicySpec.from_checkpoint(tiny.checkpoint(tmp_path, processor_config=flags))
    assert spec.flags.image_text.count("<im_col>") == 2


@pytest.mark.parametrize(("key", "value"), [("patch_size", 7), ("size", {"height": 42, "width": 28})])
def test_sizes_on_which_the_files_disagree_are_refused(tmp_path: Path, key: str, value: Any) -> None:
    flags = tiny.processor()
    flags["image_processor"][key] = value
    with pytest.raises(CheckpointError, match=r"disagree on (patch|image) size"):
        PolicySpec.from_checkpoint(tiny.checkpoint(tmp_path, processor_config=flags))


@pytest.mark.parametrize("name", ["config", "norm_stats", "tokenizer_config", "processor_config", "tokenizer"])
def test_missing_and_broken_files_are_named(tmp_path: Path, name: str) -> None:
    file = tiny.checkpoint(tmp_path) / f"{name}.json"
    file.write_text("[1, 2]" if name == "config" else "{")
    with pytest.raises(CheckpointError, match=rf"{name}\.json"):
        PolicySpec.from_checkpoint(tmp_path)
    file.unlink()
    with pytest.raises(CheckpointError, match=rf"{name}\.json"):
        PolicySpec.from_checkpoint(tmp_path)


def test_the_bracket_holds_the_longest_empty_prompt_and_a_task(spec: PolicySpec, tokenizer: Tokenizer) -> None:
    one, two = spec.bracket(tokenizer, 1), spec.bracket(tokenizer, 2)
    assert 190 <= len(SAMPLE_TASK) <= 210
    assert one % 16 == two % 16 == 0 and two > one > len(SAMPLE_TASK)
    assert spec.bracket(tokenizer, 1, prompt_tokens=one + 1) == one + 16
    with pytest.raises(PromptError, match="an empty task"):
        spec.bracket(tokenizer, 1, prompt_tokens=32)
    with pytest.raises(PromptError, match="1024"):
        spec.bracket(tokenizer, 200)


def test_another_checkpoints_tokenizer_is_refused(spec: PolicySpec, tmp_path: Path) -> None:
    tiny.write_tokenizer(tmp_path / "tokenizer.json", ["<extra>", *tiny.NAMES])
    with pytest.raises(SpecError, match="<im_patch>"):
        spec.tokenizer(tmp_path / "tokenizer.json")


def test_the_graphs_as_data(spec: PolicySpec) -> None:
    graphs = graph_specs(spec, cameras=2, bracket=64, horizon=6)
    assert tuple(graphs) == GRAPHS
    assert [t.name for t in graphs["llm"].outputs] == ["k_00", "v_00", "k_01", "v_01"] == list(kv_names(2))
    assert graphs["llm"].outputs[0].shape == (1, 2, 4, 64) and graphs["llm"].outputs[1].shape == (1, 2, 64, 4)
    assert graphs["flow"].inputs[-4:] == graphs["llm"].outputs
    assert graphs["vision"].outputs[0] == graphs["llm"].inputs[-1]
    assert graphs["vision"].inputs[0].nbytes == 2 * 9 * 588
    assert graphs["flow"].outputs[0].nbytes == 6 * 8 * 4
