"""One bundle, several norm tags: fewer cameras and shorter horizons run in the same graphs and change nothing."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export import golden
from export.build import Built, GraphOptions, build_graphs, plan_sizes
from export.reference import TorchRunner
from export.runner import OrtRunner
from export.verify import TOLERANCE_ACTION
from policy_spec.compare import max_abs
from policy_spec.errors import ObservationError, SpecError, UsageError
from policy_spec.image import pooling_index
from tests.checkpoints import variant
from train.checkpoint import load_model

SHORT = "short_one_camera"


@pytest.fixture(scope="module")
def two_tags(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Built]:
    folder = tmp_path_factory.mktemp("tags")
    checkpoint = variant(tiny_checkpoint, folder / "checkpoint", lambda _: None)
    stats = json.loads((checkpoint / "norm_stats.json").read_text())
    first = next(iter(stats["metadata_by_tag"].values()))
    other = copy.deepcopy(first)
    other.update(action_horizon=12, n_action_steps=8, camera_keys=first["camera_keys"][:1], setup_type="a short one")
    stats["metadata_by_tag"][SHORT] = other
    (checkpoint / "norm_stats.json").write_text(json.dumps(stats))
    return checkpoint, build_graphs(checkpoint, folder / "graphs", GraphOptions(), lambda *_: None)


def test_a_shorter_tag_in_the_same_graphs_equals_the_model_without_padding(two_tags: tuple[Path, Built]) -> None:
    checkpoint, built = two_tags
    tag = built.spec.tag(SHORT)
    assert (built.sizes.cameras, built.sizes.horizon, tag.horizon) == (2, 30, 12)
    pipeline = replace(built.pipeline, tag=tag)
    seen = golden.observation(tag, 1)
    got = pipeline.predict(OrtRunner(built.folder), seen, "open the drawer", seed=3)
    assert got.actions.shape == (8, 6) and got.normalized.shape == (1, 12, 32)

    model, prepared = load_model(checkpoint), pipeline.prepare(seen, "open the drawer")
    ids, visible = torch.from_numpy(prepared.ids)[None], torch.from_numpy(prepared.expert_mask)[None]
    with torch.no_grad():
        pooling = torch.from_numpy(pooling_index(built.spec.grid, built.spec.pool))
        features = model.vision(torch.from_numpy(prepared.vision["patches"][:1]), pooling)
        kv = model.llm(ids, features, torch.from_numpy(prepared.token_type.astype(np.float32))[None])[1]
        noise = torch.from_numpy(pipeline.noise(3)[:, :12])
        truth = model.sample(noise, model.context(kv, ids, visible), visible, tag.action_dim).numpy()
    assert max_abs(got.normalized, truth) <= TOLERANCE_ACTION
    runner = TorchRunner(model, pooling_index(built.spec.grid, built.spec.pool), built.spec.flow_steps)
    same = pipeline.predict(runner, seen, "open the drawer", seed=3)  # the truth by the graphs' own padded contract
    assert max_abs(same.normalized, truth) <= TOLERANCE_ACTION
    unmasked = replace(pipeline, tag=replace(tag, horizon=30))  # the control: the padded steps do matter if seen
    longer = unmasked.predict(OrtRunner(built.folder), seen, "open the drawer", seed=3)
    assert max_abs(longer.normalized[:, :12], truth) > 10 * TOLERANCE_ACTION


def test_the_first_tag_may_be_the_shorter_one(two_tags: tuple[Path, Built], tmp_path: Path) -> None:
    """The golden observation speaks the first tag; the steps that it pads are nobody's business."""
    stats = json.loads((two_tags[0] / "norm_stats.json").read_text())
    tags = stats["metadata_by_tag"]
    stats["metadata_by_tag"] = {name: tags[name] for name in reversed(tags)}
    shutil.copytree(two_tags[0], tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "norm_stats.json").write_text(json.dumps(stats))
    built = build_graphs(tmp_path / "checkpoint", tmp_path / "graphs", GraphOptions(), lambda *_: None)
    assert built.pipeline.tag.tag == SHORT and built.sizes.horizon == 30
    assert all(row.ok for row in built.rows)


def test_a_tag_must_be_named_where_there_are_several(two_tags: tuple[Path, Built]) -> None:
    spec = two_tags[1].spec
    with pytest.raises(SpecError, match=SHORT):
        spec.tag(None)
    with pytest.raises(SpecError, match=f"{SHORT}.*got: .*elsewhere"):
        spec.tag("elsewhere")


def test_the_sizes_of_the_largest_tag_hold_all_of_them(two_tags: tuple[Path, Built]) -> None:
    """In whatever order the tags stand."""
    checkpoint, built = two_tags
    turned = replace(built.spec, tags=dict(reversed(built.spec.tags.items())))
    assert next(iter(turned.tags)) == SHORT
    assert plan_sizes(turned, checkpoint / "tokenizer.json", GraphOptions()) == built.sizes


@pytest.mark.parametrize("cameras", [0, -1])
def test_no_cameras_is_no_default(two_tags: tuple[Path, Built], cameras: int) -> None:
    checkpoint, built = two_tags
    with pytest.raises(UsageError, match=f"number of cameras; .*at least 1; got: {cameras}"):
        plan_sizes(built.spec, checkpoint / "tokenizer.json", GraphOptions(cameras=cameras))


def test_a_checkpoint_that_names_no_cameras(two_tags: tuple[Path, Built]) -> None:
    checkpoint, built = two_tags
    spec = replace(built.spec, tags={n: replace(t, camera_keys=()) for n, t in built.spec.tags.items()})
    with pytest.raises(UsageError, match=r"names no cameras.*--cameras N"):
        plan_sizes(spec, checkpoint / "tokenizer.json", GraphOptions())
    assert plan_sizes(spec, checkpoint / "tokenizer.json", GraphOptions(cameras=2)).cameras == 2


def test_too_many_pictures_are_refused(two_tags: tuple[Path, Built]) -> None:
    pipeline = two_tags[1].pipeline
    with pytest.raises(ObservationError, match="number of pictures"):
        pipeline.prepare(golden.observation(pipeline.tag, 3), "open the drawer")
