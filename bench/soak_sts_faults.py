"""What goes wrong on a bus of STS3215 servos, by name: each takes a StsRig and a random source, and does it once.

Lasting ones end by themselves. Lateness stays below what the driver can tell from new (sts/stale.py). Knows nothing
of what should happen then.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from firmware_bridge.sts.registers import REGISTERS

if TYPE_CHECKING:
    from bench.soak_sts import StsRig

LATEST_S = 0.24  # the driver takes an answer 0.25 s late as lost


def _one(rig: StsRig, rng: random.Random) -> int:
    return rng.randrange(len(rig.servos.servos))


def _set_fault(rig: StsRig, rng: random.Random, **fields: float) -> None:
    for index in rng.sample(range(len(rig.servos.servos)), rng.choice((1, 1, 1, 2, 6))):
        faults = rig.servos.faults[rig.servos.servos[index].servo]
        for name, value in fields.items():
            setattr(faults, name, value)


def _late(rig: StsRig, rng: random.Random) -> None:
    _set_fault(rig, rng, late_s=rng.uniform(0.001, LATEST_S), late=rng.randint(1, 4))


def _lost(rig: StsRig, rng: random.Random) -> None:
    _set_fault(rig, rng, drop=rng.randint(1, 4))


def _corrupt(rig: StsRig, rng: random.Random) -> None:
    _set_fault(rig, rng, corrupt=rng.randint(1, 4))


def _twice(rig: StsRig, rng: random.Random) -> None:
    _set_fault(rig, rng, again=rng.randint(1, 3), late_s=rng.uniform(0.0005, LATEST_S))


def _deaf(rig: StsRig, rng: random.Random) -> None:
    _set_fault(rig, rng, deaf=rng.randint(1, 6))


def _duplicate(rig: StsRig, rng: random.Random) -> None:
    faults = rig.servos.faults[rig.servos.servos[_one(rig, rng)].servo]
    faults.duplicate = True
    rig.lasting(rng, 0.3, lambda: setattr(faults, "duplicate", False))


def _silent(rig: StsRig, rng: random.Random) -> None:
    faults = rig.servos.faults[rig.servos.servos[_one(rig, rng)].servo]
    faults.silent = True
    rig.lasting(rng, 0.8, lambda: setattr(faults, "silent", False))


def _reboot(rig: StsRig, rng: random.Random) -> None:
    rig.servos.servos[_one(rig, rng)].restart(rig.clock(), rng.uniform(0.1, 0.4))


def _brown_out(rig: StsRig, rng: random.Random) -> None:
    rig.servos.brown_out(rng.uniform(2.0, 4.0), rng.uniform(0.01, 0.3), rng.uniform(0.1, 0.4))


def _noise(rig: StsRig, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 5)):
        data = rng.choice((rng.randbytes(rng.randint(1, 60)), b"\xff\xff" + rng.randbytes(rng.randint(1, 9))))
        rig.line.inject(data, rig.clock() + rng.uniform(0.0, 0.02))


def _sag(rig: StsRig, rng: random.Random) -> None:
    servo = rig.servos.servos[_one(rig, rng)]
    servo.voltage = rng.uniform(35.0, 90.0)
    rig.lasting(rng, 1.0, lambda: setattr(servo, "voltage", 74.0))


def _heat(rig: StsRig, rng: random.Random) -> None:
    servo = rig.servos.servos[_one(rig, rng)]
    servo.temperature = rng.uniform(50.0, 75.0)
    rig.lasting(rng, 3.0, lambda: setattr(servo, "temperature", 31.0))


def _trip(rig: StsRig, rng: random.Random) -> None:
    servo = rig.servos.servos[_one(rig, rng)]
    servo.status = rng.choice((2, 4, 8, 32))
    rig.lasting(rng, 1.0, lambda: setattr(servo, "status", 0))


def _push(rig: StsRig, rng: random.Random) -> None:
    index = _one(rig, rng)
    rig.world.place(index, rig.somewhere(rng, index))


def _block(rig: StsRig, rng: random.Random) -> None:
    index = _one(rig, rng)
    rig.world.block(index, rig.somewhere(rng, index))
    rig.lasting(rng, 2.0, lambda: rig.world.block(index, None))


def _foreign(rig: StsRig, rng: random.Random) -> None:
    name = rng.choice(("Torque_Enable", "Goal_Position", "Torque_Limit", "Acceleration", "Lock"))
    register = REGISTERS[name]
    value = {"Goal_Position": rng.randint(0, 4095), "Torque_Limit": rng.randint(0, 1000)}.get(name, rng.randint(0, 1))
    rig.servos.servos[_one(rig, rng)].write(register.address, register.encode(value))


def _unplug(rig: StsRig, rng: random.Random) -> None:
    if rng.random() < 0.1:  # a cable is pulled less often than a bit is lost
        rig.line.unplugged = True
    else:
        rig.found.counts["fault unplug"] -= 1
        _lost(rig, rng)
        rig.found.counts["fault lost"] += 1


FAULTS: dict[str, Callable[[StsRig, random.Random], None]] = {
    "late": _late,
    "lost": _lost,
    "corrupt": _corrupt,
    "twice": _twice,
    "deaf": _deaf,
    "duplicate": _duplicate,
    "silent": _silent,
    "reboot": _reboot,
    "brown-out": _brown_out,
    "noise": _noise,
    "voltage": _sag,
    "heat": _heat,
    "error bit": _trip,
    "pushed": _push,
    "blocked": _block,
    "foreign write": _foreign,
    "unplug": _unplug,
}
