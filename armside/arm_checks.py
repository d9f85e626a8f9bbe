"""What `armside doctor` looks at around an arm: ports, who holds them, FTDI, CAN, bridges, profiles, services.

Takes a Machine, gives Checks. Reads the kernel's files only: no port is opened, no program started.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from armside.checks import NOTE, OK, Check, Machine, device
from armside.system_files import CAN_BITRATE, RULES_FILE, UNIT_FILE

CAN_TYPE = "280"  # ARPHRD_CAN in linux/if_arp.h
IFF_UP = 1
FTDI_MS = 1  # the adapter's own default is 16
UNIT_FOLDERS = ("etc/systemd/system", "usr/lib/systemd/system")


def arm_checks(machine: Machine) -> Iterator[Check]:
    """Every line about arms."""
    ports = sorted(p for pattern in ("ttyACM*", "ttyUSB*") for p in (machine.root / "dev").glob(pattern))
    yield from port_checks(machine, ports)
    yield from can_checks(machine)
    yield from modem_checks(machine, ports)
    yield from profile_checks()
    yield from bridge_checks(machine)
    yield from service_checks(machine)


def port_checks(machine: Machine, ports: list[Path]) -> Iterator[Check]:
    """Serial ports: whether this user may open each, who holds it, and FTDI's waiting."""
    if not ports:
        do = "plug the arm's USB cable in and its power on; --port sim needs none"
        yield Check("arm", "serial port", NOTE, "none", do)
    held = holders(machine.root)
    for port in ports:
        name = f"/dev/{port.name}"
        yield device(port, "arm", name)
        for pid, program in held.get(name, []):
            do = "end it before another bridge opens the port; a bridge of ours: armside bridge end"
            yield Check("arm", f"{port.name} is held", NOTE, f"by {program}, pid {pid}", do)
        timer = machine.read(f"sys/bus/usb-serial/devices/{port.name}/latency_timer")
        if timer.isdigit():
            slow = int(timer) > FTDI_MS
            file = f"/sys/bus/usb-serial/devices/{port.name}/latency_timer"
            do = f"echo {FTDI_MS} | sudo tee {file}; for good: armside bridge install ID" if slow else ""
            text = f"FTDI waits {timer} ms" + (": each reading comes that late" if slow else "")
            yield Check("arm", f"{port.name} latency", NOTE if slow else OK, text, do)


def holders(root: Path) -> dict[str, list[tuple[int, str]]]:
    """Device -> (pid, name) of the processes that have it open, as far as this user may see them."""
    found: dict[str, list[tuple[int, str]]] = {}
    for process in root.glob("proc/[0-9]*"):
        seen = set()
        for file in _listing(process / "fd"):
            try:
                target = os.readlink(file)
            except OSError:
                continue
            if target.startswith(("/dev/ttyACM", "/dev/ttyUSB")) and target not in seen:
                seen.add(target)
                found.setdefault(target, []).append((int(process.name), _comm(process)))
    return found


def can_checks(machine: Machine) -> Iterator[Check]:
    """CAN interfaces, and whether they are up."""
    for link in sorted((machine.root / "sys/class/net").glob("*")):
        if machine.read(f"sys/class/net/{link.name}/type") != CAN_TYPE:
            continue
        flags = machine.read(f"sys/class/net/{link.name}/flags")
        up = bool(int(flags, 16) & IFF_UP) if flags.startswith("0x") else False
        do = f"sudo ip link set {link.name} up type can bitrate {CAN_BITRATE}; for good: armside bridge install ID"
        text = f"up; its bitrate must be {CAN_BITRATE}: ip -details link show {link.name}" if up else "down"
        yield Check("arm", link.name, OK if up else NOTE, text, "" if up else do)


def modem_checks(machine: Machine, ports: list[Path]) -> Iterator[Check]:
    """ModemManager opens every new ttyACM and talks to it as to a modem."""
    running = [process for process in machine.root.glob("proc/[0-9]*") if _comm(process) == "ModemManager"]
    if running and (ports or machine.root != Path("/")):
        ruled = (machine.root / "etc/udev/rules.d" / RULES_FILE).exists()
        text = "runs; our udev rules keep it off the arm" if ruled else "runs: it speaks to a port that is plugged in"
        do = "" if ruled else "armside bridge install ID (udev rules), or sudo systemctl disable --now ModemManager"
        yield Check("arm", "ModemManager", OK if ruled else NOTE, text, do)


def profile_checks() -> Iterator[Check]:
    """Profiles, and those that cannot be used."""
    from armside.profile import known_ids, robots_folder
    from armside.profile_file import load
    from policy_spec.errors import UsageError

    try:
        import tomlkit  # noqa: F401
    except ModuleNotFoundError:  # said among the packages
        return
    good = []
    for name in known_ids():
        try:
            load(robots_folder() / f"{name}.toml")
            good.append(name)
        except UsageError as error:
            yield Check("arm", f"profile {name}", NOTE, str(error), f"mend {robots_folder() / name}.toml")
    text = ", ".join(good) or "none"
    yield Check("arm", "profiles", OK if good else NOTE, text, "armside robot set blue type=so101 port=/dev/ttyACM0")


def bridge_checks(machine: Machine) -> Iterator[Check]:
    """Bridges of this user that run."""
    if machine.root != Path("/"):
        return
    from firmware_bridge.errors import BridgeError
    from firmware_bridge.registry import all_running

    try:
        running = all_running()
    except BridgeError as error:
        yield Check("arm", "bridges", NOTE, str(error), "")
        return
    for found in running:
        yield Check("arm", f"bridge {found.id}", OK, f"{found.robot} on {found.port}, pid {found.supervisor}")


def service_checks(machine: Machine) -> Iterator[Check]:
    """Our udev rules and unit, where they are installed."""
    rules = (machine.root / "etc/udev/rules.d" / RULES_FILE).exists()
    do = "armside bridge install ID gives ports stable names, and access to them"
    yield Check("arm", "udev rules", OK if rules else NOTE, "installed" if rules else "not installed", do)
    unit = any((machine.root / folder / UNIT_FILE).exists() for folder in UNIT_FOLDERS)
    do = "armside bridge install ID, where a bridge is to start with the machine"
    yield Check("arm", "systemd unit", OK if unit else NOTE, "installed" if unit else "not installed", do)


def _comm(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _listing(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
