"""Which wheels a Jetson needs: the closure over what an index said, without a network."""

from __future__ import annotations

import subprocess

import pytest
from packaging.requirements import Requirement

from bench import aarch64_wheels
from bench.aarch64_wheels import Found, closure, environment, extra_of, parse_report, platforms, resolve, wanted
from edge.jetson import LINES

INDEX = {
    "a": Found(
        "a", "1.5", "a-1.5-py3-none-any.whl", ("b-c>=2", 'old; python_version < "3.11"', 'win; os_name == "nt"')
    ),
    "b-c": Found("b-c", "2.1", "b_c-2.1.whl", ('deep; extra == "more"',)),
    "old": Found("old", "0.1", "old-0.1.whl", ()),
    "deep": Found("deep", "3", "deep-3.whl", ()),
    "not-asked-for": Found("not-asked-for", "1", "x.whl", ()),
}


def test_markers_are_those_of_the_board() -> None:
    for python, names in (("3.10", {"a", "b-c", "old"}), ("3.12", {"a", "b-c"})):
        reached, missing = closure([Requirement("a")], INDEX, python)
        assert set(reached) == names and missing == []
    reached, _ = closure([Requirement("B_C[more]")], INDEX, "3.12")
    assert set(reached) == {"b-c", "deep"}
    assert environment("3.10")["platform_machine"] == "aarch64"


def test_what_is_absent_or_of_a_wrong_version_is_missing() -> None:
    without = {name: found for name, found in INDEX.items() if name != "old"}
    assert [str(r) for r in closure([Requirement("a")], without, "3.10")[1]] == ['old; python_version < "3.11"']
    assert [str(r) for r in closure([Requirement("a<1.5")], INDEX, "3.10")[1]] == ["a<1.5"]


def test_wheels_that_a_board_takes() -> None:
    tags = {line.name: platforms(line.glibc) for line in LINES}
    assert "manylinux_2_35_aarch64" in tags["6.2"] and "manylinux_2_36_aarch64" not in tags["6.2"]
    assert "manylinux_2_39_aarch64" in tags["7.2"] and "manylinux_2_17_aarch64" in tags["7.2"]


def test_the_extra_is_that_of_the_project() -> None:
    names = {requirement.name for requirement in wanted(extra_of("edge"), "3.10")}
    assert {"onnxruntime", "numpy", "pyserial"} <= names and "torch" not in names
    ort = [str(r.specifier) for r in wanted(extra_of("edge"), "3.10") if r.name == "onnxruntime"]
    assert ort == ["<1.24,>=1.20"]  # of two lines the one of that Python


def test_pip_is_asked_again_for_what_its_own_python_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def ask(requirements: list[str], line: object, folder: object) -> dict[str, Found]:
        asked.append(list(requirements))
        return {name: INDEX[name] for name in ("a", "b-c", *(["old"] if "old" in requirements else []))}

    monkeypatch.setattr(aarch64_wheels, "ask", ask)
    assert set(resolve([Requirement("a")], LINES[0])) == {"a", "b-c", "old"} and asked == [["a"], ["a", "old"]]
    monkeypatch.setattr(aarch64_wheels, "ask", lambda requirements, line, folder: {"a": INDEX["a"]})
    with pytest.raises(ValueError, match="not closed"):
        resolve([Requirement("a")], LINES[0])


def test_a_package_without_a_wheel_fails_loudly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def ask(*_: object) -> None:
        raise subprocess.CalledProcessError(1, "pip", stderr="No matching distribution found for a")

    monkeypatch.setattr(aarch64_wheels, "ask", ask)
    monkeypatch.setattr("sys.argv", ["aarch64_wheels", "--jetpack", "6.2"])
    assert aarch64_wheels.main() == 1 and "No matching distribution" in capsys.readouterr().err


def test_a_report_of_pip() -> None:
    item = {
        "metadata": {"name": "B_C", "version": "2.1", "requires_dist": ["x"]},
        "download_info": {"url": "https://files/b_c-2.1-py3-none-any.whl"},
    }
    assert parse_report({"install": [item]}) == {"b-c": Found("b-c", "2.1", "b_c-2.1-py3-none-any.whl", ("x",))}
