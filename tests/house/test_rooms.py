"""The rooms as installed: who owns their names, who may import whom, and what the robot side never loads."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from armside.extras import EXTRAS

ROOT = Path(__file__).parents[2]
# The wheel's own lists: rooms, and beginnings of the names of modules that need what the robot does not have.
_CHECK = runpy.run_path(str(ROOT / ".ci" / "wheel_check.py"))
ROBOT_SIDE, WORKSTATION = _CHECK["ROBOT_SIDE"], _CHECK["WORKSTATION"]
HEAVY = ("torch", "transformers", "onnx", "onnxscript", "huggingface_hub", "pyarrow", "av", "mujoco")


def read_pyproject() -> dict:
    """pyproject.toml; on Python 3.10 through the copy of tomllib that pytest brings."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


PROJECT = read_pyproject()
ROOMS = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def owners(distributions: Iterable[importlib.metadata.Distribution]) -> dict[str, set[str]]:
    """Import name -> the distributions that install something under it."""
    found: dict[str, set[str]] = {}
    for distribution in distributions:
        lines = (distribution.read_text("RECORD") or "").splitlines()
        for top in {line.partition(",")[0].partition("/")[0].removesuffix(".py") for line in lines}:
            found.setdefault(top, set()).add(distribution.metadata["Name"])
    return found


def test_no_other_distribution_owns_a_room() -> None:
    names = owners(importlib.metadata.distributions())
    assert "pytest" in names["pytest"]  # the reading works
    assert {room: names[room] for room in ROOMS if names.get(room, set()) - {"armside"}} == {}


def test_a_foreign_owner_is_found(tmp_path: Path) -> None:
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "RECORD").write_text("edge/__init__.py,,\nstranger-1.0.dist-info/RECORD,,\n")
    names = owners(importlib.metadata.distributions(path=[str(tmp_path)]))
    assert names["edge"] == {"stranger"}


def test_every_room_is_in_the_wheel_and_opens_with_a_docstring() -> None:
    folders = {f.parent.name for f in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert folders == set(ROOMS)
    for room in ROOMS:
        assert (ROOT / room / "__init__.py").read_text().startswith('"""'), room


def imports_of(room: Path) -> set[str]:
    """The top-level names of other people's packages that a room imports anywhere."""
    nodes = [node for file in room.rglob("*.py") for node in ast.walk(ast.parse(file.read_text()))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_every_import_belongs_to_an_extra(room: str) -> None:
    """What came only as the package of a package has no line in `doctor`, and its absence is a traceback."""
    known = {name for packages in EXTRAS.values() for name in packages.values()}
    assert imports_of(ROOT / room) - known == set()


def test_the_extras_that_doctor_knows_are_those_of_pyproject() -> None:
    declared = {"base": PROJECT["project"]["dependencies"], **PROJECT["project"]["optional-dependencies"]}
    for extra, packages in EXTRAS.items():
        names = {re.match(r"[\w-]+", line)[0] for line in declared[extra]}
        assert names == set(packages), extra


@pytest.mark.parametrize("room", ROBOT_SIDE)
def test_the_robot_side_loads_nothing_heavy(room: str) -> None:
    """Every module of the room, in a fresh interpreter where the heavy packages cannot be imported at all."""
    code = f"""
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({HEAVY!r}))  # None: an import of it raises ModuleNotFoundError
package = importlib.import_module({room!r})
modules = pkgutil.walk_packages(package.__path__, {room!r} + ".")
names = [m.name for m in modules if not m.name.endswith("__main__") and not m.name.startswith({WORKSTATION!r})]
for name in names:
    importlib.import_module(name)
print(len(names))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_a_heavy_import_would_be_seen(tmp_path: Path) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); import torch"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=800)
    assert done.returncode == 1 and "ModuleNotFoundError" in done.stderr


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).parent
    program = shutil.which("lint-imports", path=str(beside)) or shutil.which("lint-imports")
    if program is None:
        pytest.skip("import-linter is not installed")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, timeout=800
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rooms and their contracts elsewhere, to plant violations in."""
    folder = tmp_path_factory.mktemp("house")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_contracts_are_kept(copy: Path) -> None:
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout + done.stderr


VIOLATIONS = [
    ("policy_spec", "import torch"),
    ("policy_spec", "import edge"),
    ("firmware_bridge", "import policy_spec.errors"),
    ("episodes", "import torch"),
    ("train", "import export"),
    ("export", "import quant"),
    ("export", "import episodes"),
    ("quant", "import torch"),
    ("edge", "import onnx"),
    ("calib", "import edge"),
    ("calib", "import cv2"),
    ("sim", "import torch"),
    ("sim", "import edge"),
    ("train", "import sim"),
    ("edge", "import train.presets"),
    ("edge", "import firmware_bridge.daemon"),
]


@pytest.fixture(scope="module")
def planted(copy: Path) -> str:
    """What lint-imports says with all of them planted at once, each in a file of its own: one run takes seconds."""
    files = [copy / room / f"planted_{index}.py" for index, (room, _) in enumerate(VIOLATIONS)]
    for file, (_, line) in zip(files, VIOLATIONS, strict=True):
        file.write_text(line + "\n")
    try:
        done = lint_imports(copy)
    finally:
        for file in files:
            file.unlink()
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("index", range(len(VIOLATIONS)), ids=[f"{room}: {line}" for room, line in VIOLATIONS])
def test_a_planted_violation_breaks_its_contract(planted: str, index: int) -> None:
    room, line = VIOLATIONS[index]
    assert f"{room}.planted_{index} -> {line.removeprefix('import ')} (l.1)" in planted, planted


def test_edge_may_take_the_bridges_client(copy: Path) -> None:
    planted = copy / "edge" / "planted.py"
    allowed = ("client", "messages", "errors")
    planted.write_text("".join(f"import firmware_bridge.{name}\n" for name in allowed))
    try:
        assert lint_imports(copy).returncode == 0
    finally:
        planted.unlink()
