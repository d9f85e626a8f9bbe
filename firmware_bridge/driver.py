"""What the bridge needs of an arm, whatever servos it has: the contract of five methods, and what it says at connect.

`sts/` and `damiao/` each implement it; their virtual twins speak to the same drivers over a real pty or
CAN bus. SI outside: rad, a gripper 0 (closed) to 1 (open). A driver decides nothing about when to move
or how far (safety/); every method does what it is asked, once, and raises a BridgeError when it could not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ArmState:
    """One reading, [D] each; a joint that did not answer has its last values and `fresh` False.

    What a family of servos does not report is NaN.
    """

    position: Array  # rad, gripper 0..1
    velocity: Array  # rad/s, gripper 1/s
    load: Array  # -1..1 of full duty or torque
    current: Array  # A
    temperature: Array  # degrees Celsius
    voltage: Array  # V
    errors: tuple[int, ...]  # as the servo sends them
    alarms: tuple[str, ...]  # "" or why that servo no longer follows: "overload; reading ...; what to do: ..."
    changed: tuple[str, ...]  # by itself since it was written: "elbow_flex: Torque_Enable reads 0, expected 1"
    fresh: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What connecting found; does not change while a driver is open."""

    lower: Array  # [D] the range that the servos themselves keep to; -inf where they keep none
    upper: Array  # [D]
    torque: str  # "on" when any servo holds, else "off"
    calibration: str  # path, "shipped" for a virtual arm
    fingerprint: str  # of that calibration
    report: tuple[str, ...]  # what was written or left alone at connect, for people
    firmware: tuple[str, ...] = ()  # of each servo, "3.10"; "" where it did not tell


class Driver(Protocol):
    """An open arm. One thread owns it."""

    facts: Facts

    def read(self) -> ArmState:
        """Everything that the servos report, now. Silence of a servo is `fresh` False, not an error.

        Raises PortLost.
        """

    def send(self, goal: Array) -> None:
        """Goal positions [D] to all servos at once; the torque must be on."""

    def hold(self, support: float = 1.0) -> None:
        """Called in each tick in which torque is on and no goal is sent.

        Servos that hold by themselves (STS3215) are sent nothing at all; motors that would go limp in
        silence are sent their last goal again, with gravity compensation. `support` below 1 fades the
        holding out under damping, for lowering an arm that cannot be left holding.
        """

    def torque_on(self) -> Array:
        """Torque on with goal = present, verified; returns that present [D]. Raises ServoError."""

    def torque_off(self) -> None:
        """Torque off, verified. Raises ServoError."""

    def missed(self) -> tuple[int, ...]:
        """Answers of each servo so far that did not come intact in time, [D]; each try counts, also one repeated
        with success. For judging a cable: `read` alone says whether a joint is known now."""

    def close(self) -> None:
        """Give the port back. Motors that need a word to be safe without a host get it here."""
