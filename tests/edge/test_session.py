"""A session on a real engine: what it gives, what it refuses, and that it stays as large as it was."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edge.engine import physical_cores
from edge.ort_engine import check_provider, open_engine
from edge.ort_providers import CPU
from edge.session import Session
from policy_spec.errors import BundleError, ObservationError, PromptError, SessionError, SpecError
from policy_spec.golden import Golden
from policy_spec.graphs import kv_names
from policy_spec.pipeline import Observation
from tests.edge.small_bundle import observation, rewrite

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def session(bundle: Path):  # type: ignore[no-untyped-def]
    with Session.open(bundle) as opened:
        yield opened


def changed(session: Session, **what: object) -> float:
    """How far a chunk moves when one thing of the call changes."""
    call = {"observation": observation(6, 2), "task": "pick up the cube", "seed": 1}
    before = session.predict(**call).actions  # type: ignore[arg-type]
    return float(np.abs(session.predict(**{**call, **what}).actions - before).max())  # type: ignore[arg-type]


def test_the_same_call_gives_the_same_chunk_and_any_change_another(session: Session) -> None:
    images = observation(6, 2).images
    state = observation(6, 2).state
    assert changed(session) == 0.0
    assert changed(session, seed=2) > 1e-3
    assert changed(session, task="push the button") > 1e-3
    assert changed(session, observation=Observation((images[0], 255 - images[1]), state)) > 1e-3
    assert changed(session, observation=Observation(images, state + 20)) > 1e-3  # other state bins


def test_what_a_ready_session_says(session: Session) -> None:
    assert session.slots == ("cam0", "cam1")
    assert session.ready.golden.error <= session.ready.tolerance
    assert f"{CPU}, {physical_cores()} threads" in session.engine.name
    chunk = session.predict(observation(6, 2), "pick", 1)
    assert chunk.actions.shape == (30, 6)
    assert list(chunk.timings) == ["prepare", "vision", "llm", "flow", "finish"]


def test_what_one_graph_gives_lies_where_the_next_reads_it(session: Session) -> None:
    engine = session.engine
    flow = {name: buffer.array for name, buffer in engine._graphs["flow"].inputs.items()}  # type: ignore[attr-defined]
    llm = engine._graphs["llm"]  # type: ignore[attr-defined]
    vision = engine._graphs["vision"]  # type: ignore[attr-defined]
    names = kv_names(session.bundle.spec.layers)
    assert all(llm.outputs[name].array is flow[name] for name in names)
    assert vision.outputs["features"].array is llm.inputs["features"].array
    assert flow["trajectory"] is not llm.inputs["features"].array
    assert all(array.ctypes.data % 64 == 0 for array in flow.values())


def test_a_fresh_engine_gives_what_the_bound_one_gave(session: Session, bundle: Path) -> None:
    """Nothing of one call is left in the buffers for the next."""
    seen = observation(6, 2, salt=3)
    for salt in range(3):
        session.predict(observation(6, 2, salt), "something else", salt)
    with Session.open(bundle) as fresh:
        wanted = fresh.predict(seen, "pick", 9).actions
    assert np.array_equal(session.predict(seen, "pick", 9).actions, wanted)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (np.full(6, np.nan), "state; expected: finite numbers; got: nan in dimension 0"),
        (np.array([0, 0, np.inf, 0, 0, 0]), "got: inf in dimension 2"),
        (np.zeros(7), r"size of the state .* expected: \[6\]; got: \[7\]"),
        (np.zeros((1, 6)), r"got: \[1, 6\]"),
    ],
)
def test_a_bad_state_is_refused(session: Session, state: np.ndarray, said: str) -> None:
    with pytest.raises(ObservationError, match=said):
        session.predict(Observation(observation(6, 2).images, state), "pick", 1)
    assert changed(session) == 0.0  # the session is as it was


def test_bad_pictures_and_tasks_are_refused(session: Session) -> None:
    with pytest.raises(ObservationError, match=r"number of pictures; expected: 2; got: 1.*cam0, cam1"):
        session.predict(observation(6, 1), "pick", 1)
    with pytest.raises(PromptError, match="too long for the prompt bracket"):
        session.predict(observation(6, 2), "pick the red cube up " * 200, 1)
    assert changed(session) == 0.0


def test_an_unknown_tag_is_refused_with_the_allowed_ones(bundle: Path) -> None:
    with pytest.raises(SpecError, match="so100_so101_molmoact2"):
        Session.open(bundle, norm_tag="yam")


def test_two_threads_take_turns(session: Session) -> None:
    wanted = {salt: session.predict(observation(6, 2, salt), "pick", salt).actions for salt in range(4)}
    wrong: list[int] = []

    def work(salt: int) -> None:
        for _ in range(5):
            got = session.predict(observation(6, 2, salt), "pick", salt).actions
            if not np.array_equal(got, wanted[salt]):
                wrong.append(salt)

    threads = [threading.Thread(target=work, args=(salt,)) for salt in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_closed_session_says_so(bundle: Path) -> None:
    with Session.open(bundle) as opened:
        pass
    with pytest.raises(SessionError, match="closed; what to do: open the bundle again"):
        opened.predict(observation(6, 2), "pick", 1)


def test_a_golden_that_does_not_hold_names_the_worst_joint(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    Session.open(copy).close()  # the control: an untouched copy opens
    golden = Golden.load(copy)
    golden.normalized[0, 17, 4] += 0.5
    golden.save(tmp_path)
    rewrite(copy, "golden.npz", (tmp_path / "golden.npz").read_bytes())
    with pytest.raises(
        SessionError, match=r"does not reproduce its golden.*joint 4; got: .* at step 17"
    ) as caught:
        Session.open(copy)
    half_range = (42.939998626708984 + 63.45000076293945) / 2
    assert f"{0.5 * half_range:.3g} at step 17" in str(caught.value)


def test_a_graph_of_another_shape_is_named(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    rewrite(copy, "flow.onnx", (copy / "vision.onnx").read_bytes())
    with pytest.raises(SessionError, match=r"graph flow: tensor \w+; expected: .*; got: "):
        Session.open(copy)


def test_a_file_that_is_no_graph_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    rewrite(copy, "llm.onnx", b"not a graph at all")
    with pytest.raises(SessionError, match=r"graph llm \(llm.onnx\) cannot be opened"):
        Session.open(copy)


@pytest.mark.parametrize("verify", [False, True])
def test_a_corrupted_bundle_is_refused(bundle: Path, tmp_path: Path, verify: bool) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    data = bytearray((copy / "llm.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "llm.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"llm.onnx is damaged; expected: sha256"):
        Session.open(copy, verify=verify)


def test_another_provider_than_asked_is_an_error(bundle: Path) -> None:
    engine = open_engine({"vision": bundle / "vision.onnx"})
    real = engine._graphs["vision"].session
    assert check_provider("vision", real, CPU) is real
    with pytest.raises(
        SessionError, match="runs elsewhere than asked; expected: TensorrtExecutionProvider; got: CPU"
    ):
        check_provider("vision", real, "TensorrtExecutionProvider")


def test_feeds_are_checked(session: Session) -> None:
    with pytest.raises(SessionError, match="graph vision: its inputs; expected: patches; got: pixels"):
        session.engine.run("vision", {"pixels": np.zeros(1)})
    with pytest.raises(SessionError, match=r"graph vision: shape of patches; .*got: \[1\]"):
        session.engine.run("vision", {"patches": np.zeros(1, np.uint8)})


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "onnx"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
"""
START = """
import importlib, pkgutil
import edge, episodes, policy_spec, firmware_bridge.client
for room in (edge, episodes, policy_spec):
    for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
        if module.name != "episodes.lerobot":  # it needs pyarrow
            importlib.import_module(module.name)
from edge.session import Session
from tests.edge.small_bundle import observation
with Session.open(sys.argv[1]) as session:
    print(session.predict(observation(6, 2), "pick", 1).actions.shape)
"""


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


@pytest.mark.parametrize("mode", ["bundle", "thinking"])
def test_it_starts_without_torch_transformers_and_onnx(mode: str, request: pytest.FixtureRequest) -> None:
    done = _run(BLOCKED + START, str(request.getfixturevalue(mode)))
    assert done.stdout == "(30, 6)\n", done.stderr
    for name in ("torch", "transformers", "onnx"):  # the control: the blocker blocks
        assert f"{name} is blocked" in _run(BLOCKED + f"import {name}").stderr


MEASURE = """
import gc, json, sys, tracemalloc
from edge.session import Session
from tests.edge.small_bundle import observation

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

calls, keep = int(sys.argv[2]), sys.argv[3] == "keep"
seen, kept = observation(6, 2), []
with Session.open(sys.argv[1]) as session:
    def call(index):
        chunk = session.predict(seen, f"task {index % 7}", index)
        if keep:
            kept.append(chunk)
    for index in range(int(sys.argv[4])):  # until the allocator has what calls of every length need
        call(index)
    kept.clear()
    gc.collect()
    tracemalloc.start()
    call(0)
    kept.clear()
    gc.collect()
    before, traced = rss(), tracemalloc.get_traced_memory()[0]
    for index in range(calls):
        call(index)
    gc.collect()
    print(json.dumps({"rss": rss() - before, "traced": tracemalloc.get_traced_memory()[0] - traced}))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)  # each call is traced
@pytest.mark.parametrize("mode,calls", [("bundle", 1000), ("thinking", 500)])
def test_hundreds_of_calls_leave_memory_as_it_was(mode: str, calls: int, request: pytest.FixtureRequest) -> None:
    path = str(request.getfixturevalue(mode))
    grown = json.loads(_run(MEASURE, path, str(calls), "drop", "400").stdout)
    assert grown["rss"] < 3_000_000, grown
    assert grown["traced"] < 100 * calls, grown
    leaked = json.loads(_run(MEASURE, path, "200", "keep", "20").stdout)  # the control: results kept
    assert leaked["traced"] > 500_000, leaked
