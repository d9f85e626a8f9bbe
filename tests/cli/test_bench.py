"""`armside bench`: real sessions of small bundles, their JSON, its controls; boards are planted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from armside.bench_aims import CALL, RATIO, Subject, judge
from armside.bench_board import Watch, unsettled
from armside.bench_pictures import DARK, shots
from armside.bench_print import words
from armside.bench_run import PLAIN, Plan, measure
from edge.board import Board, read_board
from edge.engine import EngineOptions
from edge.session import Session
from edge.timing import HOST, WHOLE
from policy_spec.depth_patches import changed_cells, patches_of
from policy_spec.errors import UsageError
from tests.cli.conftest import Armside
from tests.edge.jetson_files import AGX_ORIN, ORIN_NANO, OVER, plant
from tests.edge.small_bundle import small_bundle

PARTS = ["vision", "llm", "flow", HOST, WHOLE]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bench")
    return {mode: small_bundle(root / f"{mode}.bundle", root, mode) for mode in ("continuous", "think")}


@pytest.fixture
def nano(tmp_path: Path) -> Path:
    return plant(tmp_path / "nano", ORIN_NANO)


def plan(bundle: Path, root: Path, **changes: object) -> Plan:
    def open_one(path: Path, tag: str) -> Session:
        return Session.open(path, norm_tag=tag, engine=EngineOptions(1))

    return Plan(
        **{"bundle": bundle, "open": open_one, "look": lambda: read_board(root), "count": 3, "warm": 1, **changes}
    )  # type: ignore[arg-type]


def test_the_verb_writes_what_a_reader_needs(armside: Armside, bundles: dict[str, Path], tmp_path: Path) -> None:
    bundle, file = bundles["continuous"], tmp_path / "bench.json"
    done = armside("bench", bundle, "--rounds", "2", "--warm", "1", "--threads", "1", "--json", file)
    assert done.returncode == 0 and "whole call" in done.stdout and "p99" in done.stdout, done.stderr
    found = json.loads(file.read_text())
    assert (found["format"], found["kind"], found["rounds"]) == (1, "armside bench", 2)
    assert found["bundle"]["sha256"] == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    call = found["calls"]["call"]
    assert list(call["ms"]) == PARTS and len(call["samples_ms"]) == 2
    parts = sum(call["ms"][part]["mean"] for part in PARTS[:-1])
    assert 0 < parts <= call["ms"][WHOLE]["mean"]  # from outside nothing is shorter than its parts
    assert found["memory"]["peak"] > 0 and found["software"]["onnxruntime"] in found["engine"]
    assert found["aims"] == [] and "no aim is set" in done.stdout


def test_thinking_sees_the_share_that_it_is_called_for(bundles: dict[str, Path], nano: Path) -> None:
    found = measure(plan(bundles["think"], nano, plain=bundles["continuous"], changed=0.2))
    (name, think), (other, plain) = found["calls"].items()
    assert other == PLAIN and "20%" in name and {"depth", "context"} <= set(think["ms"])
    assert think["changed"] == pytest.approx(0.2, abs=0.02) and "changed" not in plain
    assert found["ratios"][RATIO] == think["ms"][WHOLE]["p50"] / plain["ms"][WHOLE]["p50"]
    all_of_it = measure(plan(bundles["think"], nano, changed=1.0, count=2))
    assert next(iter(all_of_it["calls"].values()))["changed"] == 1.0  # the share is what changes it


def test_bundles_that_do_not_go_together_are_refused(bundles: dict[str, Path], nano: Path) -> None:
    with pytest.raises(UsageError, match="--plain is beside a think bundle"):
        measure(plan(bundles["continuous"], nano, plain=bundles["think"]))
    with pytest.raises(UsageError, match="another policy or kind: mode"):
        measure(plan(bundles["think"], nano, plain=bundles["think"]))


def test_a_throttled_run_says_so(bundles: dict[str, Path], nano: Path) -> None:
    looks: list[Board] = []

    def look() -> Board:
        if len(looks) == 2:
            plant(nano, {f"{OVER}/oc3_event_cnt": "7"})
        looks.append(read_board(nano))
        return looks[-1]

    hot = measure(plan(bundles["continuous"], nano, look=look))
    assert hot["board"]["throttled"] and hot["board"]["why_throttled"] == ["oc3: 2 over-current events"]
    assert any(line.startswith("throttled: oc3") for line in words(hot))
    assert len(looks) == 1 + 4 + 1  # before, each round with the one that warms up, after
    calm = measure(plan(bundles["continuous"], nano, count=1))
    assert not calm["board"]["throttled"] and not any("throttled" in line for line in words(calm))


def test_clocks_and_modes_before_and_after(nano: Path, tmp_path: Path) -> None:
    found = Watch(lambda: read_board(nano)).result()
    assert found["before"]["power"]["name"] == "25W" and found["gpu_hz"] == [306_000_000] * 2
    assert [why.split()[0] for why in found["unsettled"]] == ["power", "clocks"]
    assert unsettled(read_board(plant(tmp_path / "agx", AGX_ORIN))) == []
    assert json.dumps(found)  # plain data


def test_a_board_that_is_not_the_one_of_an_aim_is_not_judged() -> None:
    agx = Subject("NVIDIA Jetson AGX Orin Developer Kit", "int8", 36, 2, changed=0.2)
    assert [j.met for j in judge(agx, {CALL: 299.0})] == [True]
    assert [(j.met, j.aim, j.stretch) for j in judge(agx, {CALL: 301.0})] == [(False, 300.0, 250.0)]
    assert [j.met for j in judge(agx, {CALL: 200.0, RATIO: 1.7})] == [True, False]
    assert judge(replace(agx, changed=0.05), {RATIO: 1.0}) == []  # an easier question
    nano = Subject("NVIDIA Jetson Orin Nano Developer Kit Super", "int4", 36, 2)
    assert [j.aim for j in judge(nano, {CALL: 900.0})] == [1000.0]
    for other in (
        Subject(agx.board, "int8", 2, 2),
        Subject(agx.board, "int8", 36, 3),
        Subject("AMD EPYC", "int8", 36, 2),
        Subject(nano.board, "int8", 36, 2),
    ):
        assert judge(other, {CALL: 1.0}) == []


@pytest.mark.parametrize(("size", "side"), [((480, 640), 10), ((48, 64), 4), ((97, 131), 10)])
@pytest.mark.parametrize("start", [0, 255, None])
def test_exactly_the_chosen_cells_change(size: tuple[int, int], side: int, start: int | None) -> None:
    random = np.random.default_rng(3).integers(0, 256, (*size, 3), np.uint8)
    first = random if start is None else np.full((*size, 3), start, np.uint8)
    seen = [patches_of(image, side) for image in islice(shots(first, side, 0.2), 6)]
    changed = [int(changed_cells(now, before).sum()) for before, now in pairwise(seen)]
    assert changed == [round(0.2 * side * side)] * 5
    assert changed_cells(seen[1], seen[1]).sum() == 0
    assert next(shots(first, side, 0.2)).min() >= DARK


def test_words_that_cannot_be_obeyed(armside: Armside, bundles: dict[str, Path]) -> None:
    for given, said in ((("--rounds", "0"), "1 or more"), (("--changed", "1.5"), "at most 1")):
        done = armside("bench", bundles["continuous"], *given)
        assert done.returncode == 2 and said in done.stderr
    wrong = armside("bench", bundles["continuous"], "--robot", "yam")
    assert wrong.returncode != 0 and "yam" in wrong.stderr


def test_what_is_no_bundle_is_named(armside: Armside, tmp_path: Path) -> None:
    done = armside("bench", str(tmp_path / "nothing"))
    assert done.returncode == 1 and "manifest.json is missing" in done.stderr and "armside export" in done.stderr
