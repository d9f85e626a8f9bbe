"""What `armside doctor` looks at: each check gives a line, a state and what to do.

Takes a Machine (the root of its files, so that a test can plant a Jetson), gives `Check`s. Opens no port,
camera or device.
"""

from __future__ import annotations

import grp
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from armside import __version__
from armside.extras import EXTRAS

OK, NOTE, MISSING = "ok", "note", "missing"
MIN_PYTHON = (3, 10)
MIN_FREE_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One line. `missing`: the machine cannot do what was asked of it; `note`: good to know."""

    group: str
    name: str
    state: str
    text: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look. `installed` maps a distribution's name to its version."""

    root: Path
    installed: dict[str, str]
    pins: dict[str, str]

    @classmethod
    def this_one(cls) -> Machine:
        """The machine that this runs on."""
        found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
        return cls(Path("/"), {canonical(name): version for name, version in found.items()}, read_pins())

    def read(self, path: str) -> str:
        """Text of a file, empty where it is absent. Device tree strings end in a zero byte."""
        try:
            return (self.root / path).read_text(errors="replace").strip().strip("\0")
        except OSError:
            return ""


def canonical(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins() -> dict[str, str]:
    """Distribution -> tested version, for the Python that runs; from the wheel, or beside a source tree."""
    here = Path(__file__).parent
    file = next((f for f in (here / "constraints.txt", here.parent / "constraints.txt") if f.is_file()), None)
    return parse_pins(file.read_text(), sys.version_info[:2]) if file else {}


def parse_pins(text: str, python: tuple[int, int]) -> dict[str, str]:
    """Lines of a constraints file; the only markers it uses are `python_version <` and `>=` one version."""
    pins = {}
    for line in text.splitlines():
        match = re.fullmatch(r'([\w.-]+)==([\w.+]+)(?:; python_version (<|>=) "(\d+)\.(\d+)")?', line.strip())
        if not match:
            continue
        name, version, relation, major, minor = match.groups()
        bound = (int(major), int(minor)) if relation else None
        if bound is None or (python < bound if relation == "<" else python >= bound):
            pins[canonical(name)] = version
    return pins


def all_checks(machine: Machine, needed: str) -> Iterator[Check]:
    """Every line, for a machine that is to do what the extra `needed` is for."""
    yield from python_checks()
    for extra in EXTRAS:
        yield from package_checks(machine, extra, required=extra in ("base", needed))
    if needed == "edge":
        from armside.arm_checks import arm_checks  # it builds on this module

        yield from arm_checks(machine)
        yield from camera_checks(machine)
    from armside.jetson_checks import accelerator_checks  # as this
    from armside.rights_checks import rights_checks

    yield from resource_checks(machine)
    yield from rights_checks(machine)
    yield from accelerator_checks(machine)


def python_checks() -> Iterator[Check]:
    """The interpreter, and whether it is an environment of its own."""
    version = platform.python_version()
    state = OK if sys.version_info >= MIN_PYTHON else MISSING
    yield Check("python", "python", state, f"{version} on {platform.machine()}", "install Python 3.10 or newer")
    own = sys.prefix != sys.base_prefix
    yield Check(
        "python",
        "environment",
        OK if own else NOTE,
        sys.prefix if own else "the system's own Python",
        "" if own else "make an environment: python3 -m venv .venv",
    )
    yield Check("python", "armside", OK, __version__)


def package_checks(machine: Machine, extra: str, required: bool) -> Iterator[Check]:
    """Each package of an extra: there, and in the version that this release is tested with."""
    install = f"pip install 'armside[{extra}]'" if extra != "base" else "pip install --force-reinstall armside"
    for name in EXTRAS[extra]:
        have, pin = machine.installed.get(canonical(name)), machine.pins.get(canonical(name))
        if have is None and name == "onnxruntime" and "onnxruntime-gpu" in machine.installed:
            have, pin = machine.installed["onnxruntime-gpu"] + " (gpu)", None
        if have is None:
            yield Check(extra, name, MISSING if required else NOTE, "not installed", install)
        elif pin and have.partition("+")[0] != pin:
            yield Check(extra, name, NOTE, f"{have}, tested with {pin}", f"pip install {name}=={pin}")
        else:
            yield Check(extra, name, OK, have)
    if extra == "edge" and {"onnxruntime", "onnxruntime-gpu"} <= machine.installed.keys():
        do = "pip uninstall onnxruntime onnxruntime-gpu, then install the one that you want"
        yield Check(extra, "onnxruntime", MISSING, "installed twice (and -gpu): one hides the other", do)


def camera_checks(machine: Machine) -> Iterator[Check]:
    """Video devices by name, and whether this user may open them."""
    cameras = sorted((machine.root / "dev").glob("video*"))
    if not cameras:
        yield Check("cameras", "camera", NOTE, "none", "plug one in; a video file or a folder of images works too")
    for camera in cameras:
        label = machine.read(f"sys/class/video4linux/{camera.name}/name")
        yield device(camera, "cameras", f"/dev/{camera.name}", label)


def device(path: Path, group: str, name: str, label: str = "") -> Check:
    """Whether this user may open a device, and the group that may."""
    if os.access(path, os.R_OK | os.W_OK):
        return Check(group, name, OK, label or "may be opened")
    try:
        owner = grp.getgrgid(path.stat().st_gid).gr_name
    except (KeyError, OSError):
        owner = "dialout"
    do = f"sudo usermod -aG {owner} $USER, then log out and in"
    return Check(group, name, MISSING, f"{label} no permission".strip(), do)


def resource_checks(machine: Machine) -> Iterator[Check]:
    """Cores, memory and disk, and the instructions that make INT8 fast."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    flags = set(re.findall(r"\b(avx512_vnni|avx_vnni|avx2|asimddp|i8mm)\b", machine.read("proc/cpuinfo")))
    fast = bool(flags & {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"})
    text = f"{cores} cores, {', '.join(sorted(flags)) or 'no vector extensions known'}"
    yield Check("machine", "processor", OK if fast else NOTE, text, "" if fast else "INT8 gains little here")
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB", machine.read("proc/meminfo"), re.MULTILINE))
    if memory:
        total, free = (int(memory.get(key, 0)) / 1e6 for key in ("MemTotal", "MemAvailable"))
        yield Check("machine", "memory", OK, f"{free:.1f} of {total:.1f} GB free")
    free_bytes = shutil.disk_usage(Path.cwd()).free
    state = OK if free_bytes > MIN_FREE_BYTES else NOTE
    text = f"{free_bytes / 1e9:.1f} GB free in {Path.cwd()}"
    yield Check(
        "machine",
        "disk",
        state,
        text,
        "" if state == OK else "a bundle needs up to 11 GB, a recording some more",
    )
