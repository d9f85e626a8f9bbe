"""`armside init`: a checkpoint in the released format, the same for the same seed, whole or not at all."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from policy_spec.config import ModelConfig
from policy_spec.errors import CheckpointError, TensorError, UsageError
from train import shards
from train.init_checkpoint import InitOptions, init_checkpoint, pieces, plan
from train.init_tokenizer import build_vocabulary, tokenizer_files
from train.presets import PRESETS
from train.released_names import TensorSpec

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("init") / "tiny"
    init_checkpoint(InitOptions(folder))
    return folder


def tensors(folder: Path) -> dict[str, np.ndarray]:
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(str(file), framework="np") as shard:
            found |= {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118 - not a dict
    return found


def keys(value: object, root: str = "") -> set[str]:
    """The paths of all keys of nested JSON objects."""
    if not isinstance(value, dict):
        return {root}
    return {path for key, inner in value.items() for path in keys(inner, f"{root}/{key}")}


@pytest.mark.reference
@pytest.mark.parametrize(("robot", "case"), [("so101", "so101-tiny"), ("yam", "yam-tiny")])
def test_same_files_and_fields_as_the_released_format(robot: str, case: str, tmp_path: Path) -> None:
    released = REFERENCE / case / "checkpoint"
    if not released.is_dir():
        pytest.skip(f"no reference cases at {REFERENCE}")
    init_checkpoint(InitOptions(tmp_path / "c", robot=robot))
    assert {f.name for f in released.iterdir()} == {f.name for f in (tmp_path / "c").iterdir()}
    for file in released.glob("*.json"):
        ours, theirs = (json.loads((folder / file.name).read_text()) for folder in (tmp_path / "c", released))
        if file.name == "model.safetensors.index.json" and case != "so101-tiny":
            continue  # that case has another number of layers
        assert keys(ours) == keys(theirs), file.name
    if case == "so101-tiny":
        assert {n: t.shape for n, t in tensors(tmp_path / "c").items()} == {
            n: t.shape for n, t in tensors(released).items()
        }
    ours, theirs = (json.loads((folder / "norm_stats.json").read_text()) for folder in (tmp_path / "c", released))
    assert list(ours["metadata_by_tag"]) == list(theirs["metadata_by_tag"])
    assert (tmp_path / "c" / "merges.txt").read_text() == (released / "merges.txt").read_text()


@pytest.mark.reference
def test_the_full_vocabulary_lies_where_the_released_one_does() -> None:
    file = REFERENCE / "tokenizer-full" / "tokenizer.json"
    if not file.is_file():
        pytest.skip(f"no reference cases at {REFERENCE}")
    theirs = {t["content"]: t["id"] for t in json.loads(file.read_text())["added_tokens"]}
    full = PRESETS["molmoact2-full"]
    assert build_vocabulary(full.plain_size, full.vocab_size).added == theirs


def test_filler_entries_are_reached_by_no_text() -> None:
    from tokenizers import Tokenizer

    vocabulary = build_vocabulary(400, 2900)
    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_files(vocabulary)["tokenizer.json"]))
    ids = tokenizer.encode("<unused_300> müll\n<im_patch><state_7>").ids
    assert ids[-2:] == [2902, vocabulary.added["<state_7>"]]
    assert all(i < 256 for i in ids[:-2]) and tokenizer.decode(ids[:-2]) == "<unused_300> müll\n"


@pytest.mark.parametrize("preset", PRESETS)
def test_names_and_shapes_are_those_of_the_model(preset: str) -> None:
    pytest.importorskip("torch")
    from train.checkpoint import check_names, expected_shapes

    files, layout = plan(InitOptions(Path("unwritten"), preset))
    shapes = {spec.name: spec.shape for shard in layout.shards for spec in shard}
    expected = expected_shapes(ModelConfig.from_dict(files["config.json"]))
    check_names(expected, shapes)
    shapes.pop("lm_head.weight")
    with pytest.raises(TensorError, match=r"missing: lm_head\.weight"):
        check_names(expected, shapes)


def test_the_full_preset_has_the_released_sizes() -> None:
    layout = plan(InitOptions(Path("unwritten"), "molmoact2-full"))[1]
    specs = [spec for shard in layout.shards for spec in shard]
    groups = ("model.vision_backbone.", "model.transformer.", "model.action_expert.", "lm_head.")
    assert [sum(s.name.startswith(g) for s in specs) for g in groups] == [414, 292, 588, 1]
    assert layout.dtype == "bfloat16" and round(sum(s.count for s in specs) / 1e9, 2) == 5.44


def test_seed_decides_every_number(tiny: Path, tmp_path: Path) -> None:
    for name, seed in (("same", 0), ("other", 1)):
        init_checkpoint(InitOptions(tmp_path / name, seed=seed))
    first, same, other = tensors(tiny), tensors(tmp_path / "same"), tensors(tmp_path / "other")
    for name, values in first.items():
        assert np.array_equal(values, same[name]), name
        assert np.isfinite(values).all()
        if not name.endswith("inv_freq"):
            assert not np.array_equal(values, other[name]), name


def test_pieces_join_to_one_normal_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = TensorSpec("some.weight", (300, 1000), std=0.25, mean=1.0)
    whole = np.concatenate(list(pieces(spec, 3)))
    monkeypatch.setattr("train.init_checkpoint.PIECE", 7001)
    parts = list(pieces(spec, 3))
    assert len(parts) == 43 and np.array_equal(np.concatenate(parts), whole)
    assert abs(whole.mean() - 1.0) < 0.002 and abs(whole.std() - 0.25) < 0.002


def test_bfloat16_is_rounded_to_nearest_even() -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).standard_normal(10_000, dtype=np.float32)
    values[:3] = [1.00390625, 1.01171875, -0.0]  # two ties: down to even, up to even
    theirs = torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    assert np.array_equal(shards.encode(values, "bfloat16"), theirs)


def test_actions_depend_on_noise_and_prompt(tiny: Path) -> None:
    torch = pytest.importorskip("torch")
    from train.checkpoint import load_model

    model = load_model(tiny)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((2, 1, 30, 32), generator=generator)
    features = torch.zeros((0, model.config.text.hidden_size))
    ids = torch.tensor([[258, 84, 72, 69]]), torch.tensor([[258, 84, 72, 70]])

    def actions(tokens: object, start: object) -> np.ndarray:
        _, kv = model.llm(tokens, features, torch.zeros(tokens.shape))
        visible = torch.ones(tokens.shape, dtype=torch.bool)
        return model.sample(start, model.context(kv, tokens, visible), visible, 6)[..., :6].numpy()

    base = actions(ids[0], noise[0])
    assert np.array_equal(base, actions(ids[0], noise[0]))
    assert np.isfinite(base).all() and 0.3 < base.std() < 30
    assert np.abs(base - actions(ids[0], noise[1])).max() > 0.1
    assert np.abs(base - actions(ids[1], noise[0])).max() > 0.01


def test_a_taken_folder_is_refused_and_kept(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"exists; expected: a new folder; what to do: .*--overwrite"):
        init_checkpoint(InitOptions(tiny))
    precious = tmp_path / "letters"
    precious.mkdir()
    (precious / "novel.txt").write_text("chapter one")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        init_checkpoint(InitOptions(precious, overwrite=True))
    assert (precious / "novel.txt").read_text() == "chapter one"


def test_a_full_disk_leaves_nothing_new_and_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "c"
    init_checkpoint(InitOptions(folder))
    before = tensors(folder)

    def full(values: np.ndarray, dtype: str) -> np.ndarray:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards, "encode", full)
    with pytest.raises(CheckpointError, match=r"filled up .*nothing is left.*expected: 0\.00 GB free; what to do"):
        init_checkpoint(InitOptions(folder, seed=1, overwrite=True))
    assert [f.name for f in tmp_path.iterdir()] == ["c"]
    assert all(np.array_equal(values, before[name]) for name, values in tensors(folder).items())


def test_a_small_disk_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr("train.init_checkpoint.shutil.disk_usage", lambda place: usage)
    with pytest.raises(CheckpointError, match=r"not enough room .*expected: 0\.05 GB free; got: 0\.00 GB"):
        init_checkpoint(InitOptions(tmp_path / "c"))
    assert not list(tmp_path.iterdir())


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown preset; expected: tiny or sim or mid or molmoact2-full; got: huge"):
        InitOptions(Path("c"), preset="huge")
    with pytest.raises(UsageError, match="unknown robot; expected: so101 or yam; got: r2d2"):
        InitOptions(Path("c"), robot="r2d2")
