"""The tree of the sources: a line for each file in docs/tree.md, of each room in the README, in their own words.

`python -m tests.house.tree` prints it, `--write` puts it into both pages; a test holds them together, so that no page
can fall behind the files.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "tree.md"
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


def tree_lines(deep: bool = True) -> Iterator[str]:
    """The whole tree; or its rooms alone."""
    rooms = sorted({f.parent.name for f in ROOT.glob("*/__init__.py")} - {"tests"}, key=_place)
    for room in rooms:
        yield _line(0, room + "/", summary(ROOT / room / "__init__.py"))
        if deep:
            yield from _inside(ROOT / room, 1)
    yield _line(0, "tests/", "by room; tests/house holds the contracts between them")
    yield _line(0, "configs/", "trainings of the simulated policy, for armside train")
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


def in_page(page: Path) -> list[str]:
    """The tree as a page has it."""
    found = FENCE.search(page.read_text())
    return found[2].splitlines() if found else []


def main() -> int:
    parser = argparse.ArgumentParser(description="The tree of the sources, from the files' own words.")
    parser.add_argument("--write", action="store_true", help="put it into docs/tree.md and README.md")
    if not parser.parse_args().write:
        print(*tree_lines(), sep="\n")
        return 0
    for page, deep in ((PAGE, True), (README, False)):
        text = "".join(line + "\n" for line in tree_lines(deep))
        page.write_text(FENCE.sub(lambda found, text=text: found[1] + text + found[3], page.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
