"""The two libraries of the TensorRT family in one table: where `tensorrt` and `tensorrt_rtx` differ, and nowhere else.

Takes a library's name, gives its row, and the imported module where somebody really builds or runs. Knows nothing of
bundles. Both have the same Python classes; what is called on them stands in build.py, network.py and runtime.py.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from policy_spec.errors import SessionError, UsageError, sentence

LEAST = (10, 3)  # of tensorrt: JetPack 6.2's
LEAST_RTX = (1, 2)  # capture on a stream asks for REQUIRE_USER_ALLOCATION, which came with it


@dataclass(frozen=True, slots=True)
class Library:
    """One row."""

    name: str  # import name
    target: str  # as `armside build --target` says it
    least: tuple[int, int]  # version
    ahead: tuple[str, ...]  # compute capabilities that it builds for without that GPU; none: the GPU at hand only
    timing_cache: bool  # keeps what it measured for the next build
    flags: tuple[str, ...]  # builder flags to set; TF32 is cleared in both
    runtime_cache: bool  # compiles kernels when a context is made, and can keep them
    install: str  # what to do where it is absent


LIBRARIES: dict[str, Library] = {
    row.name: row
    for row in (
        Library(
            name="tensorrt",
            target="tensorrt",
            least=LEAST,
            ahead=(),
            timing_cache=True,
            flags=(),
            runtime_cache=False,
            install="on a Jetson: sudo apt install python3-libnvinfer (JetPack 6.2 has 10.3, JetPack 7.2 has 10.16), "
            "and a virtual environment made with --system-site-packages; on a PC: pip install 'tensorrt<11'",
        ),
        Library(
            name="tensorrt_rtx",
            target="rtx",
            least=LEAST_RTX,
            ahead=("7.5", "8.0", "8.6", "8.9", "12.0", "12.1"),
            timing_cache=False,  # deprecated there, and does nothing
            flags=("REQUIRE_USER_ALLOCATION",),  # without it a call cannot be captured as a CUDA graph
            runtime_cache=True,
            install="pip install 'armside[tensorrt-rtx]'",
        ),
    )
}
TARGETS = {row.target: row for row in LIBRARIES.values()}
Import = Callable[[str], Any]


def library(name: str) -> Library:
    """The row by its import name or its target's. Raises UsageError listing what there is."""
    row = LIBRARIES.get(name) or TARGETS.get(name)
    if row is None:
        raise UsageError(sentence("TensorRT library", expected=" or ".join(TARGETS), got=name))
    return row


def installed() -> tuple[Library, ...]:
    """The rows whose library can be imported here; nothing is imported."""
    return tuple(row for row in LIBRARIES.values() if importlib.util.find_spec(row.name) is not None)


def version_of(row: Library) -> str:
    """The installed version, "" where it is absent; nothing is imported where its package says it."""
    if importlib.util.find_spec(row.name) is None:
        return ""
    try:
        return importlib.metadata.version(row.name)
    except importlib.metadata.PackageNotFoundError:  # Debian's package of a Jetson may have no record
        return str(getattr(open_library(row), "__version__", ""))


def open_library(row: Library, load: Import = importlib.import_module) -> Any:
    """The module. Raises SessionError where it is absent, broken or too old."""
    try:
        module = load(row.name)
    except ModuleNotFoundError as error:
        raise SessionError(sentence(f"{row.name} is not installed", do=row.install)) from error
    except (ImportError, OSError) as error:  # a library under it is missing
        raise SessionError(sentence(f"{row.name} cannot be loaded", got=error, do=row.install)) from error
    version = str(getattr(module, "__version__", "0.0"))
    if _two(version) < row.least:
        least = ".".join(str(part) for part in row.least)
        raise SessionError(
            sentence(f"version of {row.name}", expected=f"{least} or newer", got=version, do=row.install)
        )
    return module


def ahead_of(row: Library, capability: str) -> str:
    """The name of a compute capability in the library's own words, "8.6" -> "SM86". Raises UsageError where it cannot
    build for one that is not at hand.
    """
    if capability not in row.ahead:
        what = f"{row.name} cannot build ahead of time for compute capability {capability}"
        expected = f"one of {', '.join(row.ahead)}" if row.ahead else "no --capability: it builds for the GPU at hand"
        do = "build on the computer that runs it" if row.ahead else "run armside build on that computer itself"
        raise UsageError(sentence(what, expected=expected, got=capability, do=do))
    return "SM" + capability.replace(".", "")


def _two(version: str) -> tuple[int, int]:
    """Major and minor number; (0, 0) of what is no version."""
    parts = [int(part) if part.isdigit() else 0 for part in version.split(".")[:2]]
    return (parts[0], parts[1] if len(parts) > 1 else 0)
