"""What is read of a Jetson: the texts of its files one by one, then two planted boards whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edge.board import Board, Clock, parse_swaps, read_board, throttled
from edge.jetson import JETPACKS, LINES, dpkg_version, group_members, line_of_tensorrt, parse_release
from edge.power import fastest, parse_modes, parse_query, parse_status
from quant.targets import TARGETS
from tests.edge.jetson_files import AGX_ORIN, DPKG, GPU, MODES_AGX, MODES_NANO, ORIN_NANO, OVER, plant


@pytest.mark.parametrize(
    ("line", "linux", "jetpack", "ours"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic", "36.4.3", "6.2", "6.2"),
        ("# R36 (release), REVISION: 5.2, GCID: 1, BOARD: generic", "36.5.2", "6.2.3", "6.2"),
        ("# R36 (release), REVISION: 4.0, GCID: 1, BOARD: generic", "36.4.0", "6.1", None),
        ("# R39 (release), REVISION: 2.1, GCID: 46758480, BOARD: generic", "39.2.1", "7.2.1", "7.2"),
        ("# R38 (release), REVISION: 4.0, GCID: 1", "38.4.0", "7.1", None),
        ("# R41 (release), REVISION: 1.0, GCID: 1", "41.1.0", "", None),
    ],
)
def test_a_release_is_told_by_the_first_line(line: str, linux: str, jetpack: str, ours: str | None) -> None:
    found = parse_release(line)
    assert found is not None and (found.linux, found.jetpack) == (linux, jetpack)
    assert (found.line.name if found.line else None) == ours


def test_what_is_no_release_is_none() -> None:
    assert parse_release("") is None and parse_release("NAME=Ubuntu\n# R36 (release), REVISION: 4.3") is None


def test_the_lines_are_those_that_bundles_are_made_for() -> None:
    software = {s.system: s for target in TARGETS.values() for s in target.software if "JetPack" in s.system}
    for line in LINES:
        row = next(s for system, s in software.items() if f"JetPack {line.name}" in system)
        assert (row.python, row.cuda) == (line.python, line.cuda) and line.tensorrt.startswith(row.tensorrt)
        assert line.ubuntu in row.system and line.package.startswith(line.tensorrt)
        assert any(jetpack == line.name for jetpack in JETPACKS.values())


def test_tensorrt_belongs_to_a_jetpack() -> None:
    names = {v: line_of_tensorrt(v) for v in ("10.3.0", "10.16.2.10-1+cuda13.2", "10.13.3", "10.1.0", "11.4.0", "")}
    assert [line.name if line else None for line in names.values()] == ["6.2", "7.2", None, None, None, None]


def test_debian_packages_that_are_installed() -> None:
    text = DPKG.format(version="10.3.0.30-1+cuda12.5")
    assert dpkg_version(text, "libnvinfer10") == "10.3.0.30-1+cuda12.5"
    assert dpkg_version(text, "python3-libnvinfer") == ""  # removed, its configuration is left
    assert dpkg_version(text, "not-this-one") == "" == dpkg_version("", "libnvinfer10")
    assert group_members("video:x:44:a,b\nbroken\nempty:x:1:\n") == {"video": ("a", "b"), "empty": ()}


def test_power_modes_have_numbers_of_their_board() -> None:
    assert parse_modes(MODES_NANO) == {0: "15W", 1: "25W", 2: "MAXN_SUPER"}
    now = parse_status("pmode:0001\n", MODES_NANO)
    assert now is not None and now.text == "25W (mode 1)" and not now.unlimited
    agx = parse_status("pmode:0000", MODES_AGX)
    assert agx is not None and agx.text == "MAXN (mode 0)" and agx.unlimited
    assert fastest(parse_modes(MODES_NANO)) == (2, "MAXN_SUPER") and fastest({0: "15W", 1: "7W"}) is None
    assert parse_status("", MODES_NANO) is None


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("NV Power Mode: MAXN_SUPER\n2\n", "MAXN_SUPER (mode 2)"),
        ("NV Fan Mode:quiet\nNV Power Mode: 15W\n0\n", "15W (mode 0)"),
        ("NV Power Mode: MODE_50W\n", "MODE_50W"),
        ("NVPM VERB: Current mode: NV Power Mode: 25W\n1\nNVPM VERB: PARAM\n", "25W (mode 1)"),
    ],
)
def test_what_nvpmodel_says(answer: str, text: str) -> None:
    found = parse_query(answer)
    assert found is not None and found.text == text
    assert parse_query("NVPM ERROR: Error opening /var/lib/nvpmodel/status: 13\n") is None


def test_swaps() -> None:
    zram = parse_swaps(ORIN_NANO["proc/swaps"])
    assert [swap.compressed for swap in zram] == [True, True] and zram[0].used == 1024 * 1024
    file = parse_swaps(AGX_ORIN["proc/swaps"])
    assert (file[0].bytes, file[0].compressed) == (16777212 * 1024, False) and parse_swaps("") == ()


def test_a_board_whole(tmp_path: Path) -> None:
    board = read_board(plant(tmp_path, ORIN_NANO))
    assert board.model.endswith("Developer Kit Super") and board.power is not None and board.power.name == "25W"
    assert board.gpu == (Clock("17000000.gpu", 306000000, 918000000, 306000000),) and not board.gpu[0].locked
    assert board.cpu[0].most == 1_344_000_000 and [clock.name for clock in board.others] == ["15340000.vic"]
    assert board.celsius == {"cpu-thermal": 47.875} and board.overcurrent == {"oc1": 0, "oc3": 5}
    assert board.cooling == {}  # a fan slows nothing down, the other one rests
    assert (board.memory_bytes, board.free_bytes) == (7802880 * 1024, 6100000 * 1024)
    assert read_board(plant(tmp_path / "agx", AGX_ORIN)).gpu[0].locked


def test_nvpmodel_is_asked_only_where_its_file_says_nothing(tmp_path: Path) -> None:
    asked = []

    def query() -> str:
        asked.append(1)
        return "NV Power Mode: 15W\n0\n"

    plant(tmp_path, ORIN_NANO)
    assert read_board(tmp_path, query).power is not None and asked == []
    (tmp_path / "var/lib/nvpmodel/status").unlink()
    power = read_board(tmp_path, query).power
    assert power is not None and power.name == "15W" and power.others[-1] == "MAXN_SUPER" and asked == [1]


def test_a_machine_without_any_of_it(tmp_path: Path) -> None:
    board = read_board(tmp_path)
    assert board == Board("", None, (), (), (), {}, {}, {}, 0, 0, 0, ())


def test_throttling_is_seen(tmp_path: Path) -> None:
    cold = read_board(plant(tmp_path, ORIN_NANO))
    assert throttled(cold, cold) == ()
    plant(tmp_path, {f"{OVER}/oc3_event_cnt": "9"})
    assert throttled(cold, read_board(tmp_path)) == ("oc3: 4 over-current events",)
    plant(tmp_path, {"sys/class/thermal/cooling_device1/cur_state": "1"})
    hot = read_board(tmp_path)
    assert throttled(cold, cold, (hot,)) == ("gpu-throttle-alert was active",)
    assert throttled(cold, dataclasses.replace(cold, throttles=2)) == ("the processor throttled 2 times",)


def test_a_clock_that_is_not_shown_is_not_locked(tmp_path: Path) -> None:
    plant(tmp_path, {f"{GPU}/cur_freq": "1"})
    assert not read_board(tmp_path).gpu[0].locked
