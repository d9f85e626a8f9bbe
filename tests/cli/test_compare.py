"""`armside compare A B` and `armside report BUNDLE` as a person uses them, and what they must refuse or find."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from armside.compare_all import CompareOptions, compare_bundles, result
from armside.compare_joints import columns
from armside.compare_numbers import worst_joint
from armside.compare_page import page
from armside.compare_samples import Asked
from armside.page import markdown, to_html
from policy_spec.errors import AnswerError, UsageError
from policy_spec.golden import Golden
from tests.cli.conftest import Armside
from tests.edge.small_bundle import small_bundle

QUIET = CompareOptions(Asked(None, 3), rounds=0, memory=False)


def silent(*_: object) -> None:
    pass


def folder_of_pictures(root: Path, frames: int, task: str) -> Path:
    """Observations as `episodes` reads them from a folder: states.csv and a folder per camera."""
    rng = np.random.default_rng(3)
    for camera in ("cam0", "cam1"):
        (root / camera).mkdir(parents=True)
        for frame in range(frames):
            Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(root / camera / f"{frame:04d}.png")
    rows = [f"0.0,90.0,90.0,45.0,0.0,{frame},{task}" for frame in range(frames)]
    (root / "states.csv").write_text("\n".join(["pan,lift,elbow,flex,roll,gripper,task", *rows]) + "\n")
    return root


def test_what_int8_loses_is_told_by_graph_and_joint(plain_bundle: Path, bundle: Path, tmp_path: Path) -> None:
    source = folder_of_pictures(tmp_path / "seen", 5, "lift the cube")
    options = CompareOptions(Asked(str(source), 3), rounds=2, memory=False)
    compared = compare_bundles(plain_bundle, bundle, options, silent)
    numbers = compared.numbers
    assert numbers.samples == 3 and 0.999 < numbers.cosine.worst < 1 - 1e-7
    whole, own = ({row.name: row for row in rows} for rows in (numbers.whole, numbers.own))
    assert list(whole) == ["features", "K", "V", "velocity"]
    assert whole["features"].worst == own["features"].worst == 0.0  # int8 leaves vision alone
    assert 0 < own["velocity"].mean <= whole["velocity"].mean  # alone it loses less than behind the others
    assert len(numbers.layers["K"]) == len(numbers.layers["V"]) == 4 and min(numbers.layers["K"][1:]) > 0
    joint = worst_joint(numbers)
    assert joint is not None and joint.unit == "degrees" and joint.worst > joint.mean > 0
    assert "seen, episode" in joint.where and compared.worst.task == "lift the cube"
    assert [row.stage for row in numbers.latency][-1] == "whole call" and numbers.latency[-1].a > 0
    assert numbers.control is not None and numbers.control > 10 * numbers.largest.worst
    parts = page(compared)
    assert "wrist_flex | degrees" in markdown(parts) and "by itself" in markdown(parts)
    text = to_html(parts)
    assert text.count("data:image/jpeg") == 2 and text.count("data:image/png") == 3 and "http" not in text
    json.dumps(result(compared), allow_nan=False)


def test_a_bundle_does_not_differ_from_itself(plain_bundle: Path) -> None:
    """The control: what is not there is not found."""
    numbers = compare_bundles(plain_bundle, plain_bundle, QUIET, silent).numbers
    assert numbers.cosine.worst == pytest.approx(1, abs=1e-12) and numbers.largest.worst == 0.0
    assert all(row.worst == 0.0 for row in (*numbers.whole, *numbers.own))
    assert numbers.control is not None and numbers.control > 0.01


def test_the_worst_sample_is_the_worst(plain_bundle: Path, bundle: Path) -> None:
    compared = compare_bundles(plain_bundle, bundle, QUIET, silent)
    assert "no episodes were given" in compared.on
    golden = Golden.load(plain_bundle)
    images = compared.worst.observation.images
    same = all(np.array_equal(a, b) for a, b in zip(images, golden.images, strict=True))
    assert same == (compared.worst.where == "the golden observation")
    assert compared.numbers.largest.where == compared.worst.where


def test_bundles_that_generate_tokens(tmp_path: Path) -> None:
    one = small_bundle(tmp_path / "a", tmp_path, "think")
    shutil.copytree(one, tmp_path / "b")
    compared = compare_bundles(one, tmp_path / "b", QUIET, silent)
    numbers = compared.numbers
    assert numbers.tokens is not None and numbers.tokens.worst == 1.0 and not numbers.own
    assert "only compared end to end" in markdown(page(compared))


def test_samples_without_a_chunk_are_counted(tmp_path: Path) -> None:
    one = small_bundle(tmp_path / "a", tmp_path, "discrete")
    with pytest.raises(
        AnswerError, match=r"no sample has a chunk of both bundles; got: the golden observation: .*too long"
    ):
        compare_bundles(one, one, QUIET, silent)


def test_what_cannot_be_compared_is_refused(plain_bundle: Path, tmp_path: Path) -> None:
    other = small_bundle(tmp_path / "think", tmp_path, "think")
    with pytest.raises(UsageError, match=r"different policies: mode; expected: continuous; got: think"):
        compare_bundles(plain_bundle, other, QUIET, silent)
    source = folder_of_pictures(tmp_path / "seen", 2, "x")
    (source / "cam1").rename(source / "cam7")
    with pytest.raises(UsageError, match=r"cameras of seen; expected: .*cam0, cam1; got: cam0, cam7"):
        compare_bundles(plain_bundle, plain_bundle, CompareOptions(Asked(str(source), 1), 0, memory=False), silent)


def test_columns_have_names_and_units_where_the_tag_says() -> None:
    assert columns("so100_so101_molmoact2", 6)[-1] == ("gripper", "%")
    yam = columns("yam_dual_molmoact2", 14)
    assert yam[7] == ("right_joint1", "rad") and yam[13] == ("right_gripper", "of its opening")
    assert columns("mine", 2) == [("dim 0", "policy units"), ("dim 1", "policy units")]


def test_the_verbs(armside: Armside, plain_bundle: Path, bundle: Path, tmp_path: Path) -> None:
    told, out = tmp_path / "told.json", tmp_path / "page"
    done = armside("compare", plain_bundle, bundle, "--samples", 2, "--rounds", 1, "--json", told, "--out", out)
    assert done.returncode == 0, done.stderr
    for words in ("The worst joint is", "llm: K of the expert", "Memory", "whole call"):
        assert words in done.stdout
    data = json.loads(told.read_text())
    assert data["precision"] == ["fp32", "int8"] and data["memory"][0]["peak"] > 0
    assert {"report.md", "report.html", "joints.png", "worst_0.jpg"} <= {file.name for file in out.iterdir()}
    before = {file.name: file.read_bytes() for file in bundle.iterdir() if file.is_file()}
    for words in ("Predicted", "orin-nano-8", "nothing was timed", "Precision plan"):
        assert words in before["report.html"].decode() and words in before["report.md"].decode()
    done = armside("report", bundle, "--out", tmp_path / "own", "--rounds", 1, "--no-memory")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "own" / "report.html").read_text()
    assert "whole call" in page and "Parity" in page
    assert {
        file.name: file.read_bytes() for file in bundle.iterdir() if file.is_file()
    } == before  # its hashes still hold
