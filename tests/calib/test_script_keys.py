"""Every question that a procedure can ask is in the table of docs/calibration.md, so that a script can answer it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/calibration.md"
ASKERS = {"Question": 0, "_skips": 1, "again": 0}  # a call -> which argument is the key


def asked(tree: ast.AST) -> Iterator[str]:
    """Keys as they stand in the code; what is filled in becomes <>."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        place = ASKERS.get(name)
        if place is None or len(node.args) <= place:
            continue
        key = node.args[place]
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value
        elif isinstance(key, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "<>" for part in key.values)


def told() -> set[str]:
    """Keys of the page's table."""
    section = PAGE.read_text().partition("## Without a person")[2]
    cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return {re.sub("<.*?>", "<>", key) for cell in cells for key in re.findall("`(.+?)`", cell)}


def test_every_question_is_told() -> None:
    files = [*(ROOT / "calib").rglob("*.py"), *(ROOT / "armside").glob("*.py")]
    found = {key: path.name for path in files for key in asked(ast.parse(path.read_text()))}
    assert len(found) > 20
    unknown = {key: name for key, name in found.items() if key not in told()}
    assert not unknown, f"not in docs/calibration.md, 'Without a person': {unknown}"
    gone = told() - set(found) - {"pose.<>"}  # whose key the code puts together elsewhere
    assert not gone, f"in the page, but nobody asks it: {gone}"


def test_an_unknown_one_is_found() -> None:
    (key,) = asked(ast.parse('person.ask(Question(f"new.{joint}", "Really?"))'))
    assert key == "new.<>" and key not in told()
