"""The tree of the README: a line for each file, in the file's own words.

`python -m tests.house.tree` prints it, `--write` puts it into README.md; a test holds the two together, so the page
cannot fall behind the files.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FENCE = re.compile(r"(^## The tree\n+```\n)(.*?)(^```)", re.MULTILINE | re.DOTALL)
WIDEST = 92  # letters of a summary
NAME = 30  # letters: what is shorter is a name, not a summary
# Where a folder's place in the road matters more than the alphabet; folders that come later are added at the end.
ORDER = (
    "armside", "policy_spec", "episodes", "train", "export", "quant", "edge", "firmware_bridge", "calib", "sim",
    "bench",
)  # fmt: skip


def summary(file: Path) -> str:
    """The first sentence of a file's docstring, cut at a comma or colon where it is long."""
    words = " ".join((ast.get_docstring(ast.parse(file.read_text())) or "").split())
    sentence = re.split(r"(?<=[^.])[.] ", words + " ")[0].rstrip(" .")
    while len(sentence) > WIDEST or not _whole(sentence):
        # At a colon or semicolon first: what stands before it is whole, which a list cut at a comma is not. But a name
        # alone before it says nothing.
        shorter = re.split(r"[:;] (?!.*[:;] )", sentence)[0]
        if shorter == sentence or len(shorter) < NAME:
            shorter = re.split(r", (?!.*, )", sentence)[0]
        if shorter == sentence:
            return sentence[:WIDEST].rsplit(" ", 1)[0] + " ..."
        sentence = shorter
    return sentence


def _whole(sentence: str) -> bool:
    """Whether every bracket and backtick that opens closes again."""
    return sentence.count("(") == sentence.count(")") and sentence.count("`") % 2 == 0


def tree_lines() -> Iterator[str]:
    """The whole tree."""
    rooms = sorted({f.parent.name for f in ROOT.glob("*/__init__.py")} - {"tests"}, key=_place)
    for room in rooms:
        yield _line(0, room + "/", summary(ROOT / room / "__init__.py"))
        yield from _inside(ROOT / room, 1)
    yield _line(0, "tests/", "by room; tests/house holds the contracts between them")
    yield _line(0, "docs/", "architecture, install, hardware, decisions")


def _inside(folder: Path, depth: int) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if (path / "__init__.py").is_file():
            yield _line(depth, path.name + "/", summary(path / "__init__.py"))
            yield from _inside(path, depth + 1)
        elif path.suffix == ".py" and not path.name.startswith("__"):
            yield _line(depth, path.name, summary(path))


def _place(room: str) -> tuple[int, str]:
    return (ORDER.index(room) if room in ORDER else len(ORDER), room)


def _line(depth: int, name: str, words: str) -> str:
    return f"{'  ' * depth + name:<26}{words}".rstrip()


def in_readme() -> str:
    """The tree as the README has it."""
    found = FENCE.search(README.read_text())
    return found[2] if found else ""


def main() -> int:
    parser = argparse.ArgumentParser(description="The README's tree, from the files' own words.")
    parser.add_argument("--write", action="store_true", help="put it into README.md")
    text = "".join(line + "\n" for line in tree_lines())
    if not parser.parse_args().write:
        print(text, end="")
        return 0
    README.write_text(FENCE.sub(lambda found: found[1] + text + found[3], README.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
