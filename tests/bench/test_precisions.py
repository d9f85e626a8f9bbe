"""The benchmarks of precisions and of quantizers, on the tiny preset: their rows, their accounts, that they resume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from armside.plan_stages import count_checkpoint
from bench import precisions, quantizers
from bench.float_graphs import action_error
from bench.precision_page import markdown, write_png
from bench.precision_rows import PRECISION, rows_of
from bench.precision_time import by_operator, speed
from export.build import GraphOptions
from quant.precisions import PRECISIONS

ONCE = ["--rounds", "1", "--samples", "1", "--calibration", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


def test_every_precision_is_a_row_and_groups_that_do_not_divide_are_none(tiny_checkpoint: Path) -> None:
    rows = {row.name: row for row in rows_of(count_checkpoint(tiny_checkpoint, GraphOptions()).graphs)}
    assert {name for name, row in rows.items() if row.kind == PRECISION} == set(PRECISIONS)
    assert [name for name, row in rows.items() if not row.timed] == ["bf16"]
    assert "llm: int4-g32" in rows and "llm: int4-g128" not in rows  # 64 columns


def test_a_run_is_measured_once_and_taken_up_again(
    tiny_checkpoint: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ["--checkpoint", str(tiny_checkpoint), "--folder", str(folder), *ONCE, "--only", "fp32", "int8"]
    args = precisions.parser().parse_args(wanted)
    result = precisions.run(args)
    full, int8, control = result["rows"]
    assert (full["cosine"], full["max_abs"]) == (1.0, 0.0) and full["where"]["conversions"] < 0.01
    assert 0.999 < int8["cosine"] < 1 and int8["bytes"] < full["bytes"] and int8["where"]["conversions"] > 0.01
    assert control["cosine"] < 0.9 and int8["peak_gb"] > int8["before_gb"] > 0
    lines = markdown(result).splitlines()
    assert [line.split(" | ")[0] for line in lines[-3:]] == ["| fp32", "| int8", f"| {precisions.CONTROL}"]
    write_png(folder / "chart.png", result)
    assert (folder / "chart.png").read_bytes().startswith(b"\x89PNG")

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(precisions, "measure", never)
    assert precisions.run(args)["rows"][:2] == result["rows"][:2]
    args.rounds = 2
    with pytest.raises(AssertionError, match="again"):
        precisions.run(args)


def test_quantizers_are_compared_and_one_that_fails_is_a_result(tiny_checkpoint: Path, folder: Path) -> None:
    names = ["int8-w8a8", "int8-w8a8-static", "MatMulNBits, RTN", "ORTQuantizer, dynamic avx512_vnni"]
    wanted = ["--checkpoint", str(tiny_checkpoint), "--folder", str(folder), *ONCE, "--only", *names]
    args = quantizers.parser().parse_args([*wanted, "--optimum-python", "/bin/false"])
    result = quantizers.run(args)
    found = {row["name"]: row for row in result["rows"]}
    assert found["ORTQuantizer, dynamic avx512_vnni"]["failed"].startswith("RuntimeError")
    rows, static, theirs = (found[name] for name in ("int8-w8a8", "int8-w8a8-static", "MatMulNBits, RTN"))
    assert rows["llm"]["relative"] < static["llm"]["relative"] < theirs["llm"]["relative"] < 0.5
    assert theirs["bytes"] < rows["bytes"] < result["bytes"] and rows["tensorrt"] == "not asked"
    assert json.dumps(result) and quantizers.markdown(result).count("\n") == 3 + len(names)


def test_a_chunk_that_is_no_number_is_all_wrong() -> None:
    full = [np.ones((1, 2, 3), np.float32)]
    assert action_error(full, full).cosine == pytest.approx(1.0)
    assert action_error([full[0] * np.nan], full).max_abs == np.inf


def test_time_is_counted_by_what_it_is_for() -> None:
    nodes = [
        ("a", "MatMul"),
        ("b.abs", "Abs"),
        ("c", "QuantizeLinear"),
        ("d", "Softmax"),
        ("e/MatMulAddFusion", "Gemm"),
    ]
    events = [
        {"cat": "Node", "name": f"{name}_kernel_time", "args": {"op_name": op}, "dur": 1 if run else 100}
        for run in range(3)
        for name, op in nodes
    ]
    assert by_operator(events) == {"products": 4, "conversions": 4, "Softmax": 2}


def test_ratios_are_of_each_round() -> None:
    told = speed({"eager": [1.0, 4.0, 9.0], "graphs": [1.0, 2.0, 3.0]})
    assert (told["faster"], told["faster_least"], told["faster_most"]) == (2.0, 1.0, 3.0)
    assert told["eager_ms"] == 4000
