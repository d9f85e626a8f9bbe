"""What `armside doctor` looks at of this user and the kernel: groups, real-time rights, swap. Reads files only.

Takes a Machine and a user's Rights, gives Checks.
"""

from __future__ import annotations

import grp
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass

from armside.checks import NOTE, OK, Check, Machine
from edge.board import Swap, parse_meminfo, parse_swaps
from firmware_bridge.priority import SUPERVISOR

GROUPS = {"dialout": "serial ports", "video": "cameras, and a Jetson's GPU", "render": "a GPU"}
SMALL_BYTES = 20e9  # memory below which a full-size bundle and its engines want a swap file
ROOT_UID = 0


@dataclass(frozen=True, slots=True)
class Rights:
    """What this process may do."""

    uid: int
    groups: tuple[str, ...]
    rtprio: int  # highest real-time priority that it may ask for; -1: any

    @classmethod
    def own(cls) -> Rights:
        """Of the process that runs: groups that were given since the login are not in it, as they do not count."""
        names = {entry.gr_gid: entry.gr_name for entry in grp.getgrall()}
        mine = {os.getegid(), *os.getgroups()}
        limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
        return cls(os.geteuid(), tuple(sorted(names[gid] for gid in mine if gid in names)), limit)


def rights_checks(machine: Machine, rights: Rights | None = None) -> Iterator[Check]:
    """Every line; `rights` of a test's user."""
    rights = rights or Rights.own()
    yield group_check(machine, rights)
    yield from real_time_checks(machine, rights)
    memory = parse_meminfo(machine.read("proc/meminfo")).get("MemTotal", 0)
    yield swap_check(parse_swaps(machine.read("proc/swaps")), memory)


def group_check(machine: Machine, rights: Rights) -> Check:
    """Membership in the groups of devices, as far as this system has those groups."""
    there = {line.partition(":")[0] for line in machine.read("etc/group").splitlines()}
    missing = [name for name in GROUPS if name in there and name not in rights.groups]
    if rights.uid == ROOT_UID:
        return Check("machine", "groups", OK, "root may open every device")
    if not missing:
        return Check(
            "machine", "groups", OK, ", ".join(name for name in GROUPS if name in rights.groups) or "none needed"
        )
    text = "; ".join(f"not in {name} ({GROUPS[name]})" for name in missing)
    do = f"sudo usermod -aG {','.join(missing)} $USER, then log out and in"
    return Check("machine", "groups", NOTE, text, do)


def real_time_checks(machine: Machine, rights: Rights) -> Iterator[Check]:
    """Whether a bridge may tick before everything else."""
    kernel = "PREEMPT_RT" if machine.read("sys/kernel/realtime") == "1" else "no PREEMPT_RT"
    runtime = machine.read("proc/sys/kernel/sched_rt_runtime_us")
    allowed = rights.uid == ROOT_UID or rights.rtprio < 0 or rights.rtprio >= SUPERVISOR
    limits = "/etc/security/limits.d/armside.conf"
    if runtime == "0":
        do = "sudo sysctl kernel.sched_rt_runtime_us=950000"
        yield Check("machine", "real time", NOTE, "the kernel gives real-time threads no time", do)
    elif allowed:
        yield Check("machine", "real time", OK, f"priority {SUPERVISOR} may be asked for; {kernel}")
    else:
        do = f"echo '@dialout - rtprio {SUPERVISOR}' | sudo tee {limits}, then log in again; a unit of ours has it"
        text = f"priority at most {rights.rtprio}, a bridge asks for {SUPERVISOR}; {kernel}: ticks may come late"
        yield Check("machine", "real time", NOTE, text, do)


def swap_check(swaps: tuple[Swap, ...], memory_bytes: int) -> Check:
    """Swap on a disk, for what is needed once: opening and building."""
    disk = sum(swap.bytes for swap in swaps if not swap.compressed)
    packed = sum(swap.bytes for swap in swaps if swap.compressed)
    text = f"{disk / 1e9:.1f} GB on a disk" + (f", {packed / 1e9:.1f} GB of zram, which takes memory" if packed else "")
    if disk or not 0 < memory_bytes < SMALL_BYTES:
        return Check("machine", "swap", OK, text)
    do = "a swap file of 8 to 16 GB for building engines: docs/jetson.md, memory"
    return Check("machine", "swap", NOTE, text, do)
