"""`armside build`: what it plans anywhere, and real engines where TensorRT-RTX is installed; no GPU needed for either.

TensorRT-RTX is proprietary and optional: `pip install tensorrt-rtx`. Without it the second half is skipped.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from armside.cli import main
from tests.edge.small_bundle import rewrite, small_bundle

ROOT = Path(__file__).parents[2]
NO_RTX = importlib.util.find_spec("tensorrt_rtx") is None
needs_rtx = pytest.mark.skipif(NO_RTX, reason="tensorrt-rtx is not installed: pip install tensorrt-rtx")
AHEAD = ["--target", "rtx", "--capability", "8.6"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A continuous bundle and one that thinks; nobody may change them."""
    folder = tmp_path_factory.mktemp("bundles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))  # remembered hashes stay out of the user's home
        small_bundle(folder / "plain.bundle", folder)
        small_bundle(folder / "think.bundle", folder, "think")
        yield folder


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "plain.bundle", tmp_path / "b.bundle")


def facts(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["build", *words, "--json", "-"]) == 0
    data: dict = json.loads(capsys.readouterr().out)
    return data


def test_a_dry_run_says_what_would_be_built_anywhere(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = facts(capsys, str(made / "think.bundle"), "--dry-run", "--target", "tensorrt")
    assert data["format"] == "armside-build" and data["place"]["library"] == "tensorrt"
    assert [row["name"] for row in data["engines"]] == ["vision", "llm", "context", "flow"]
    assert [p["name"] for p in data["engines"][1]["profiles"]] == ["prompt", "passes"]
    assert all(row["why"] == ["it is not there"] and not row["built"] for row in data["engines"])
    data = facts(capsys, str(made / "plain.bundle"), "--dry-run", *AHEAD, "--blocks", "2")
    assert [row["name"] for row in data["engines"]] == ["vision", "llm-0", "llm-1", "flow"]
    assert data["ahead"] and data["place"]["capability"] == "8.6"
    assert not list(made.glob("*.engines"))  # nothing was written


def test_a_language_model_that_is_ready_is_not_cut_anew(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge.trt.key import Key, Place
    from edge.trt.libraries import library, version_of
    from edge.trt.plan import plan_build
    from edge.trt.store import folder_of, write_engine
    from policy_spec.bundle import open_bundle

    path, row = made / "plain.bundle", library("rtx")
    bundle, place = open_bundle(path), Place(row.name, version_of(row), "8.6", 0, row.flags)
    words = [str(path), "--dry-run", *AHEAD, "--out", str(tmp_path)]
    for engine in plan_build(bundle, 1 << 40, 2).rows:
        write_engine(folder_of(path, place, tmp_path) / f"{engine.name}.engine", b"x" * 9, Key.of(engine, place))
    rows = facts(capsys, *words)["engines"]
    assert [row["name"] for row in rows] == ["vision", "llm-0", "llm-1", "flow"] and not any(r["why"] for r in rows)
    assert len(facts(capsys, *words, "--blocks", "1")["engines"]) == 3  # the control: another cut that is asked for
    (folder_of(path, place, tmp_path) / "llm-1.engine").unlink()
    assert len(facts(capsys, *words)["engines"]) == 3  # not whole: cut as memory has it


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*AHEAD[:3], "8.7", "--dry-run"], "cannot build ahead of time for compute capability 8.7"),
        (["--target", "tensorrt", "--capability", "8.7", "--dry-run"], "run armside build on that computer itself"),
        (["--target", "tensorrt", "--blocks", "99", "--dry-run"], "blocks of the language model"),
    ],
)
def test_what_cannot_be_is_refused(made: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(made / "plain.bundle"), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_computer_without_a_gpu_says_why_it_has_none(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edge.trt.cuda import find_gpu

    if find_gpu() is not None:
        pytest.skip("there is a GPU")
    assert main(["build", str(made / "plain.bundle"), "--target", "tensorrt"]) == 1
    said = capsys.readouterr().err
    assert "none that CUDA can use" in said and ("cuda-python is not installed" in said or "cudaGetDevice" in said)


def test_run_knows_the_engines_and_takes_no_other(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edge.engine import EngineOptions
    from edge.session import Session
    from policy_spec.errors import SessionError

    for name in ("tensorrt", "tensorrt_rtx"):
        if importlib.util.find_spec(name) is None:
            with pytest.raises(SessionError, match=f"{name} is not installed"):
                Session.open(made / "plain.bundle", engine=EngineOptions(engine=name))
    with pytest.raises(SystemExit):
        main(["run", "x", "--engine", "abacus"])
    assert "invalid choice" in capsys.readouterr().err


@needs_rtx
def test_engines_appear_and_are_left_alone_then(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = facts(capsys, str(bundle), *AHEAD)
    files = {Path(row["file"]) for row in first["engines"]}
    assert all(row["built"] for row in first["engines"]) and first["proof"] is None
    assert all(file.stat().st_size > 10_000 for file in files)
    stamps = {file: file.stat().st_mtime_ns for file in files}
    again = facts(capsys, str(bundle), *AHEAD)
    assert not any(row["built"] or row["why"] for row in again["engines"])
    assert stamps == {file: file.stat().st_mtime_ns for file in files}


@needs_rtx
def test_a_changed_graph_is_built_again_and_alone(
    bundle: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from policy_spec.bundle import open_bundle
    from tests.edge.small_graphs import write_graphs

    facts(capsys, str(bundle), *AHEAD)
    opened = open_bundle(bundle)
    m = opened.manifest
    files = write_graphs(tmp_path, opened.spec, m.cameras, m.bracket, m.horizon, m.variant, seed=6)
    rewrite(bundle, "flow.onnx", files["flow"].read_bytes())
    rows = facts(capsys, str(bundle), *AHEAD)["engines"]
    assert [row["built"] for row in rows] == [False, False, True]
    assert "the graph's files (the bundle was exported again): it was" in rows[2]["why"][0]


@needs_rtx
def test_a_think_bundle_is_one_language_model_with_two_profiles(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = facts(capsys, str(made / "think.bundle"), *AHEAD, "--out", str(tmp_path))["engines"]
    assert [row["name"] for row in rows if row["built"]] == ["vision", "llm", "context", "flow"]
    assert (tmp_path / "tensorrt_rtx-sm86" / "llm.engine").stat().st_size > 10_000


@needs_rtx
def test_a_graph_that_is_refused_names_what_the_parser_said(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.edge.onnx_bytes import GraphWriter

    writer = GraphWriter()
    writer.op("NonZero", "x", name="y")
    rewrite(bundle, "flow.onnx", writer.model({"x": ("float32", [4])}, {"y": ("int64", [1, "N"])}))
    assert main(["build", str(bundle), *AHEAD]) == 1
    said = capsys.readouterr().err
    assert "flow.onnx" in said and ("does not take" in said or "cannot build" in said)
    engines = sorted(p.name for p in (bundle.parent / "b.bundle.engines" / "tensorrt_rtx-sm86").glob("*.engine"))
    assert engines == ["llm.engine", "vision.engine"]  # what was built before stays


@needs_rtx
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_it_leaves_no_half_engine_and_goes_on(
    made: Path, tmp_path: Path, how: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, folder = made / "think.bundle", tmp_path / "tensorrt_rtx-sm86"
    words = [str(bundle), *AHEAD, "--out", str(tmp_path)]
    command = [sys.executable, "-m", "armside", "build", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not (folder / "vision.json").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(how)  # the language model is being built, for seconds
    assert process.wait(120) == (130 if how is signal.SIGINT else -how)
    assert sorted(path.name for path in folder.glob("*.engine")) == ["vision.engine"]
    rows = facts(capsys, *words)["engines"]
    assert [row["built"] for row in rows] == [False, True, True, True]  # what was finished was left alone
    assert not list(folder.glob("*.half"))
    assert all(not row["why"] for row in facts(capsys, *words, "--dry-run")["engines"])
