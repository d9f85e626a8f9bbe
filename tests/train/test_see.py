"""`armside see`: an image encoder learns what is where, and no other picture gives the same answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from armside.cli import main
from policy_spec.errors import DatasetError
from train.checkpoint import Checkpoint
from train.see.labels import read_points
from train.see.questions import read_questions

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 60, 220)}
SIDE, SPOT = 140, 16  # pixels


def draw(folder: Path, count: int) -> Path:
    """Pictures of one spot each, and where it is."""
    rng, lines = np.random.default_rng(0), []
    (folder / "pictures").mkdir(parents=True)
    for number in range(count):
        name = list(COLOURS)[number % 3]
        left, top = rng.integers(0, SIDE - SPOT, 2)
        picture = np.full((SIDE, SIDE, 3), 120, np.uint8)
        picture[top : top + SPOT, left : left + SPOT] = COLOURS[name]
        file = f"pictures/{number}.png"
        Image.fromarray(picture).save(folder / file, compress_level=1)
        across, down = (int(100 * (corner + SPOT / 2) / SIDE) for corner in (left, top))
        answer = f"{across:02d} {down:02d}"
        task = ("reach the {} spot", "push the {} spot away")[number % 2].format(name)
        lines.append({"question": f"point to the {name} spot", "answer": answer, "task": task, "images": [file]})
    path = folder / "points.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_an_encoder_learns_what_is_where(tmp_path: Path) -> None:
    """Far better than one step of it; the checkpoint is whole, and only what sees has changed."""
    points = draw(tmp_path / "points", 160)
    words = [
        "see",
        str(points),
        "--batch",
        "16",
        "--threads",
        "1",
        "--precision",
        "float32",
        "--find-steps",
        "0",
        "--json",
    ]
    told = {}
    for steps in (1, 60):
        out, facts = tmp_path / f"{steps}", tmp_path / f"{steps}.json"
        assert main([*words, str(facts), str(out), "--steps", str(steps)]) == 0
        told[steps] = json.loads(facts.read_text())
    assert told[60]["words_nats"] < 0.5 * told[1]["words_nats"]
    before, after = Checkpoint(tmp_path / "1"), Checkpoint(tmp_path / "60")
    after.check()
    changed = {n for n in after.shards if not np.array_equal(before.tensor(n).numpy(), after.tensor(n).numpy())}
    assert changed and all(".vision_backbone." in name for name in changed)


def test_finding_begins_where_seeing_ended_and_leaves_the_encoder(tmp_path: Path) -> None:
    """The language model alone changes; what it learns is tested on features made by hand (test_find.py)."""
    points, seen, found = draw(tmp_path / "points", 40), tmp_path / "seen", tmp_path / "found"
    words = ["see", str(points), "--threads", "1", "--batch", "16"]
    assert main([*words, str(seen), "--steps", "1", "--find-steps", "0"]) == 0
    facts = tmp_path / "facts.json"
    more = ["--checkpoint", str(seen), "--steps", "0", "--find-steps", "2", "--json", str(facts)]
    assert main([*words, str(found), *more]) == 0
    told = json.loads(facts.read_text())
    assert told["find_steps"] == 2 and len(told["cells"]) == 1 and "right" not in told
    before, after = Checkpoint(seen), Checkpoint(found)
    after.check()
    changed = {n for n in after.shards if not np.array_equal(before.tensor(n).numpy(), after.tensor(n).numpy())}
    assert changed and all(name.startswith("model.transformer.") for name in changed)


def test_a_question_without_its_task_is_named(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    line = {"question": "point to the red cube", "answer": "10 90", "images": ["a"], "task": "reach the green cube"}
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"line 1.*a task that names the thing"):
        read_questions(path, 5, {tmp_path / "a": 0})
    path.write_text(json.dumps(line | {"task": "reach the red cube"}) + "\n", encoding="utf-8")
    read = read_questions(path, 5, {tmp_path / "a": 0})
    assert read.cell.tolist() == [[20]] and read.place[0, 0].tolist() == pytest.approx([0.105, 0.905])


def test_labels_say_what_lies_in_which_cell(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    lines = [
        {"question": "point to the red cube", "answer": "10 90 -", "images": ["a", "b"]},
        {"question": "point to the blue ball", "answer": "- 55 45", "images": ["a", "b"]},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    seen = read_points(path, 5)
    assert seen.words == ("ball", "blue", "cube", "red") and seen.files == (tmp_path / "a", tmp_path / "b")
    assert seen.there[0, 20].tolist() == [0, 0, 1, 1] and seen.there[0].sum() == 2
    assert seen.there[1, 2 * 5 + 2].tolist() == [1, 1, 0, 0] and seen.place[1, 12].tolist() == pytest.approx(
        [0.555, 0.455]
    )
    assert seen.known.sum() == 2


@pytest.mark.parametrize("answer", ["10", "10 90 20", "ten 90", "10 90 - 5"])
def test_an_answer_that_does_not_fit_is_named(tmp_path: Path, answer: str) -> None:
    path = tmp_path / "points.jsonl"
    line = {"question": "point to the red cube", "answer": answer, "images": ["a"]}
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"line 1.*where a thing is"):
        read_points(path, 5)
