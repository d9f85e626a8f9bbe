"""Does what a Jetson installs exist? Resolves an extra against the package index for aarch64, for each JetPack.

    python -m bench.aarch64_wheels [--jetpack 6.2] [--extra edge] [--also 'cuda-python<13'] [--download DIR]

Runs anywhere with a network, on pip's own resolver: wheels alone, for that Python and glibc, with the versions of
constraints.txt. pip reads markers (`python_version < "3.11"`) for the Python that runs it, so they are evaluated here
for the board's, and what pip left out for that reason is asked for again until nothing is missing. `--download` keeps
the wheels, for a board without a network: pip install --no-index --find-links DIR armside[edge].
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomlkit
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from armside.checks import parse_pins
from edge.jetson import LINES, Line

ROOT = Path(__file__).parents[1]
OLDEST_GLIBC = 17  # manylinux2014
PASSES = 5


@dataclass(frozen=True, slots=True)
class Found:
    """One distribution that the index has."""

    name: str  # canonical
    version: str
    file: str
    needs: tuple[str, ...]


def environment(python: str) -> dict[str, str]:
    """What markers are evaluated with: of a Jetson with that Python."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.12",
        "sys_platform": "linux",
        "platform_machine": "aarch64",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }


def platforms(glibc: str) -> list[str]:
    """Tags of wheels that such a system takes, newest first."""
    newest = int(glibc.partition(".")[2])
    tags = [f"manylinux_2_{minor}_aarch64" for minor in range(newest, OLDEST_GLIBC - 1, -1)]
    return [*tags, "manylinux2014_aarch64", "linux_aarch64"]


def wanted(requirements: Iterable[str], python: str, extras: Iterable[str] = ()) -> list[Requirement]:
    """Those whose marker holds there."""
    kept = []
    for text in requirements:
        requirement = Requirement(text)
        environments = [{**environment(python), "extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(e) for e in environments):
            kept.append(requirement)
    return kept


def closure(
    roots: Iterable[Requirement], found: Mapping[str, Found], python: str
) -> tuple[dict[str, Found], list[Requirement]]:
    """What is reached from the roots, and what of it is absent or of a version that somebody does not take."""
    reached: dict[str, Found] = {}
    missing, seen = [], set[str]()
    open_ones = list(roots)
    while open_ones:
        requirement = open_ones.pop()
        key = f"{canonicalize_name(requirement.name)} {sorted(requirement.extras)} {requirement.specifier}"
        if key in seen:
            continue
        seen.add(key)
        have = found.get(canonicalize_name(requirement.name))
        if have is None or not requirement.specifier.contains(have.version, prereleases=True):
            missing.append(requirement)
            continue
        reached[have.name] = have
        open_ones += wanted(have.needs, python, requirement.extras)
    return reached, missing


def parse_report(report: Mapping[str, Any]) -> dict[str, Found]:
    """Canonical name -> what `pip install --dry-run --report` chose."""
    rows = {}
    for item in report["install"]:
        metadata = item["metadata"]
        name = canonicalize_name(metadata["name"])
        file = item["download_info"]["url"].rpartition("/")[2]
        rows[name] = Found(name, metadata["version"], file, tuple(metadata.get("requires_dist", ())))
    return rows


def ask(requirements: Iterable[str], line: Line, folder: Path) -> dict[str, Found]:
    """pip's answer. Raises CalledProcessError with pip's words where something has no wheel."""
    pins = parse_pins((ROOT / "constraints.txt").read_text(), _numbers(line.python))
    (folder / "constraints.txt").write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--no-input"]
    command += ["--report", str(folder / "report.json"), "-c", str(folder / "constraints.txt")]
    command += ["--target", str(folder / "target"), *target_options(line), *requirements]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return parse_report(json.loads((folder / "report.json").read_text()))


def target_options(line: Line) -> list[str]:
    """pip's words for the board."""
    options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", line.python]
    return options + [word for platform in platforms(line.glibc) for word in ("--platform", platform)]


def resolve(roots: list[Requirement], line: Line) -> dict[str, Found]:
    """Everything that is installed there. ValueError where it does not close."""
    asked = [_plain(root) for root in roots]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(PASSES):
            reached, missing = closure(roots, ask(asked, line, Path(folder)), line.python)
            if not missing:
                return reached
            asked += [_plain(requirement) for requirement in missing]
    raise ValueError(f"not closed after {PASSES} passes: {', '.join(map(str, missing))}")


def extra_of(name: str) -> list[str]:
    """The requirements of the distribution with one extra."""
    project: Any = tomlkit.parse((ROOT / "pyproject.toml").read_text())["project"]
    return [*map(str, project["dependencies"]), *map(str, project["optional-dependencies"][name])]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jetpack", choices=[line.name for line in LINES], help="one alone (default: all)")
    parser.add_argument("--extra", default="edge")
    parser.add_argument("--also", action="append", default=[], metavar="SPEC", help="one more requirement")
    parser.add_argument("--download", type=Path, metavar="DIR", help="keep the wheels in DIR/jetpack-NAME")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    result, failed = {}, False
    for line in (line for line in LINES if args.jetpack in (None, line.name)):
        roots = wanted([*extra_of(args.extra), *args.also], line.python)
        try:
            found = resolve(roots, line)
        except subprocess.CalledProcessError as error:
            print(f"JetPack {line.name}, Python {line.python}: pip found no way\n{error.stderr}", file=sys.stderr)
            failed = True
            continue
        print(f"\nJetPack {line.name}, Python {line.python}, glibc {line.glibc}: {len(found)} wheels\n")
        print(
            "\n".join(["| package | version | wheel |", "|---|---|---|", *map(_row, sorted(found.values(), key=_name))])
        )
        result[line.name] = [asdict(one) for one in sorted(found.values(), key=_name)]
        if args.download:
            _download(found.values(), line, args.download / f"jetpack-{line.name}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return int(failed)


def _download(found: Iterable[Found], line: Line, folder: Path) -> None:
    specs = [f"{one.name}=={one.version}" for one in found]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, *target_options(line), *specs], check=True)


def _row(one: Found) -> str:
    """The wheel's tags: all of its name behind the version."""
    return f"| {one.name} | {one.version} | {'-'.join(one.file.removesuffix('.whl').split('-')[-3:])} |"


def _name(one: Found) -> str:
    return one.name


def _plain(requirement: Requirement) -> str:
    """Without its marker, which pip would evaluate for itself."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _numbers(python: str) -> tuple[int, int]:
    major, minor = python.split(".")
    return int(major), int(minor)


if __name__ == "__main__":
    sys.exit(main())
