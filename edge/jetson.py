"""Which JetPack a Jetson runs and what belongs to it: two tables, and the texts that they are looked up by.

Takes texts of files; gives versions and rows. Pure: nothing is opened here. Sources: docs/sources.md (Jetson software).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A JetPack that Armside is made for: all releases of it share Ubuntu, Python, CUDA and TensorRT."""

    name: str  # 6.2
    ubuntu: str
    python: str  # the system's, which TensorRT's bindings are built for
    glibc: str
    cuda: str
    tensorrt: str  # version of its Python package
    package: str  # version of the Debian packages libnvinfer10 and python3-libnvinfer
    page: str  # how to install there


@dataclass(frozen=True, slots=True)
class Release:
    """What /etc/nv_tegra_release says, in the words that people use."""

    linux: str  # Jetson Linux: 36.4.3
    jetpack: str  # 6.2; "" where the table has no row
    line: Line | None  # None: another JetPack, older, newer or of Thor alone

    @property
    def text(self) -> str:
        """`Jetson Linux 36.4.3, JetPack 6.2`."""
        return f"Jetson Linux {self.linux}, " + (f"JetPack {self.jetpack}" if self.jetpack else "an unknown JetPack")


LINES = (
    Line("6.2", "22.04", "3.10", "2.35", "12.6", "10.3.0", "10.3.0.30-1+cuda12.5", "docs/install-jetpack-6.2.md"),
    Line("7.2", "24.04", "3.12", "2.39", "13.2", "10.16.2", "10.16.2.10-1+cuda13.2", "docs/install-jetpack-7.2.md"),
)
# Jetson Linux -> JetPack, from NVIDIA's archive. 36.4.7 is an update of packages that got no JetPack of its own.
JETPACKS = {
    "36.2.0": "6.0 DP", "36.3.0": "6.0", "36.4.0": "6.1", "36.4.2": "6.1.1", "36.4.3": "6.2", "36.4.4": "6.2.1",
    "36.4.7": "6.2.1", "36.5.0": "6.2.2", "36.5.2": "6.2.3", "38.2.0": "7.0", "38.2.1": "7.0", "38.4.0": "7.1",
    "39.2.0": "7.2", "39.2.1": "7.2.1",
}  # fmt: skip


def parse_release(text: str) -> Release | None:
    """Of /etc/nv_tegra_release (`# R36 (release), REVISION: 4.3, ...`); None where that is not its first line."""
    match = re.match(r"# R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", text)
    if match is None:
        return None
    linux = f"{match[1]}.{match[2]}"
    jetpack = JETPACKS.get(linux, "")
    return Release(linux, jetpack, next((line for line in LINES if belongs(jetpack, line.name)), None))


def belongs(version: str, to: str) -> bool:
    """Whether 6.2.1 is one of 6.2: equal in the numbers that the shorter one has."""
    return version == to or version.startswith(to + ".")


def line_of_tensorrt(version: str) -> Line | None:
    """The JetPack that brings this TensorRT (10.3.0, 10.3.0.30-1+cuda12.5), by its first two numbers."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return next((line for line in LINES if numbers and belongs(line.tensorrt, numbers[0])), None)


def dpkg_version(status: str, package: str) -> str:
    """Version of an installed Debian package, from /var/lib/dpkg/status; "" where it is not installed."""
    # Stanzas are apart by an empty line; the fields wanted have one line each.
    for stanza in status.split("\n\n"):
        found: list[tuple[str, str]] = re.findall(r"^(Package|Status|Version): (.*)$", stanza, re.MULTILINE)
        fields = dict(found)
        if fields.get("Package") == package and fields.get("Status", "").endswith(" installed"):
            return fields.get("Version", "")
    return ""


def group_members(text: str) -> dict[str, tuple[str, ...]]:
    """Group -> members, of /etc/group. Primary groups of users stand elsewhere."""
    rows = (line.split(":") for line in text.splitlines())
    return {row[0]: tuple(filter(None, row[3].split(","))) for row in rows if len(row) == 4}
