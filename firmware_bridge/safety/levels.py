"""What is too hot, too little, too much: the table of levels, and which of them readings have reached. Pure.

Takes an ArmState per tick, the time, and how far commands are ahead; gives a Verdict: what to note, whether
to go slower, which joints to press less, and what to stop for. What a servo does not report (NaN) is no
opinion. A level counts once its reading has been beyond it for `lasts_s`, and until it has come back by `back`.

Sources: 71 degrees Celsius was measured on an STS3215 without any shutdown by itself (SO-ARM100 #134), its own
limit is 70; its protection current is 3.25 A, the gripper's as configured 1.6 A; 7.4 V arms also run on 5 V.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.driver import ArmState
from firmware_bridge.errors import ConfigError, sentence

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
STILL = 0.05  # rad/s, gripper 1/s: slower than this a joint does not move
SLOW = 0.3  # part of the speed that is left where a limit is reached
SHORT = 0.5  # part of the lead that is left: a shorter lead is less torque
NEVER = math.nan
_WARN, _LIMIT, _STOP = range(3)


@dataclass(frozen=True, slots=True)
class Level:
    """One quantity of every joint that `on` names; thresholds in `unit`, NEVER for none."""

    quantity: str  # temperature, current, gripper_current, voltage_low, voltage_high, stall, gripper_stall
    unit: str
    thresholds: tuple[float, float, float]  # warn, limit, stop
    lasts_s: tuple[float, float, float]
    back: float
    do: str
    falling: bool = False  # the trouble is below the thresholds
    on: str = "all"  # "arm", "grippers"
    supply: tuple[float, float] = (-math.inf, math.inf)  # V: for arms whose first voltage is between
    parks: bool = False  # stop means: park slowly and let go, since holding makes it worse
    slows: bool = True  # at its limit the whole arm goes slower, not only this joint presses less
    refuses: bool = False  # at stop nothing is armed: it does not go away by arming


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What the readings of one tick ask for."""

    notes: tuple[str, ...] = ()
    slow: bool = False
    short: Mask | None = None  # [D] joints whose lead is shortened
    stop: str = ""  # why the arm must stop, the whole text
    hot: str = ""  # why it must park and let go
    refusal: str = ""  # why nothing may be armed


_LOW = "check the power supply and its cable"
_HIGH = "use the supply that the arm is made for"
_COOL = "let it cool; lighten the load or shorten the work"
_CURRENT = "look what the joint presses against"
_STALL = "free the joint, or lighten its load"
_SOON = (0.5, 0.5, 0.5)
_7V, _12V = (-math.inf, 9.0), (9.0, math.inf)
_STALLS = (
    Level("stall", "of its lead or torque", (0.8, 0.9, 0.95), (0.5, 1.0, 3.0), 0.05, _STALL, on="arm"),
    Level(
        "gripper_stall", "of its lead or torque", (NEVER, 0.9, NEVER), _SOON, 0.05, _STALL, on="grippers", slows=False
    ),
)
LEVELS: dict[str, tuple[Level, ...]] = {  # family -> rows
    "sts": (
        Level("temperature", "C", (55.0, 60.0, 65.0), _SOON, 2.0, _COOL, parks=True, refuses=True),
        Level("voltage_low", "V", (4.6, 4.4, 4.2), _SOON, 0.2, _LOW, falling=True, supply=_7V, refuses=True),
        Level("voltage_low", "V", (10.5, 10.0, 9.5), _SOON, 0.3, _LOW, falling=True, supply=_12V, refuses=True),
        Level("voltage_high", "V", (8.4, NEVER, 8.8), _SOON, 0.2, _HIGH, supply=_7V, refuses=True),
        Level("voltage_high", "V", (13.2, NEVER, 13.8), _SOON, 0.3, _HIGH, supply=_12V, refuses=True),
        Level("current", "A", (1.95, 2.6, 3.1), (1.0, 1.0, 1.5), 0.2, _CURRENT, on="arm"),
        Level("gripper_current", "A", (1.0, 1.3, 1.55), (1.0, 0.5, 1.5), 0.1, _CURRENT, on="grippers", slows=False),
        *_STALLS,
    ),
    "damiao": (
        Level("temperature", "C", (60.0, 70.0, 80.0), _SOON, 2.0, _COOL, parks=True, refuses=True),
        *_STALLS,
    ),
}


def make_levels(family: str, given: Mapping[str, tuple[float, ...]]) -> tuple[Level, ...]:
    """The rows of `family`, thresholds replaced by `given`: quantity -> warn, limit, stop. Raises ConfigError."""
    rows = LEVELS[family]
    known = tuple(dict.fromkeys(row.quantity for row in rows))
    for quantity in given:
        if quantity not in known:
            raise ConfigError(sentence("levels of an unknown quantity", expected=", ".join(known), got=quantity))
    return tuple(_with(row, given[row.quantity]) if row.quantity in given else row for row in rows)


def _with(row: Level, given: tuple[float, ...]) -> Level:
    order = sorted(given, reverse=row.falling)
    if len(given) != 3 or not all(math.isfinite(value) for value in given) or list(given) != order:
        way = "falling" if row.falling else "rising"
        expected = f"warn, limit, stop: three {way} numbers in {row.unit}"
        raise ConfigError(sentence(f"levels of {row.quantity}", expected=expected, got=list(given)))
    return dataclasses.replace(row, thresholds=(given[0], given[1], given[2]))


class Gauges:
    """Remembers for how long each reading has been beyond each level."""

    def __init__(self, levels: tuple[Level, ...], joints: Sequence[str], grippers: Mask, lead: Array) -> None:
        self._levels = levels
        self._joints = tuple(joints)
        self._lead = lead
        on = {"all": np.ones_like(grippers), "grippers": grippers, "arm": ~grippers}
        self._on = np.array([on[row.on] for row in levels], dtype=np.bool_).reshape(-1, len(joints))  # [R, D]
        self._sign = np.array([-1.0 if row.falling else 1.0 for row in levels])[:, None]
        self._beyond = np.array([row.thresholds for row in levels]).reshape(-1, 3) * self._sign  # [R, 3]
        self._back = self._beyond - np.array([row.back for row in levels])[:, None]
        self._lasts = np.array([row.lasts_s for row in levels]).reshape(-1, 3)
        self._supply = math.nan
        self._everywhere = np.array([not any(map(math.isfinite, row.supply)) for row in levels], dtype=np.bool_)
        self._slows = np.array([row.slows for row in levels], dtype=np.bool_)
        self.reset()

    def reset(self) -> None:
        """Forget what was reached: it counts again from the next reading on."""
        shape = (len(self._levels), 3, len(self._joints))
        self._since: Array = np.full(shape, np.nan)  # s, when each reading went beyond
        self._reached: Mask = np.zeros(shape, dtype=np.bool_)
        self._short: Mask = np.zeros(len(self._joints), dtype=np.bool_)

    def update(self, now: float, state: ArmState, ahead: Array) -> Verdict:
        """Look at one reading; `ahead` [D] is how far each command is from its joint, 0 without torque.

        A joint that did not answer keeps what it had reached.
        """
        readings = self._readings(state, ahead)  # [R, D]
        signed = (readings * self._sign)[:, None, :]
        # Written so that what is no number, reading or level, is not beyond anything.
        beyond = signed >= self._beyond[:, :, None]
        still = self._reached & (signed > self._back[:, :, None])
        since = np.where(beyond, np.fmin(self._since, now), np.nan)  # a clock that went back starts again
        reached = still | (beyond & (now - since >= self._lasts[:, :, None]))
        fresh = state.fresh
        self._since = np.where(fresh, since, self._since)
        self._reached = np.where(fresh, reached, self._reached)
        return self._verdict(readings)

    def _readings(self, state: ArmState, ahead: Array) -> Array:
        volts = state.voltage[np.isfinite(state.voltage) & state.fresh]
        if math.isnan(self._supply) and volts.size:
            self._supply = float(np.median(volts))
        lead = np.where(self._short, SHORT * self._lead, self._lead)
        pressed = np.fmax(np.abs(ahead) / lead, np.abs(state.load))
        stalled = np.where(np.abs(state.velocity) < STILL, pressed, 0.0)
        current = np.abs(state.current)
        columns = {
            "temperature": state.temperature,
            "voltage_low": state.voltage,
            "voltage_high": state.voltage,
            "current": current,
            "gripper_current": current,
            "stall": stalled,
            "gripper_stall": stalled,
        }
        rows = np.array([columns[row.quantity] for row in self._levels]).reshape(-1, len(self._joints))
        here = np.array([row.supply[0] <= self._supply < row.supply[1] for row in self._levels], dtype=np.bool_)
        applies = self._on & (here | self._everywhere)[:, None]
        return np.where(applies, rows, np.nan)

    def _verdict(self, readings: Array) -> Verdict:
        if not self._reached.any():
            self._short = np.zeros_like(self._short)
            return Verdict()
        self._short = np.any(self._reached[:, _LIMIT], axis=0)
        rows = self._levels
        stops = [(rows[row], self._stop_text(row, joint, readings)) for row, joint in self._at(_STOP)]
        return Verdict(
            notes=tuple(self._note(row, joint, readings) for row, joint in self._at(slice(None))),
            slow=bool((self._reached[:, _LIMIT].any(axis=1) & self._slows).any()),
            short=self._short if self._short.any() else None,
            stop=next((text for row, text in stops if not row.parks), ""),
            hot=next((text for row, text in stops if row.parks), ""),
            refusal=next((text for row, text in stops if row.refuses), ""),
        )

    def _at(self, which: int | slice) -> list[tuple[int, int]]:
        """(row, joint) of all that has reached the level `which`, or any."""
        reached = self._reached[:, which].reshape(len(self._levels), -1, len(self._joints))
        return [(int(row), int(joint)) for row, joint in np.argwhere(reached.any(axis=1))]

    def _note(self, row: int, joint: int, readings: Array) -> str:
        level = self._levels[row]
        worst = int(np.flatnonzero(self._reached[row, :, joint])[-1])
        name = ("warn", "limit", "stop")[worst]
        effect = ("", ": slower, pressing less" if level.slows else ": pressing less", "")[worst]
        reading = f"{readings[row, joint]:.3g} {level.unit}"
        return f"{level.quantity} of {self._joints[joint]}: {reading}, {name} at {level.thresholds[worst]:g}{effect}"

    def _stop_text(self, row: int, joint: int, readings: Array) -> str:
        level = self._levels[row]
        most = f"{'above' if level.falling else 'below'} {level.thresholds[_STOP]:g} {level.unit}"
        got = f"{readings[row, joint]:.3g} {level.unit}"
        return sentence(f"{level.quantity} of {self._joints[joint]}", expected=most, got=got, do=level.do)
