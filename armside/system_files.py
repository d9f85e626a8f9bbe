"""What `armside bridge install` writes: udev rules with stable names, and systemd units. Text only.

Takes the program, the user and the robot; gives the files' text. Writes nothing. Adapters come
from calib/adapters.py.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.priority import SUPERVISOR as RT_PRIORITY

RULES_FILE = "70-armside.rules"
UNIT_FILE = "armside-bridge@.service"
BRIDGE_S = 60  # that a session waits for its bridge


@dataclass(frozen=True, slots=True)
class UsbPort:
    """One adapter of its own, and the robot that hangs on it."""

    robot: str
    vendor: str
    product: str
    serial: str


CAN_BITRATE = 1_000_000
TTY = 'GROUP="dialout", MODE="0660", ENV{ID_MM_DEVICE_IGNORE}="1", ENV{ID_MM_PORT_IGNORE}="1"'
LATENCY = 'SUBSYSTEM=="usb-serial", ACTION=="add", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"'
CAN_UP = f"/bin/sh -c 'ip link set %k type can bitrate {CAN_BITRATE} && ip link set %k up txqueuelen 1000'"


def udev_rules(named: UsbPort | None = None) -> str:
    """The rules: access for dialout, stable names, ModemManager kept away, FTDI in time, CAN up.

    `named`: one adapter more, whose port gets the name of its robot.
    """
    from calib.adapters import ADAPTERS

    lines = [
        "# Arms for Armside. A port keeps its name whatever was plugged in first:",
        "#   /dev/armside-SERIAL    by the adapter's serial number",
        "#   /dev/serial/by-path/   for adapters without one (CH340): the socket that they are plugged into",
    ]
    for adapter in ADAPTERS:
        match = f'ATTRS{{idVendor}}=="{adapter.vendor}", ATTRS{{idProduct}}=="{adapter.product}"'
        lines += ["", f"# {adapter.name}"]
        if adapter.subsystem == "net":
            lines.append(f'SUBSYSTEM=="net", ACTION=="add", {match}, RUN+="{CAN_UP}"')
            continue
        lines.append(f'SUBSYSTEM=="tty", {match}, {TTY}')
        lines.append(f'SUBSYSTEM=="tty", {match}, ATTRS{{serial}}=="?*", SYMLINK+="armside-$attr{{serial}}"')
    lines += ["", "# FTDI adapters wait up to 16 ms to fill a packet: each reading would come that late.", LATENCY]
    if named is not None:
        match = f'ATTRS{{idVendor}}=="{named.vendor}", ATTRS{{idProduct}}=="{named.product}"'
        serial = f'ATTRS{{serial}}=="{named.serial}"'
        lines += ["", f"# {named.robot}", f'SUBSYSTEM=="tty", {match}, {serial}, SYMLINK+="armside-{named.robot}"']
    return "\n".join(lines) + "\n"


def usb_port(robot: str, port: str, root: Path = Path("/")) -> UsbPort | None:
    """The adapter behind /dev/ttyACM0, from the kernel's files; None where it has no serial number or is no USB."""
    name = Path(os.path.realpath(root / port.lstrip("/"))).name
    place = Path(os.path.realpath(root / "sys/class/tty" / name / "device"))
    for folder in (place, *place.parents):
        if (folder / "idVendor").is_file():
            vendor, product, serial = (_line(folder / key) for key in ("idVendor", "idProduct", "serial"))
            good = serial and not set(serial) & set('"\\ *?[]|')
            return UsbPort(robot, vendor, product, serial) if good else None
    return None


def _line(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def unit(program: str, user: str, uid: int, live: bool) -> str:
    """A systemd unit, one instance for each robot: armside-bridge@blue. `user` "": of the user's own manager."""
    program = shlex.quote(program).replace("%", "%%")  # a % is systemd's own
    command = f"{program} bridge --robot %i{' --live' if live else ''}"
    # A bridge that nobody can find cannot be stopped: clients of the same user look in this folder.
    place = [f"User={user}", "SupplementaryGroups=dialout", f"Environment=XDG_RUNTIME_DIR=/run/user/{uid}"]
    target = "multi-user.target" if user else "default.target"
    lines = [
        "[Unit]",
        "Description=Armside bridge of the arm %i",
        *([f"After=user@{uid}.service", f"Wants=user@{uid}.service"] if user else []),
        "",
        "[Service]",
        "Type=exec",
        *(place if user else []),
        f"ExecStart={command}",
        "# SIGTERM: the arm is left by its exit policy. Only the supervisor is told, it tells the bridge.",
        "KillMode=mixed",
        "KillSignal=SIGTERM",
        "# Parking from far away is slow, and a bridge that is killed cannot park.",
        "TimeoutStopSec=120",
        "# The supervisor takes over by itself; what it gave up on is for a person.",
        "Restart=no",
        "# What the supervisor asks for; the bridge asks for less (firmware_bridge/priority.py).",
        f"LimitRTPRIO={RT_PRIORITY}",
        "Nice=-5" if user else "Nice=0",
        *(
            ["# Where memory runs out, a policy goes before the bridge that holds the arm.", "OOMScoreAdjust=-500"]
            if user
            else []
        ),
        "",
        "[Install]",
        f"WantedBy={target}",
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Session:
    """A policy that starts with the machine."""

    program: str
    words: tuple[str, ...]  # of armside run: bundle, robot, task, ...
    robot: str  # its id; the bridge of it must run
    user: str  # "": of the user's own manager
    uid: int
    restart: bool  # after a crash: the arm moves again without a person

    @property
    def file(self) -> str:
        return f"armside-run-{self.robot}.service"


def session_unit(session: Session) -> str:
    """A systemd unit for `armside run` beside the bridge's, which outlives it and holds the arm meanwhile."""
    program, user = unit_word(session.program), session.user
    bridge = UNIT_FILE.replace("@", f"@{session.robot}")
    groups = "SupplementaryGroups=dialout video"
    place = [f"User={user}", groups, f"Environment=XDG_RUNTIME_DIR=/run/user/{session.uid}"]
    lines = [
        "[Unit]",
        f"Description=Armside policy of the arm {session.robot}",
        "# The bridge is stopped after the policy has left the arm, and is not stopped with it.",
        f"Requires={bridge}",
        f"After={bridge}",
        "StartLimitIntervalSec=600",
        "StartLimitBurst=3",
        "",
        "[Service]",
        "Type=exec",
        *(place if user else []),
        f"ExecStartPre={program} bridge status {session.robot} --once --wait {BRIDGE_S}",
        f"ExecStart={program} run {' '.join(map(unit_word, session.words))}",
        "# SIGTERM: the arm is left by its exit policy, which takes as long as parking does.",
        "KillMode=mixed",
        "KillSignal=SIGTERM",
        "TimeoutStartSec=infinity",
        "TimeoutStopSec=120",
        *_restart(session.restart),
        "# Where memory runs out, this goes, and the bridge holds the arm.",
        "OOMScoreAdjust=500",
        "Nice=5",
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if user else 'default.target'}",
    ]
    return "\n".join(lines) + "\n"


def _restart(wished: bool) -> list[str]:
    if not wished:
        return ["# The arm is in its safe state; that it moves again is for a person.", "Restart=no"]
    return [
        "# After a crash or a kill alone: a run that ended by itself (refused, stopped, E-stop) stays ended.",
        "Restart=on-abnormal",
        "RestartSec=10",
    ]


def unit_word(word: str) -> str:
    """One word of a command line as systemd reads it: quoted, its own signs doubled. ValueError for a control sign."""
    if not word.isprintable():
        raise ValueError(f"no word of a unit: {word!r}")
    plain = word.replace("%", "%%").replace("$", "$$")
    if plain and not set(plain) & set(" \"'\\;"):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
