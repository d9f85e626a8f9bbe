"""What `armside doctor` looks at on a Jetson: JetPack, TensorRT, power mode, clocks, and what both lines are known for.

Takes a Machine, gives Checks. Elsewhere it says that this is none, and looks for an NVIDIA driver. Opens no device.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from armside.checks import NOTE, OK, Check, Machine
from edge.board import Board, ask_nvpmodel, read_board
from edge.jetson import LINES, Line, Release, dpkg_version, line_of_tensorrt, parse_release
from edge.power import fastest, parse_modes

GROUP = "accelerator"
CONF = "etc/nvpmodel.conf"
DLA = "usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so"  # TensorRT is linked to it, also where no DLA is
TENSORRT = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13")  # distributions that bring `import tensorrt`


def accelerator_checks(machine: Machine) -> Iterator[Check]:
    """Every line about what computes beside the processor."""
    text = machine.read("etc/nv_tegra_release")
    release = parse_release(text)
    if release is None and not text:
        yield Check(GROUP, "Jetson", OK, "this is none")
        yield driver_check(machine)
        yield tensorrt_elsewhere(machine)
        return
    yield release_check(machine, release, text)
    if release is not None and release.line is not None:
        yield from python_check(release.line, sys.version_info[:2])
    board = read_board(machine.root, _query(machine.root))
    yield from power_checks(machine, board)
    yield from clock_checks(board)
    yield from tensorrt_checks(machine, release)
    yield cuda_check(machine, release.line if release else None)


def driver_check(machine: Machine) -> Check:
    """A desktop's driver."""
    driver = re.search(r"Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", machine.read("proc/driver/nvidia/version"))
    return Check(GROUP, "GPU", OK if driver else NOTE, f"driver {driver[1]}" if driver else "no NVIDIA driver")


def tensorrt_elsewhere(machine: Machine) -> Check:
    """The Python package, of either kind."""
    found = next((machine.installed[n] for n in (*TENSORRT, "tensorrt-rtx") if n in machine.installed), None)
    return Check(GROUP, "TensorRT", OK if found else NOTE, found or "its Python package is not installed")


def release_check(machine: Machine, release: Release | None, text: str) -> Check:
    """Board and JetPack, and whether Armside is made for it."""
    model = machine.read("proc/device-tree/model") or "unknown board"
    first = text.partition("\n")[0]
    names = " and ".join(line.name for line in LINES)
    pages = ", ".join(line.page for line in LINES)
    if release is None:
        do = f"expected the first line of /etc/nv_tegra_release to name a release; Armside is made for JetPack {names}"
        return Check(GROUP, "Jetson", NOTE, f"{model}; {first}", do)
    state = OK if release.line else NOTE
    return Check(GROUP, "Jetson", state, f"{model}; {release.text}", f"Armside is made for JetPack {names}: {pages}")


def python_check(line: Line, running: tuple[int, int]) -> Iterator[Check]:
    """TensorRT's bindings are built for the system's Python alone."""
    own = ".".join(map(str, running))
    text = f"{own}; JetPack {line.name} brings TensorRT for {line.python}"
    do = f"make the environment with the system's: python{line.python} -m venv --system-site-packages .venv"
    yield Check(GROUP, "python of JetPack", OK if own == line.python else NOTE, text, do)


def power_checks(machine: Machine, board: Board) -> Iterator[Check]:
    """The power mode, and whether there is a faster one."""
    if board.power is None:
        yield Check(GROUP, "power mode", NOTE, "not said", "sudo nvpmodel -q")
        return
    best = fastest(parse_modes(machine.read(CONF)))
    others = f"; there are {', '.join(board.power.others)}" if board.power.others else ""
    text = board.power.text + others
    if board.power.unlimited:
        yield Check(GROUP, "power mode", OK, text)
    elif best is not None:
        do = f"sudo nvpmodel -m {best[0]} is {best[1]}, without a limit of power; it needs a supply and a fan for it"
        yield Check(GROUP, "power mode", NOTE, text, do)
    elif "Orin Nano" in board.model or "Orin NX" in board.model:
        do = "a board that offers no MAXN was flashed without Super mode: docs/jetson.md, trouble"
        yield Check(GROUP, "power mode", NOTE, text, do)
    else:
        yield Check(GROUP, "power mode", NOTE, text, "sudo nvpmodel -q; sudo nvpmodel -m NUMBER chooses another")


def clock_checks(board: Board) -> Iterator[Check]:
    """Whether clocks may drop between two calls."""
    for clock in board.gpu:
        mhz = " to ".join(f"{hertz / 1e6:.0f}" for hertz in dict.fromkeys((clock.least, clock.most)))
        state = OK if clock.locked else NOTE
        text = f"{clock.name} {mhz} MHz{', locked' if clock.locked else ''}, now {clock.now / 1e6:.0f}"
        yield Check(
            GROUP, "GPU clock", state, text, "sudo jetson_clocks locks them at their highest until the next boot"
        )
    loose = [clock for clock in board.cpu if not clock.locked]
    if board.cpu:
        text = f"{len(board.cpu) - len(loose)} of {len(board.cpu)} cores locked, up to "
        text += f"{max(clock.most for clock in board.cpu) / 1e6:.0f} MHz"
        yield Check(GROUP, "CPU clocks", NOTE if loose else OK, text, "sudo jetson_clocks")
    if not board.gpu:
        yield Check(GROUP, "GPU clock", NOTE, "the kernel shows none", "sudo jetson_clocks --show")


def tensorrt_checks(machine: Machine, release: Release | None) -> Iterator[Check]:
    """TensorRT's libraries, its Python package, and whether both are of this JetPack."""
    line = release.line if release else None
    system = dpkg_version(machine.read("var/lib/dpkg/status"), "libnvinfer10")
    python = next((machine.installed[name] for name in TENSORRT if name in machine.installed), "")
    if not python and system and machine.root == Path("/") and importlib.util.find_spec("tensorrt"):
        python = system  # Debian's package may have no record that Python's metadata finds
    version = python or system
    install = "sudo apt-get install nvidia-jetpack"
    if line is not None:
        install = (
            f"sudo apt-get install --allow-downgrades libnvinfer10={line.package} python3-libnvinfer={line.package}"
        )
    if not version:
        yield Check(GROUP, "TensorRT", NOTE, "not installed", install)
        return
    if not python:
        do = "sudo apt-get install python3-libnvinfer; then an environment with --system-site-packages"
        yield Check(GROUP, "TensorRT", NOTE, f"{system}, but this Python does not see it", do)
    elif line is not None and line_of_tensorrt(python) is not line:
        mine = line_of_tensorrt(python)
        whose = f"of JetPack {mine.name}" if mine else "of no JetPack that Armside is made for"
        yield Check(GROUP, "TensorRT", NOTE, f"{python}, {whose}; here belongs {line.tensorrt}", install)
    else:
        yield Check(GROUP, "TensorRT", OK, f"{python}{f', of JetPack {line.name}' if line else ''}")
    library = machine.root / DLA
    if not library.is_file() or not library.stat().st_size:
        do = "if `python -c 'import tensorrt'` fails: sudo apt-get install nvidia-l4t-dla-compiler && sudo ldconfig"
        yield Check(GROUP, "libnvdla_compiler", NOTE, "absent, and TensorRT may need it to load", do)


def cuda_check(machine: Machine, line: Line | None) -> Check:
    """CUDA from Python, without which no engine runs; its first number must be the driver's."""
    found = machine.installed.get("cuda-bindings") or machine.installed.get("cuda-python", "")
    do = "pip install cuda-python, of the driver's CUDA"
    if line is not None:
        major = int(line.cuda.partition(".")[0])
        do = f"pip install 'cuda-python>={line.cuda},<{major + 1}'"
        if found and found.partition(".")[0] != str(major):
            return Check(GROUP, "cuda-python", NOTE, f"{found}, and the driver here is of CUDA {line.cuda}", do)
    if not found:
        return Check(GROUP, "cuda-python", NOTE, "not installed: TensorRT's engines cannot run", do)
    return Check(GROUP, "cuda-python", OK, found)


def _query(root: Path) -> Callable[[], str] | None:
    """nvpmodel answers for the machine that runs, not for one that was planted."""
    return ask_nvpmodel if root == Path("/") else None
