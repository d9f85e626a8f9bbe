"""From rows to batches: prompts as at inference, answers, augmentation, workers, text, datasets and their cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from episodes.lerobot.plan import DatasetPlan
from episodes.lerobot.writer import Frame, LeRobotWriter
from policy_spec.errors import CheckpointError, DatasetError, UsageError
from policy_spec.fast import FastTokenizer
from policy_spec.fast_fit import FitOptions, fit
from policy_spec.image import to_patches
from policy_spec.pipeline import Observation, Pipeline
from policy_spec.spec import PolicySpec
from tests.train.material import HORIZON, TAG, ArrayFeed, array_rows, micro_checkpoint
from train.data.answers import Answers, noised
from train.data.augment import augment, shifted_hue
from train.data.collate import IGNORED, collate, cut
from train.data.examples import Making
from train.data.feed import DatasetFeed, MixtureRows
from train.data.loader import Draw, Loader, Share, Work
from train.data.rows import Row
from train.data.text import TEXT, TextFile, TextPlan
from train.learn.batch import Batch
from train.recipe.config import Augment, Data, DatasetPart

OFF = Augment(enabled=False)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return micro_checkpoint(tmp_path_factory.mktemp("deep") / "checkpoint", depth=True)


@pytest.fixture(scope="module")
def spec(deep: Path) -> PolicySpec:
    return PolicySpec.from_checkpoint(deep)


def making(deep: Path, spec: PolicySpec, kind: str = "none", fast: FastTokenizer | None = None) -> Making:
    return Making(spec, spec.tokenizer(deep / "tokenizer.json"), Answers(spec, kind, fast), 2)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize(("kind", "style"), [("none", "robot_action"), ("depth", "robot_depth_action")])
def test_a_prompt_is_that_of_inference(deep: Path, spec: PolicySpec, kind: str, style: str) -> None:
    row = array_rows(depth=True).row((0, 1, 2))
    assert row.state is not None
    tokenizer, tag = spec.tokenizer(deep / "tokenizer.json"), spec.tag(TAG)
    pipeline = Pipeline(spec, tokenizer, tag, cameras=2, bracket=600, horizon=HORIZON, style=style)
    prepared = pipeline.prepare(Observation(row.images, row.state), row.task)
    example = making(deep, spec, kind).example(row, rng())
    length = len(prepared.ids)
    assert np.array_equal(example.ids[:length], prepared.ids) and (example.labels[:length] == IGNORED).all()
    assert np.array_equal(example.token_type[:length], prepared.token_type)
    assert np.array_equal(example.visible[:length], prepared.expert_mask)
    patches = collate([example], spec, OFF).patches.numpy()
    assert np.array_equal(patches, prepared.vision["patches"])
    assert (length == len(example.ids)) == (kind == "none")


def test_a_causal_mask_has_no_image_tokens(deep: Path, spec: PolicySpec) -> None:
    causal = replace(making(deep, spec), image_attention="causal")
    assert not causal.example(array_rows().row((0, 0, 0)), rng()).token_type.any()


def test_depth_codes_are_supervised_and_some_that_are_fed_are_others(spec: PolicySpec) -> None:
    codes = np.arange(100) % 128
    answer = Answers(spec, "depth", depth_noise=0.5).answer(codes, None, rng())
    ids = spec.token_ids
    assert answer.said.tolist() == [ids["depth_start"], *(ids["depth_0"] + codes).tolist(), ids["depth_end"]]
    differ = answer.fed != answer.said
    assert 30 < differ.sum() < 70 and not differ[0] and not differ[-1]
    assert not (Answers(spec, "depth").answer(codes, None, rng()).fed != answer.said).any()
    share = (noised(np.zeros(100_000, np.int64), 128, 0.1, rng()) != 0).mean()
    assert share == pytest.approx(0.1 * 127 / 128, abs=0.005)
    with pytest.raises(DatasetError, match=r"depth codes; expected: \[100\], 0 to 127; got: none"):
        Answers(spec, "depth").answer(None, None, rng())


@pytest.fixture(scope="module")
def fast() -> FastTokenizer:
    t = np.linspace(0, 1, HORIZON)[None, :, None]
    draw = np.random.default_rng(0)
    chunks = np.sin(6 * t + draw.uniform(0, 6, (200, 1, 6))) * draw.uniform(0.1, 1, (200, 1, 6))
    return fit(chunks, FitOptions(codes=300, dims=0), lambda *_: None)


def test_action_answers_are_fast_tokens_that_the_expert_does_not_see(
    deep: Path, spec: PolicySpec, fast: FastTokenizer
) -> None:
    row = array_rows(length=HORIZON).row((0, 0, 0))
    example = making(deep, spec, "actions", fast).example(row, rng())
    ids, learned = spec.token_ids, example.labels != IGNORED
    said = example.labels[learned]
    assert (said[0], said[-2], said[-1]) == (ids["action_start"], ids["action_end"], ids["eos"])
    decoded = fast.decode((said[1:-2] - ids["action_0"]).tolist(), HORIZON, 6)
    assert np.abs(decoded - example.actions[:, :6]).max() < 0.2
    assert not example.visible[learned].any()
    with pytest.raises(CheckpointError, match="answers with actions; expected: a FAST tokenizer"):
        making(deep, spec, "actions")


def test_padded_steps_and_dims(deep: Path, spec: PolicySpec) -> None:
    example = making(deep, spec).example(array_rows(length=6).row((0, 0, 2)), rng())
    assert example.step_is_pad.tolist() == [False] * 4 + [True] * 26
    assert example.dim_is_pad.tolist() == [False] * 6 + [True] * 26
    assert np.abs(example.actions).max() <= 1.0 and not example.actions[:, 6:].any()


def test_rows_of_unequal_length_are_padded_behind(deep: Path, spec: PolicySpec) -> None:
    make, rows = making(deep, spec, "depth"), array_rows(depth=True)
    long = make.example(rows.row((0, 0, 0)), rng())
    short = make.example(replace(rows.row((0, 1, 0)), images=rows.row((0, 1, 0)).images[:1]), rng())
    batch = collate([long, short], spec, OFF)
    assert batch.input_ids.shape[1] % 8 == 0 and len(batch.patches) == 3
    behind = len(short.ids)
    assert (batch.input_ids[1, behind:] == spec.token_ids["pad"]).all()
    assert not batch.visible[1, behind:].any() and (batch.labels[1, behind:] == IGNORED).all()


def test_patches_are_cut_as_the_policy_cuts_them() -> None:
    image = np.random.default_rng(0).integers(0, 256, (28, 42, 3), dtype=np.uint8)
    assert np.array_equal(cut(torch.from_numpy(image)[None], 14)[0].numpy(), to_patches(image, 14))


def test_augmentation_is_its_seed_s_and_stays_near_the_picture() -> None:
    base = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (7, 8, 3), dtype=np.uint8))
    images = base.repeat_interleave(8, 0).repeat_interleave(8, 1)[None].repeat(6, 1, 1, 1)
    how = Augment()
    first = augment(images, range(6), how)
    assert torch.equal(first, augment(images, range(6), how)) and first.dtype == torch.uint8
    assert torch.equal(first[3:4], augment(images[:1], [3], how))  # whatever else is in the batch
    assert not torch.equal(first[0], first[1])
    still = Augment(crop=1.0, rotate=0.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, blur=0.0)
    assert torch.equal(augment(images, range(6), still), images)
    bright = augment(images, range(6), replace(still, brightness=0.2)).float() / images.clamp(min=1).float()
    assert bright.median(dim=1).values.min() > 0.7 and len({round(float(b.median()), 2) for b in bright}) > 3


def test_hue_turns_as_colorsys_says() -> None:
    import colorsys

    draw = np.random.default_rng(1)
    colours = np.concatenate([draw.random((30, 3)), np.eye(3), np.ones((1, 3)), np.zeros((1, 3))]).astype(np.float32)
    got = shifted_hue(torch.from_numpy(colours)[:, :, None, None], torch.full((len(colours),), 0.07))[
        :, :, 0, 0
    ].numpy()
    for colour, turned in zip(colours.tolist(), got, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*colour)
        assert np.abs(np.array(colorsys.hsv_to_rgb((h + 0.07) % 1.0, s, v)) - turned).max() < 1e-5


def loader(deep: Path, spec: PolicySpec, workers: int, share: Share | None = None) -> Loader:
    feed = ArrayFeed(array_rows())
    work = Work(feed.open(spec), making(deep, spec), Draw(1, 0))
    return Loader(work, feed.plan(0), share or Share(4, 3), Augment(), workers)


def first(loader: Loader, steps: int) -> list[list[Batch]]:
    try:
        batches: Iterator = loader.batches(0)
        return [next(batches)[0] for _ in range(steps)]
    finally:
        loader.close()


def test_workers_and_processes_change_nothing(deep: Path, spec: PolicySpec) -> None:
    alone, helped = (first(loader(deep, spec, workers), 2) for workers in (0, 2))
    assert [len(b.input_ids) for b in alone[0]] == [3, 1]
    for a, b in zip(alone, helped, strict=True):
        for x, y in zip(a, b, strict=True):
            assert torch.equal(x.patches, y.patches) and torch.equal(x.input_ids, y.input_ids)
            assert x.chunks is not None and y.chunks is not None and torch.equal(x.chunks.noise, y.chunks.noise)
    halves = [first(loader(deep, spec, 0, Share(4, 0, rank, 2)), 1)[0][0].patches for rank in range(2)]
    assert torch.equal(torch.cat(halves), torch.cat([b.patches for b in alone[0]]))


def test_text_is_learned_word_for_word(deep: Path, spec: PolicySpec, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    lines = [{"question": "what is on the table?", "answer": "a red cube"}]
    lines.append({"question": "how many?", "answer": "one", "images": ["a.png"]})
    (tmp_path / "text.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = TextFile.open(tmp_path / "text.jsonl")
    make, tokenizer = making(deep, spec), spec.tokenizer(deep / "tokenizer.json")
    for number, pictures in ((0, 0), (1, 1)):
        example = make.example(text.row(number), rng())
        said = example.labels[example.labels != IGNORED]
        assert said.tolist() == tokenizer.encode(lines[number]["answer"] + "<|im_end|>")[1:].tolist()  # type: ignore[operator]
        assert len(example.images) == pictures and not example.present
    batch = collate([make.example(text.row(0), rng()), make.example(array_rows().row((0, 0, 0)), rng())], spec, OFF)
    assert batch.counts.tolist()[0] == 1.0
    plan = TextPlan(array_rows().plan(0), 2, 0.5, seed=1)
    places = plan.take(200)
    assert 70 < sum(place[0] == TEXT for place in places) < 130
    resumed = TextPlan(array_rows().plan(0), 2, 0.5, seed=1)
    resumed.take(60)
    again = TextPlan(array_rows().plan(0), 2, 0.5, seed=1)
    again.restore(json.loads(json.dumps(resumed.state())))
    assert again.take(140) == places[60:]
    (tmp_path / "bad.jsonl").write_text('{"question": "?"}')
    with pytest.raises(DatasetError, match=r"bad\.jsonl, line 1; expected"):
        TextFile.open(tmp_path / "bad.jsonl")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes of five frames, PNG, in another joint frame than the policy's."""
    folder = tmp_path_factory.mktemp("data") / "set"
    names = ("pan", "lift", "elbow", "flex", "roll", "gripper")
    plan = DatasetPlan(
        fps=30, robot_type="so101", state_names=names, action_names=names, cameras={"cam0": (16, 20), "cam1": (16, 20)},
        joint_frame="lerobot-degrees", pictures="image",
    )  # fmt: skip
    draw = np.random.default_rng(0)
    with LeRobotWriter.open(folder, plan) as writer:
        for episode in range(2):
            writer.start()
            for _ in range(5):
                images = {c: draw.integers(0, 256, (16, 20, 3), dtype=np.uint8) for c in ("cam0", "cam1")}
                writer.add(Frame(draw.random(6), draw.random(6), images, f"task {episode}"))
            writer.save()
    return folder


def data_of(dataset: Path, **more: object) -> Data:
    return Data(datasets=(DatasetPart(path=str(dataset)),), **more)  # type: ignore[arg-type]


def test_a_dataset_feeds_the_same_rows_with_and_without_a_cache(
    deep: Path, spec: PolicySpec, dataset: Path, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    plain = DatasetFeed(data_of(dataset), 5).open(spec)()
    feed = DatasetFeed(data_of(dataset, cache=str(tmp_path)), 5, lambda *what: told.append(what))
    kept = feed.open(spec)()
    assert [t[1:] for t in told] == [(0, 2), (1, 2)]
    make = making(deep, spec)
    for place in feed.plan(0).take(4):
        a, b = (make.example(rows.row(place), rng()) for rows in (plain, kept))
        assert np.array_equal(a.images, b.images) and np.array_equal(a.actions, b.actions)
        assert np.array_equal(a.ids, b.ids)
        assert isinstance(kept, MixtureRows) and kept.row(place).images[0].shape == (56, 56, 3)
    told.clear()
    feed.open(spec)
    assert told == []  # nothing is decoded twice


def test_joint_frames_are_converted_only_by_name(spec: PolicySpec, dataset: Path) -> None:
    place = (0, 0, 0)
    own = DatasetFeed(data_of(dataset), 0).open(spec)().row(place).state
    moved = DatasetFeed(data_of(dataset, frame="so101-molmoact2"), 0).open(spec)().row(place).state
    assert own is not None and moved is not None
    assert moved[1] == pytest.approx(90 - own[1], abs=1e-4) and moved[0] == pytest.approx(own[0], abs=1e-5)


def test_cameras_that_the_tag_does_not_name_are_refused(spec: PolicySpec, dataset: Path) -> None:
    odd = DatasetPart(path=str(dataset), cameras=("cam0", "front"))
    with pytest.raises(UsageError, match="expected: some of cam0, cam1; got: front"):
        DatasetFeed(Data(datasets=(odd,)), 0).open(spec)()
    swapped = DatasetPart(path=str(dataset), cameras=("cam1", "cam0"))
    rows = [DatasetFeed(Data(datasets=(part,)), 0).open(spec)() for part in (swapped, DatasetPart(path=str(dataset)))]
    a, b = (one.row((0, 1, 2)).images for one in rows)
    assert np.array_equal(a[0], b[1]) and np.array_equal(a[1], b[0])


def test_a_row_of_an_unknown_tag_is_refused(deep: Path, spec: PolicySpec) -> None:
    with pytest.raises(DatasetError, match=f"norm tag of a row; expected: one of.*{TAG}"):
        making(deep, spec).example(Row((), "task", "made-up", np.zeros(6, np.float32)), rng())
