"""The pages against the program: verbs, options, make targets, files in the tree and links all exist."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from armside.cli import VERBS, build_parser
from tests.house.tree import PAGE, README, in_page, summary, tree_lines

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def shell_lines(text: str) -> Iterator[list[str]]:
    """The words of each command in fenced shell blocks, comments and line ends joined away."""
    for block in re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                if words:
                    yield words


def verb_parser(verb: str) -> argparse.ArgumentParser:
    """The parser of one verb."""
    actions = build_parser(verb)._subparsers._group_actions  # argparse has no public way to it
    return actions[0].choices[verb]


def problems(text: str) -> Iterator[str]:
    """What a page says that the program does not know."""
    for words in shell_lines(text):
        if words[0] == "make":
            given = [w for w in words[1:] if "=" not in w]
            yield from (f"make {w}" for w in given if w not in TARGETS)
        if words[0] == "armside" and not words[1].startswith("-"):
            yield from _verb_problems(words)


def _verb_problems(words: list[str]) -> Iterator[str]:
    verb = words[1]
    if verb not in VERBS:
        yield f"armside {verb}"
        return
    parser, name = verb_parser(verb), verb
    beneath = words_of(parser)
    if beneath and len(words) > 2 and not words[2].startswith("-"):
        if words[2] not in beneath:
            yield f"armside {verb} {words[2]}"
            return
        parser, name = beneath[words[2]], f"{verb} {words[2]}"
    known = parser._option_string_actions
    yield from (
        f"armside {name} {w}" for w in words[2:] if w.startswith("--") and w.partition("=")[0] not in known
    )


def words_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The words of a verb that has some of its own, such as `bridge stop`."""
    actions = parser._subparsers._group_actions if parser._subparsers else []
    return actions[0].choices if actions else {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    assert list(problems(page.read_text())) == []


def test_the_readme_names_the_two_commands() -> None:
    commands = [" ".join(words) for words in shell_lines((ROOT / "README.md").read_text())]
    assert "make demo" in commands and "make test" in commands


def test_what_does_not_exist_is_found() -> None:
    page = "```sh\nmake coffee\narmside fly --high\narmside init x --preset tiny --wings   # no\n"
    page += "armside bridge stop --cut --wings\narmside bridge fly\narmside bridge --robot x --wings\n```\n"
    wrong = ["armside init --wings", "armside bridge stop --wings", "armside bridge fly", "armside bridge --wings"]
    assert list(problems(page)) == ["make coffee", "armside fly", *wrong]


def test_the_tree_is_what_the_files_say() -> None:
    for page, deep in ((PAGE, True), (README, False)):
        assert in_page(page) == list(tree_lines(deep)), "python -m tests.house.tree --write"


def test_a_summary_is_one_short_sentence(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text('"""One thing, done well: v1.2 of it.\nAnd more. And more."""\n')
    assert summary(file) == "One thing, done well: v1.2 of it"
    file.write_text(f'"""{"word " * 15}that: ends here, {"long " * 10}."""\n')
    assert summary(file) == "word " * 15 + "that"  # at the colon, though a comma would leave more
    file.write_text(f'"""`a name`: what it does, {"word " * 20}."""\n')
    assert summary(file) == "`a name`: what it does"
    file.write_text(f'"""{"word " * 15}that, ends here, {"long " * 10}."""\n')
    assert summary(file) == "word " * 15 + "that, ends here"
    assert all(len(line) <= 130 for line in tree_lines())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_test_that_safety_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+(?:\.py)?)`", (ROOT / "docs" / "safety.md").read_text()))
    files = list((ROOT / "tests").rglob("test_*.py"))
    there = {file.name for file in files}
    there |= {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)}
    assert len(named) > 30 and named - there == set()
    assert "test_no_such_thing" not in there
