"""How our files read, where a machine can tell: length, excepts, leftovers, asserting tests."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_LINES = 400
MAX_FUNCTION_LINES = 70
MAX_PARAMETERS = 6
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
ONE_MACHINE = re.compile(r"(/home/\w+|/root|/work)/")
ASSERTING = {"raises", "warns", "fail", "skip", "importorskip"}


def python_files() -> list[Path]:
    """Every Python file that git would take; without git, every one outside hidden folders."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "--", "*.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800)
    if done.returncode == 0:
        return [ROOT / name for name in done.stdout.split() if (ROOT / name).is_file()]
    return [
        f for f in ROOT.rglob("*.py") if not any(part.startswith(".") for part in f.relative_to(ROOT).parts)
    ]


def problems(text: str, name: str) -> Iterator[str]:
    """What is wrong with one file, one line each."""
    lines = text.splitlines()
    ours = not name.startswith("tests/")
    if ours and len(lines) > MAX_LINES:
        yield f"{name}: {len(lines)} lines, at most {MAX_LINES}"
    for number, line in enumerate(lines, 1):
        if name != "tests/house/test_style.py" and (LEFTOVER.search(line) or ONE_MACHINE.search(line)):
            yield f"{name}:{number}: {line.strip()[:80]}"
    tree = ast.parse(text)
    if ours and not ast.get_docstring(tree) and lines:
        yield f"{name}: does not open with what it does"
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{name}:{node.lineno}: bare except"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _function_problems(node, name, ours)


def _function_problems(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str, ours: bool) -> Iterator[str]:
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    if ours and length > MAX_FUNCTION_LINES:
        yield f"{name}:{node.lineno} {node.name}: {length} lines, at most {MAX_FUNCTION_LINES}"
    given = [
        a
        for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if a.arg not in ("self", "cls")
    ]
    if ours and len(given) > MAX_PARAMETERS:
        yield f"{name}:{node.lineno} {node.name}: {len(given)} parameters, at most {MAX_PARAMETERS}"
    if not ours and node.name.startswith("test_") and not any(_asserts(inner) for inner in ast.walk(node)):
        yield f"{name}:{node.lineno} {node.name}: asserts nothing itself"


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    word = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return word in ASSERTING or word.startswith(("assert", "check", "wait_for"))  # wait_for fails in time


def test_our_files_read_as_agreed() -> None:
    files = python_files()
    assert len(files) > 30
    found = [line for f in files for line in problems(f.read_text(), f.relative_to(ROOT).as_posix())]
    assert found == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('"""A."""\n' + "x = 1\n" * 400, "401 lines"),
        ("x = 1\n", "does not open"),
        ('"""A."""\ntry:\n    pass\nexcept:\n    pass\n', "bare except"),
        ('"""A."""\n# TODO later\n', "TODO later"),
        ('"""A."""\nPATH = "/home/someone/data"\n', "/home/someone"),
        ('"""A."""\ndef f(a, b, c, d, e, g, h):\n    return a\n', "7 parameters"),
        ('"""A."""\ndef f():\n' + "    x = 1\n" * 70, "71 lines"),
    ],
)
def test_each_rule_finds_what_it_is_for(text: str, word: str) -> None:
    assert [word in line for line in problems(text, "room/file.py")] == [True]


def test_a_test_that_asserts_nothing_is_found() -> None:
    assert "asserts nothing" in next(problems("def test_x():\n    run()\n", "tests/test_x.py"))
    assert list(problems("def test_x():\n    check_all()\n", "tests/test_x.py")) == []
