"""How a virtual STS3215 protects itself: overload, over-current, heat and voltage, as error bits and less torque.

Takes the load and the limits in the servo's own memory; time is passed in. Overload and over-current latch
until the power is cycled, as users report (physical-ai-studio #955). What the real firmware does to the
torque on heat and current is not documented: here it lets go, the worse case for whoever holds an arm.
"""

from __future__ import annotations

from dataclasses import dataclass

VOLTAGE, SENSOR, HEAT, CURRENT, OVERLOAD = 1, 2, 4, 8, 32
COOLER = 5.0  # degrees below the limit, where heat ends
COOLING = 0.02  # of the distance to ambient, per s


@dataclass(frozen=True, slots=True)
class Limits:
    """A servo's own, from its EEPROM, in the registers' units made plain."""

    temperature: int  # degrees Celsius
    voltage: tuple[int, int]  # 0.1 V
    current_a: float
    current_s: float
    overload: float  # 0..1
    overload_s: float
    protective: float  # 0..1 of full torque, left after an overload
    unloading: int  # error bits that drop the torque


@dataclass(slots=True)
class Body:
    """What the sensors inside see, beside position."""

    voltage: float = 74.0  # 0.1 V
    sag: float = 0.0  # 0.1 V lost in the cables
    temperature: float = 31.0  # degrees Celsius
    ambient: float = 31.0
    heating: float = 0.0  # degrees per s at full load; 0: the temperature stays as it is set

    @property
    def supply(self) -> float:
        """0.1 V that arrive"""
        return self.voltage - self.sag


class Protection:
    """Error bits of one servo over time."""

    def __init__(self) -> None:
        self.latched = 0  # until power off
        self._hot = False
        self._overload_s = 0.0
        self._current_s = 0.0

    def step(self, elapsed: float, load: float, current_a: float, limits: Limits, body: Body) -> int:
        """`elapsed` s passed with this load (0..1) and current; the error bits now."""
        self._overload_s = self._overload_s + elapsed if load >= limits.overload else 0.0
        self._current_s = self._current_s + elapsed if current_a >= limits.current_a else 0.0
        if self._overload_s > limits.overload_s:
            self.latched |= OVERLOAD
        if self._current_s > limits.current_s:
            self.latched |= CURRENT
        if body.heating:
            body.temperature += elapsed * (body.heating * load - COOLING * (body.temperature - body.ambient))
        return self.latched | self.now(limits, body)

    def now(self, limits: Limits, body: Body) -> int:
        """Bits that come and go with what causes them."""
        low, high = limits.voltage
        bits = 0 if low <= body.supply <= high else VOLTAGE
        self._hot = body.temperature >= limits.temperature - (COOLER if self._hot else 0.0)
        return bits | (HEAT if self._hot else 0)


def effort_left(effort: float, bits: int, limits: Limits) -> float:
    """What is left of the torque (0..1) under error bits."""
    unloading = bits & limits.unloading
    if unloading & ~OVERLOAD:
        return 0.0
    return min(effort, limits.protective) if unloading else effort
