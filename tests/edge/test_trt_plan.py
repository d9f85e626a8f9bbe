"""What is built for a bundle, the keys of engines, and why one is stale. Pure; nothing of TensorRT is imported."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from edge.trt.cuda import call
from edge.trt.device import Gpu
from edge.trt.key import ANY, Key, Place, read, stale
from edge.trt.libraries import LIBRARIES, ahead_of, library, open_library
from edge.trt.memory import available_of, free_bytes
from edge.trt.plan import BuildPlan, Profile, plan_build
from edge.trt.store import blocks_of, find, remove_others, root_of, write_cache, write_engine
from policy_spec.bundle import Bundle, open_bundle
from policy_spec.errors import SessionError, UsageError

ROOM = 64 << 30
PLACE = Place("tensorrt", "10.3.0", "8.7", 16)


def planned(path: Path, **changes: object) -> tuple[Bundle, BuildPlan]:
    bundle = open_bundle(path)
    return bundle, plan_build(bundle, ROOM, **changes)  # type: ignore[arg-type]


def test_a_row_for_each_graph_in_the_order_of_a_call(bundle: Path, thinking: Path) -> None:
    plain, think = planned(bundle)[1], planned(thinking)[1]
    assert [row.name for row in plain.rows] == ["vision", "llm", "flow"] and plain.fits
    assert all(not row.profiles for row in plain.rows)  # every shape is fixed
    assert [row.name for row in think.rows] == ["vision", "llm", "context", "flow"]
    bracket = open_bundle(thinking).manifest.bracket
    prompt, passes = think.rows[1].profiles
    assert (prompt.tokens, prompt.rows) == ((bracket,) * 3, (1, 1, 1))
    assert (passes.tokens[0], passes.tokens[2], passes.rows[2]) == (1, 128, 128)
    assert passes.shapes("input_ids", (1, -1)) == ((1, 1), (1, 16), (1, 128))
    assert prompt.shapes("logits", (1, -1, 7)) == ((1, 1, 7),) * 3


def test_a_bracket_may_be_as_long_as_a_pass() -> None:
    prompt, passes = Profile("prompt", (64,) * 3, (1,) * 3), Profile("passes", (1, 16, 128), (1, 16, 128))
    assert prompt.takes(64, 1) and not prompt.takes(64, 64) and not prompt.takes(63, 1)
    assert passes.takes(64, 64) and passes.takes(128, 1) and not passes.takes(129, 1)


def test_the_language_model_is_cut_where_it_would_not_fit(bundle: Path) -> None:
    opened = open_bundle(bundle)
    whole = plan_build(opened, ROOM).rows[1]
    layers = opened.spec.layers
    least = int((1.0 * whole.weights + 2.8 * whole.weights / 2 + 1e9) / 0.9) + 1  # what two blocks take
    rows = [row for row in plan_build(opened, least).rows if row.graph == "llm"]
    assert [row.name for row in rows] == ["llm-0", "llm-1"] and rows[0].build_bytes < whole.build_bytes
    first, last = rows[0].block, rows[1].block
    assert first is not None and last is not None
    assert (first.first, first.stop, last.first, last.stop) == (0, layers // 2, layers // 2, layers)
    assert (first.starts, first.ends, last.ends) == (None, last.starts, None)
    assert not plan_build(opened, 1 << 20).fits
    assert len([r for r in plan_build(opened, 1 << 20).rows if r.graph == "llm"]) == layers
    with pytest.raises(UsageError, match=f"blocks of the language model; expected: 1 to {layers}; got: 99"):
        plan_build(opened, ROOM, 99)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "10.16.2"}, "version: it was 10.3.0, and is 10.16.2 now"),
        ({"capability": "11.0"}, "compute capability of the GPU: it was 8.7, and is 11.0 now"),
        ({"multiprocessors": 8}, "number of the GPU's multiprocessors: it was 16, and is 8 now"),
        ({"library": "tensorrt_rtx"}, "library: it was tensorrt, and is tensorrt_rtx now"),
        ({"flags": ("REFIT",)}, "builder flags"),
    ],
)
def test_a_stale_key_says_which_part_differs(bundle: Path, change: dict, said: str) -> None:
    row = planned(bundle)[1].rows[1]
    written = json.loads(Key.of(row, PLACE).to_json())
    assert stale(written, Key.of(row, PLACE)) == ()
    (why,) = stale(written, Key.of(row, dataclasses.replace(PLACE, **change)))
    assert said in why


def test_other_weights_and_other_blocks_are_other_keys(bundle: Path) -> None:
    opened = open_bundle(bundle)
    row, cut = plan_build(opened, ROOM).rows[1], plan_build(opened, ROOM, 2).rows[1]
    written = json.loads(Key.of(row, PLACE).to_json())
    assert "layers of the language model" in stale(written, Key.of(cut, PLACE))[0]
    other = dataclasses.replace(row, digest="0" * 64)
    (why,) = stale(written, Key.of(other, PLACE))
    assert "the graph's files" in why and "000000000000 now" in why
    assert stale(read("no json"), Key.of(row, PLACE)) == ("its key cannot be read",)


def test_an_engine_built_ahead_fits_every_gpu_of_its_capability(bundle: Path) -> None:
    row = planned(bundle)[1].rows[0]
    ahead = json.loads(Key.of(row, dataclasses.replace(PLACE, multiprocessors=ANY)).to_json())
    assert stale(ahead, Key.of(row, PLACE)) == ()
    here = json.loads(Key.of(row, PLACE).to_json())
    assert stale(here, Key.of(row, dataclasses.replace(PLACE, multiprocessors=ANY)))  # and not the other way round


def test_engines_are_found_and_what_is_wrong_with_them_said(bundle: Path, tmp_path: Path) -> None:
    _, plan = planned(bundle)
    assert [engine.why for engine in find(tmp_path, plan, PLACE)] == [("it is not there",)] * 3
    for row in plan.rows:
        write_engine(tmp_path / f"{row.name}.engine", row.name.encode() * 9, Key.of(row, PLACE))
    assert all(engine.ready for engine in find(tmp_path, plan, PLACE))
    assert blocks_of(tmp_path) == 1
    (tmp_path / "llm.engine").write_bytes(b"llm")
    (tmp_path / "flow.engine").write_bytes(b"flaw" * 9)
    (tmp_path / "vision.json").unlink()  # as a kill between engine and key leaves it
    why = [engine.why[0] for engine in find(tmp_path, plan, PLACE, fresh=True)]
    assert why == [
        "it is not there",
        "it has 3 bytes, and had 27 when it was built",
        "its contents are not what was built",
    ]


def test_what_a_killed_build_left_is_removed(bundle: Path, tmp_path: Path) -> None:
    _, plan = planned(bundle)
    for name in ("vision.engine.half", "llm-0.engine", "llm-0.json", "timings.cache"):
        (tmp_path / name).write_bytes(b"x")
    assert remove_others(tmp_path, plan) == ("llm-0.engine", "llm-0.json", "vision.engine.half")
    assert (tmp_path / "timings.cache").exists()
    write_cache(tmp_path / "no" / "folder", b"x")  # costs nothing but time
    assert root_of(bundle).name == "small.bundle.engines"


def test_a_disk_that_refuses_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    row = planned(bundle)[1].rows[0]
    (tmp_path / "vision.engine.half").mkdir()  # what cannot be written to
    with pytest.raises((SessionError, OSError)):
        write_engine(tmp_path / "vision.engine", b"x", Key.of(row, PLACE))
    assert not (tmp_path / "vision.engine").exists() and not (tmp_path / "vision.json").exists()


class Old:
    __version__ = "8.6.2"


def test_a_library_that_is_absent_or_old_says_what_to_install() -> None:
    row = library("tensorrt")
    assert library("rtx") is LIBRARIES["tensorrt_rtx"]

    def absent(name: str) -> object:
        raise ModuleNotFoundError(name)

    with pytest.raises(SessionError, match="tensorrt is not installed; what to do: on a Jetson: sudo apt install"):
        open_library(row, absent)
    with pytest.raises(SessionError, match=r"expected: 10.3 or newer; got: 8.6.2"):
        open_library(row, lambda name: Old)
    with pytest.raises(UsageError, match="TensorRT library; expected: tensorrt or rtx; got: onnx"):
        library("onnx")
    assert ahead_of(library("rtx"), "8.6") == "SM86"
    with pytest.raises(UsageError, match=r"cannot build ahead of time for compute capability 8.7"):
        ahead_of(library("rtx"), "8.7")
    with pytest.raises(UsageError, match="run armside build on that computer itself"):
        ahead_of(row, "8.7")


def test_free_memory_is_what_linux_says() -> None:
    assert available_of("MemTotal: 9 kB\nMemAvailable:    2048 kB\n") == 2 << 20
    with pytest.raises(SessionError, match="MemAvailable"):
        available_of("MemTotal: 9 kB\n")


def test_the_free_memory_of_a_gpu_counts_where_it_has_its_own() -> None:
    card = Gpu("card", "8.6", 16, 5, "CUDA 12.6")
    assert free_bytes(card) == 5  # less than any computer has
    assert free_bytes(dataclasses.replace(card, integrated=True)) > 1 << 20  # caches of files are no bytes of a GPU
    assert free_bytes() > 1 << 20


def test_bindings_that_raise_without_a_driver_are_an_error_of_ours() -> None:
    class Bindings:
        @staticmethod
        def cudaGetDeviceCount() -> None:
            raise RuntimeError("Failed to dlopen libcuda.so.1")

    with pytest.raises(SessionError, match=r"the GPU failed \(cudaGetDeviceCount\); got: Failed to dlopen"):
        call(Bindings, "cudaGetDeviceCount")
