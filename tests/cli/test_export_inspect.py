"""`armside export` and `armside inspect` as a person uses them, wrong arguments too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Armside


def test_inspect_shows_everything(armside: Armside, bundle: Path, checkpoint: Path) -> None:
    done = armside("inspect", bundle)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((bundle / "manifest.json").read_text())
    shown = " ".join(done.stdout.split())
    for word in (
        "x86-cpu, int8",
        str(checkpoint),
        "so100_so101_molmoact2",
        "cam0, cam1",
        "vision.onnx",
        "k_00..03",
    ):
        assert word in shown
    for entry in manifest["plan"]:
        assert entry["reason"] in shown and f"{entry['group']} {entry['scheme']}" in shown
    for name, entry in manifest["files"].items():
        assert name in shown and entry["sha256"] in shown


def test_inspect_for_programs(armside: Armside, bundle: Path) -> None:
    done = armside("inspect", bundle, "--json", "--verify")
    both = json.loads(done.stdout)
    assert both["manifest"]["precision"] == "int8" and both["spec"]["layers"] == 4


def test_a_damaged_bundle_is_refused(armside: Armside, bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(bundle, copy)
    graph = copy / "flow.onnx"
    data = bytearray(graph.read_bytes())
    data[100] ^= 1
    graph.write_bytes(data)
    done = armside("inspect", copy)
    assert done.returncode == 1 and "flow.onnx is damaged" in done.stderr and "what to do:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 1, ["no checkpoint there", "armside init"]),
        (["CHECKPOINT", "--precision", "int3"], 2, ["int3", "int8"]),
        (["CHECKPOINT", "--target", "toaster"], 2, ["toaster", "x86-cpu"]),
        (["CHECKPOINT", "--revision", "main"], 2, ["--revision", "leave it out"]),
        (["CHECKPOINT", "--prompt-tokens", "8"], 1, ["prompt bracket for 2 cameras", "an empty task"]),
    ],
)
def test_wrong_arguments_to_export(
    armside: Armside, checkpoint: Path, tmp_path: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    given = [str(checkpoint) if word == "CHECKPOINT" else word for word in arguments]
    done = armside("export", given[0], tmp_path / "b", *given[1:])
    assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not list(tmp_path.iterdir())  # no half bundle


def test_a_bundle_that_is_there_is_kept(armside: Armside, checkpoint: Path, bundle: Path) -> None:
    before = (bundle / "manifest.json").read_bytes()
    done = armside("export", checkpoint, bundle, "--precision", "fp32")
    assert done.returncode == 1 and "--overwrite" in done.stderr
    assert (bundle / "manifest.json").read_bytes() == before


def test_a_checkpoint_is_no_bundle(armside: Armside, checkpoint: Path) -> None:
    done = armside("inspect", checkpoint)
    assert done.returncode == 1 and "run armside export on it first" in done.stderr


def test_a_bundle_is_no_checkpoint(armside: Armside, bundle: Path, tmp_path: Path) -> None:
    done = armside("export", bundle, tmp_path / "b")
    assert done.returncode == 1 and "a bundle, which is made already" in done.stderr and not list(tmp_path.iterdir())


def test_a_prompt_of_no_tokens_is_refused_as_it_was_typed(armside: Armside, checkpoint: Path, tmp_path: Path) -> None:
    done = armside("export", checkpoint, tmp_path / "b", "--prompt-tokens", "-5")
    assert done.returncode == 2 and "got: -5" in done.stderr and not list(tmp_path.iterdir())
