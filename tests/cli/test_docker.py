"""The Dockerfiles as far as they can be read without building: versions, rooms, users, pins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.jetson import LINES, Line
from tests.house.test_rooms import ROOMS

ROOT = Path(__file__).parents[2]


def problems(text: str, line: Line) -> Iterator[str]:
    """What is wrong with a Dockerfile for that JetPack."""
    words = re.sub(r"\\\n", " ", text)
    steps = re.findall(r"^([A-Z]+) (.*)$", words, re.MULTILINE)
    bases = [what for step, what in steps if step == "FROM"]
    if not bases or any(not re.fullmatch(r"nvcr\.io/nvidia/[\w/-]+:(?!latest)[\w.-]+", base) for base in bases):
        yield f"base: {bases}"
    users = [what for step, what in steps if step == "USER"]
    if not users or users[-1] in ("root", "0"):
        yield "runs as root"
    if f"TENSORRT={line.package}" not in text:
        yield f"TensorRT is not {line.package}"
    if f"'cuda-python>={line.cuda.partition('.')[0]}." not in text:
        yield f"cuda-python is not of CUDA {line.cuda}"
    for step in (what for name, what in steps if name == "RUN" and "apt-get install" in what):
        if step.count("apt-get install") != step.count("--no-install-recommends"):
            yield "installs what is only recommended"
        if "rm -rf /var/lib/apt/lists/*" not in step:
            yield "keeps the package lists"
    copied = {word for name, what in steps if name == "COPY" for word in what.split()[:-1]}
    yield from (f"{word} is not there" for word in copied if not (ROOT / word).exists())
    yield from (f"{room} is not copied" for room in set(ROOMS) - copied)


def dockerfile(line: Line) -> Path:
    return ROOT / "docker" / f"Dockerfile.jetpack-{line.name}"


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_a_dockerfile_for_each_jetpack(line: Line) -> None:
    assert list(problems(dockerfile(line).read_text(), line)) == []
    assert (ROOT / line.page).is_file()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("nvcr.io/nvidia/l4t-jetpack:r36.4.0", "nvcr.io/nvidia/l4t-jetpack:latest"), "base"),
        (("USER armside", "USER root"), "as root"),
        (("TENSORRT=10.3.0.30-1+cuda12.5", "TENSORRT=10.16.2.10-1+cuda13.2"), "TensorRT is not"),
        (("cuda-python>=12.6,<13", "cuda-python>=13,<14"), "cuda-python is not"),
        ((" --no-install-recommends python3-venv", " python3-venv"), "only recommended"),
        (("&& rm -rf /var/lib/apt/lists/*", "&& true"), "package lists"),
        (("COPY quant quant", "COPY quants quant"), "quant"),
    ],
)
def test_each_rule_finds_what_it_is_for(change: tuple[str, str], word: str) -> None:
    text = dockerfile(LINES[0]).read_text()
    assert change[0] in text
    assert any(word in problem for problem in problems(text.replace(*change), LINES[0]))
