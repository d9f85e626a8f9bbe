"""The state of the computer while it computes: clocks, power mode, heat, memory, swap, and whether it was throttled.

Takes the root of a system's files, so that a test can plant a board; gives a `Board`, a snapshot of plain data. Reads
the kernel's files, and where nvpmodel keeps none, asks it. What a machine does not have is empty: a desktop has no
power mode. Knows nothing of policies.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.power import PowerMode, parse_query, parse_status

GPU = re.compile(r"gpu|ga10b|gb10b")  # names of devfreq devices: 17000000.gpu, gpu-gpc-0
NO_BRAKE = re.compile(r"fan|tcc offset", re.IGNORECASE)  # cooling devices whose state slows nothing down
KIB = 1024


@dataclass(frozen=True, slots=True)
class Clock:
    """One clock domain, Hz. Locked where it may not go lower: what `jetson_clocks` does."""

    name: str
    least: int
    most: int
    now: int

    @property
    def locked(self) -> bool:
        return self.least == self.most > 0


@dataclass(frozen=True, slots=True)
class Swap:
    """One line of /proc/swaps."""

    name: str
    bytes: int
    used: int

    @property
    def compressed(self) -> bool:
        """In memory: no place for what does not fit."""
        return "zram" in self.name


@dataclass(frozen=True, slots=True)
class Board:
    """One look at a machine."""

    model: str  # of the board, or of the processor
    power: PowerMode | None
    gpu: tuple[Clock, ...]
    cpu: tuple[Clock, ...]
    others: tuple[Clock, ...]  # memory and more, where the kernel shows them
    celsius: dict[str, float]  # by thermal zone
    overcurrent: dict[str, int]  # events since boot: oc1 under-voltage, oc2 average, oc3 peak
    cooling: dict[str, int]  # what slows the machine down now, fans apart
    throttles: int  # events that a processor counts itself (x86)
    memory_bytes: int
    free_bytes: int
    swaps: tuple[Swap, ...]


def read_board(root: Path = Path("/"), query: Callable[[], str] | None = None) -> Board:
    """A snapshot. query: asks nvpmodel; only where its own files say nothing."""
    conf = _read(root / "etc/nvpmodel.conf")
    power = parse_status(_read(root / "var/lib/nvpmodel/status"), conf)
    if power is None and query is not None:
        power = parse_query(query(), conf)
    devices = tuple(_devfreq(root))
    memory = parse_meminfo(_read(root / "proc/meminfo"))
    return Board(
        model=_model(root),
        power=power,
        gpu=tuple(clock for clock in devices if GPU.search(clock.name)),
        cpu=tuple(_cpus(root)),
        others=tuple(clock for clock in devices if not GPU.search(clock.name)),
        celsius=_zones(root),
        overcurrent=_overcurrent(root),
        cooling=_cooling(root),
        throttles=sum(map(_number, root.glob("sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"))),
        memory_bytes=memory.get("MemTotal", 0),
        free_bytes=memory.get("MemAvailable", 0),
        swaps=parse_swaps(_read(root / "proc/swaps")),
    )


def ask_nvpmodel() -> str:
    """What `nvpmodel -q` prints; "" where there is none or it needs more rights."""
    try:
        done = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def parse_meminfo(text: str) -> dict[str, int]:
    """Bytes by name, of /proc/meminfo."""
    return {name: int(number) * KIB for name, number in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}


def parse_swaps(text: str) -> tuple[Swap, ...]:
    """Of /proc/swaps: name, type, size and used in KiB, priority, under a line of headings."""
    rows = (line.split() for line in text.splitlines()[1:])
    return tuple(Swap(row[0], int(row[2]) * KIB, int(row[3]) * KIB) for row in rows if len(row) >= 4)


def throttled(before: Board, after: Board, during: tuple[Board, ...] = ()) -> tuple[str, ...]:
    """Why the machine was slower than it could be, between two looks; empty where nothing says so."""
    why = [
        f"{name}: {count - before.overcurrent.get(name, 0)} over-current events"
        for name, count in after.overcurrent.items()
        if count > before.overcurrent.get(name, 0)
    ]
    if after.throttles > before.throttles:
        why.append(f"the processor throttled {after.throttles - before.throttles} times")
    held = {name for board in (before, *during, after) for name in board.cooling}
    return (*why, *(f"{name} was active" for name in sorted(held)))


def _devfreq(root: Path) -> list[Clock]:
    folders = sorted((root / "sys/class/devfreq").glob("*"))
    return [_clock(folder.name, folder, ("min_freq", "max_freq", "cur_freq"), 1) for folder in folders]


def _cpus(root: Path) -> list[Clock]:
    files = ("scaling_min_freq", "scaling_max_freq", "scaling_cur_freq")  # kHz
    folders = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq")
    inner = sorted(folders, key=lambda folder: int(folder.parent.name[3:]))
    return [_clock(folder.parent.name, folder, files, 1000) for folder in inner]


def _clock(name: str, folder: Path, files: tuple[str, str, str], scale: int) -> Clock:
    least, most, now = (_number(folder / file) * scale for file in files)
    return Clock(name, least, most, now)


def _zones(root: Path) -> dict[str, float]:
    """Zones of what is switched off answer with an error, and are left out."""
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    pairs = ((_read(zone / "type"), _read(zone / "temp")) for zone in zones)
    return {name: int(temp) / 1000 for name, temp in pairs if name and re.fullmatch(r"-?\d+", temp)}


def _overcurrent(root: Path) -> dict[str, int]:
    files = sorted((root / "sys/class/hwmon").glob("hwmon*/oc*_event_cnt"))
    return {file.name.partition("_")[0]: _number(file) for file in files}


def _cooling(root: Path) -> dict[str, int]:
    devices = sorted((root / "sys/class/thermal").glob("cooling_device*"))
    pairs = ((_read(device / "type"), _number(device / "cur_state")) for device in devices)
    return {name: state for name, state in pairs if state > 0 and not NO_BRAKE.search(name)}


def _model(root: Path) -> str:
    """The board's name; on others the processor's."""
    match = re.search(r"^model name\s*:\s*(.+)$", _read(root / "proc/cpuinfo"), re.MULTILINE)
    return _read(root / "proc/device-tree/model") or (match[1].strip() if match else "")


def _number(file: Path) -> int:
    text = _read(file)
    return int(text) if re.fullmatch(r"\d+", text) else 0


def _read(file: Path) -> str:
    """Text of a file, empty where it cannot be read. Device tree strings end in a zero byte."""
    try:
        return file.read_text(errors="replace").strip().strip("\0")
    except OSError:
        return ""
