"""What goes wrong on a bus of Damiao motors, by name: each takes a CanRig and a random source, and does it once.

Lasting ones end by themselves. Lateness stays below what the driver can tell from new (damiao/owed.py). Knows
nothing of what should happen then.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import can

if TYPE_CHECKING:
    from bench.soak_can import CanRig

LATEST_S = 0.045  # the driver takes an answer 0.05 s late as lost


def _faults(rig: CanRig, rng: random.Random, **fields: Any) -> Any:
    index, channel = rig.motor(rng)
    for name, value in fields.items():
        setattr(channel.faults[index], name, value)
    return channel.faults[index]


def _late(rig: CanRig, rng: random.Random) -> None:
    _faults(rig, rng, late_s=rng.uniform(0.0005, LATEST_S), late=rng.randint(1, 4))


def _lost(rig: CanRig, rng: random.Random) -> None:
    _faults(rig, rng, drop=rng.randint(1, 4))


def _silent(rig: CanRig, rng: random.Random) -> None:
    faults = _faults(rig, rng, silent=True)
    rig.lasting(rng, 0.7, lambda: setattr(faults, "silent", False))


def _deaf(rig: CanRig, rng: random.Random) -> None:
    faults = _faults(rig, rng, deaf=True)
    rig.lasting(rng, 0.7, lambda: setattr(faults, "deaf", False))


def _nibble(rig: CanRig, rng: random.Random) -> None:
    rig.virtual.motors[rig.motor(rng)[0]].nibble = rng.choice((0, 8, 9, 0xA, 0xB, 0xC, 0xD, 0xE))


def _reboot(rig: CanRig, rng: random.Random) -> None:
    rig.virtual.motors[rig.motor(rng)[0]].reboot()


def _wrong_id(rig: CanRig, rng: random.Random) -> None:
    """Frames of nobody, of a wrong length, or under one motor's id with another's number inside."""
    bus = rng.choice(rig.buses)
    for _ in range(rng.choice((1, 3, 30, 300))):
        master = 0x10 + rng.randint(1, 7)
        rows = (
            (rng.choice((0x20, 0x123, 0x7EE)), rng.randbytes(8)),
            (master, rng.randbytes(rng.randint(0, 7))),
            (master, bytes((rng.randrange(16) << 4 | (master - 0x10 + 1) % 16,)) + rng.randbytes(7)),
        )
        number, data = rng.choice(rows)
        bus.inject(can.Message(arbitration_id=number, data=data, is_extended_id=False), rig.clock())


def _odd(rig: CanRig, rng: random.Random) -> None:
    """Error frames, remote frames, extended frames."""
    kind: dict[str, Any] = rng.choice(({"is_error_frame": True}, {"is_remote_frame": True}, {"is_extended_id": True}))
    fields = {"is_extended_id": False, **kind}
    rng.choice(rig.buses).inject(can.Message(arbitration_id=0x11, dlc=8, **fields), rig.clock())


def _full(rig: CanRig, rng: random.Random) -> None:
    rng.choice(rig.buses).full = rng.randint(1, 10)


def _heat(rig: CanRig, rng: random.Random) -> None:
    index = rig.motor(rng)[0]
    rig.stamps.hot.add(index)
    rig.lasting(rng, 2.0, lambda: rig.stamps.hot.discard(index))


def _sag(rig: CanRig, rng: random.Random) -> None:
    for motor in rig.virtual.motors:
        motor.voltage = 12.0

    def over() -> None:
        for motor in rig.virtual.motors:
            motor.voltage = 24.0

    rig.lasting(rng, 0.5, over)


def _push(rig: CanRig, rng: random.Random) -> None:
    index = rig.motor(rng)[0]
    low, high = rig.robot.limits[rig.robot.joints[index]]
    rig.virtual.place(index, rng.uniform(low, high))


def _unplug(rig: CanRig, rng: random.Random) -> None:
    if rng.random() < 0.1:
        rng.choice(rig.buses).gone = True
    else:
        rig.found.counts["fault unplug"] -= 1
        rig.found.counts["fault lost"] += 1
        _lost(rig, rng)


FAULTS: dict[str, Callable[[CanRig, random.Random], None]] = {
    "late": _late,
    "lost": _lost,
    "silent": _silent,
    "deaf": _deaf,
    "error nibble": _nibble,
    "reboot": _reboot,
    "wrong id": _wrong_id,
    "odd frame": _odd,
    "full": _full,
    "heat": _heat,
    "voltage": _sag,
    "pushed": _push,
    "unplug": _unplug,
}
