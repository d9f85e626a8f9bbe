"""The graphs of think and discrete bundles as data: rooms, heads, names; and manifests and specs of before them."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest

from policy_spec.errors import BundleError, SpecError
from policy_spec.graphs import (
    DYNAMIC,
    GRAPHS,
    HEADS,
    MODES,
    Variant,
    cache_names,
    graph_specs,
    graphs_of,
    head_rows,
    head_size,
    variant_of,
)
from policy_spec.manifest import FORMAT, Manifest
from policy_spec.spec import PolicySpec
from tests.policy_spec.test_bundle import manifest_of


@pytest.fixture
def whole(spec: PolicySpec) -> PolicySpec:
    """Sizes and ids of a release: 100 codes of 128 values, 2048 FAST tokens."""
    ids = {**spec.token_ids, "depth_0": 500, "action_start": 20, "action_end": 30, "eos": 7, "action_0": 1000}
    sizes = {"depth_codes": 100, "depth_tokens": 128, "action_tokens": 2048, "head_rows": 4000}
    return dataclasses.replace(spec, token_ids=ids, kv_heads=2, head_dim=4, **sizes)


def test_room_for_new_tokens(whole: PolicySpec) -> None:
    assert variant_of(whole, "continuous", "", 30) == Variant()
    for most, room in ((30, 131), (8, 109), (3, 109)):  # at least 8 after the codes, as released
        spec = dataclasses.replace(whole, max_horizon=most)
        assert variant_of(spec, "think", "", 3) == Variant("think", "depth", room)
    assert variant_of(whole, "discrete", "", 30) == Variant("discrete", "action", 482)
    assert variant_of(whole, "discrete", "full", 1) == Variant("discrete", "full", 18)


def test_modes_and_heads_that_there_are_not(whole: PolicySpec) -> None:
    with pytest.raises(SpecError, match="mode; expected: one of continuous, think, discrete; got: 'thinking'"):
        graphs_of("thinking")
    for mode, head in (("think", "action"), ("discrete", "depth"), ("continuous", "full")):
        with pytest.raises(SpecError, match=f"head of mode {mode}"):
            variant_of(whole, mode, head, 10)


def test_rows_of_the_heads(whole: PolicySpec) -> None:
    assert head_rows(whole, "depth") == ((500, 628),)
    assert head_rows(whole, "action") == ((20, 21), (30, 31), (7, 8), (1000, 3048))
    assert head_rows(whole, "full") == ((0, 4000),)
    assert [head_size(whole, head) for head in ("depth", "action", "full")] == [128, 2051, 4000]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "continuous"])
def test_the_cached_graphs_as_data(whole: PolicySpec, mode: str) -> None:
    variant = variant_of(whole, mode, "", 6)
    graphs, places = graph_specs(whole, 2, 64, 6, variant), 64 + variant.new_tokens
    assert tuple(graphs) == graphs_of(mode) == variant.graphs
    takes = {t.name: t.shape for t in graphs["llm"].inputs}
    gives = {t.name: t.shape for t in graphs["llm"].outputs}
    assert takes["input_ids"] == takes["positions"] == takes["rows"] == (1, DYNAMIC)
    assert takes["key_type"] == (1, places)
    assert gives["logits"] == (1, DYNAMIC, head_size(whole, HEADS[mode][0]))
    for name in cache_names(whole.layers):
        assert takes[name] == gives[f"{name}_next"] == (2, places, 4)
    if mode == "think":
        context = {t.name: t.shape for t in graphs["context"].outputs}
        assert {t.name: t.shape for t in graphs["flow"].inputs}.items() >= context.items()
        assert {t.name for t in graphs["context"].inputs} == {"visible", "depth", *cache_names(whole.layers)}


def test_a_dynamic_side_counts_once(whole: PolicySpec) -> None:
    inputs = {t.name: t for t in graph_specs(whole, 2, 64, 6, variant_of(whole, "think", "", 6))["llm"].inputs}
    assert inputs["positions"].nbytes == 4
    assert inputs["cache_k_00"].nbytes == 4 * 2 * (64 + 109) * 4


def test_a_manifest_keeps_its_variant(spec: PolicySpec) -> None:
    made = manifest_of(spec, mode="think", head="full", new_tokens=131)
    again = Manifest.from_json(made.to_json())
    assert again == made and again.variant == Variant("think", "full", 131) and again.format == FORMAT == 3


def signed(data: dict[str, object]) -> str:
    text = json.dumps(data, sort_keys=True, ensure_ascii=False).encode()
    return json.dumps({**data, "sha256": hashlib.sha256(text).hexdigest()})


def test_a_manifest_of_format_1_is_of_a_continuous_bundle(spec: PolicySpec) -> None:
    data = json.loads(manifest_of(spec).to_json())
    data = {name: value for name, value in data.items() if name not in ("mode", "head", "new_tokens", "sha256")}
    old = Manifest.from_json(signed({**data, "format": 1}))
    assert old.variant == Variant() and old.variant.graphs == GRAPHS and old.format == 1


@pytest.mark.parametrize(("stored", "read"), [(None, ()), ("llm.onnx.data", ("llm.onnx.data",))])
def test_a_graph_of_format_2_has_one_file_of_weights_or_none(
    spec: PolicySpec, stored: str | None, read: tuple[str, ...]
) -> None:
    data = json.loads(manifest_of(spec).to_json())
    del data["sha256"]
    data["graphs"]["llm"]["data"] = stored
    old = Manifest.from_json(signed({**data, "format": 2}))
    assert old.graphs["llm"].data == read and old.format == 2


def test_a_spec_of_format_1_lacks_the_sizes_of_a_cache(spec: PolicySpec) -> None:
    data = json.loads(spec.to_json())
    new = ("kv_heads", "head_dim", "head_rows", "depth_codes", "depth_tokens", "action_tokens")
    old = PolicySpec.from_json(json.dumps({**{k: v for k, v in data.items() if k not in new}, "format": 1}))
    assert old == dataclasses.replace(spec, **dict.fromkeys(new, 0))
    assert graph_specs(old, 2, 64, 6) == graph_specs(spec, 2, 64, 6)
    with pytest.raises(BundleError, match=r"spec\.json: format; expected: 1 or 2; got: 3"):
        PolicySpec.from_json(json.dumps({**data, "format": 3}))
