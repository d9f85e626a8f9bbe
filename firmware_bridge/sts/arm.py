"""An STS3215 arm on one bus: connect, check, read everything, send goals. SI outside, ticks inside.

Takes a Bus, a Robot row and its Calibration. Decides nothing about when to move (state_machine.py) or
how far (limits.py); every method does what it is asked, once, and raises a ServoError when it could not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_bridge.driver import ArmState, Facts
from firmware_bridge.errors import CalibrationMismatch, NoAnswer, ServoMissing, ServoWrong, sentence
from firmware_bridge.robot import Robot
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.codec import Codec
from firmware_bridge.sts.registers import (
    CURRENT_UNIT_A,
    FATAL_ERRORS,
    LOAD_UNIT,
    MULTI_TURN_BIT,
    REGISTERS,
    TELEMETRY_ADDRESS,
    TELEMETRY_LENGTH,
    VOLTAGE_UNIT_V,
    error_text,
)
from firmware_bridge.sts.robots import servos_of
from firmware_bridge.sts.scan import probe_echo, scan

Array = npt.NDArray[np.float64]
EEPROM_OF_CALIBRATION = (
    ("Homing_Offset", "homing_offset"),
    ("Min_Position_Limit", "range_min"),
    ("Max_Position_Limit", "range_max"),
)
# Registers 56..70, see registers.py; a row per servo.
_TELEMETRY = np.dtype(
    [
        ("position", "<u2"),
        ("velocity", "<u2"),
        ("load", "<u2"),
        ("voltage", "u1"),
        ("temperature", "u1"),
        ("written", "u1"),
        ("status", "u1"),
        ("moving", "u1"),
        ("target", "<u2"),
        ("current", "<u2"),
    ]
)
assert _TELEMETRY.itemsize == TELEMETRY_LENGTH


class StsArm:
    """An arm whose servos were found, checked, and may be read."""

    def __init__(self, bus: Bus, robot: Robot, calibration: Calibration) -> None:
        self.bus = bus
        self.robot = robot
        self.servos = servos_of(robot)
        self.calibration = calibration
        self.codec = Codec.of(calibration, robot.grippers)
        self.ids = tuple(joint.id for _, joint in calibration.joints)
        self._raw = {servo: bytes(TELEMETRY_LENGTH) for servo in self.ids}
        self._errors = dict.fromkeys(self.ids, 0)

    # -- connecting; writes nothing

    def connect(self) -> None:
        """Find every servo and compare its memory with the calibration.

        Raises ServoMissing, ServoDuplicate, ServoWrong, CalibrationMismatch.
        """
        probe_echo(self.bus)
        found = scan(self.bus, self.ids)
        missing = [f"{servo} ({name})" for name, servo in self._named() if servo not in found]
        if missing:
            got = f"answers from {list(found)}" if found else "no answer from any servo"
            do = "check the power supply and the cable before the first missing servo"
            raise ServoMissing(
                sentence(f"missing servo ids: {', '.join(missing)}", expected=list(self.ids), got=got, do=do)
            )
        for name, servo in self._named():
            model = self.bus.read(servo, "Model_Number")
            if model != self.servos.model:
                do = f"connect a {self.robot.name} arm, or choose the robot that this is"
                what = f"model number of servo {servo} ({name})"
                raise ServoWrong(sentence(what, expected=self.servos.model, got=model, do=do))
        self._compare_calibration()

    def _compare_calibration(self) -> None:
        wrong = []
        for name, servo in self._named():
            for register, field in EEPROM_OF_CALIBRATION:
                want, got = getattr(self.calibration[name], field), self.bus.read(servo, register)
                if want != got:
                    wrong.append(f"{name} {register}: file {want}, servo {got}")
        if wrong:
            raise CalibrationMismatch(
                sentence(
                    f"the calibration {self.calibration.source} is not the one in the servos",
                    expected="equal numbers",
                    got="; ".join(wrong),
                    do="name this arm's own file, or calibrate it again",
                )
            )

    # -- settings; only for an arm that may move

    def configure(self) -> tuple[str, ...]:
        """Write the robot's settings where they differ, unlocked and read back, then lock.

        Skipped for a servo whose torque is on: its arm may be raised. Returns what was written or skipped.
        """
        report = []
        for name, servo in self._named():
            wanted = {**self.servos.settings}
            if name in self.robot.grippers:
                wanted |= self.servos.gripper_settings
            phase = self.bus.read(servo, "Phase")
            if phase & MULTI_TURN_BIT:  # readings would leave 0..4095 (lerobot PR #3373)
                wanted["Phase"] = phase & ~MULTI_TURN_BIT
            differing = {reg: value for reg, value in wanted.items() if self.bus.read(servo, reg) != value}
            if not differing:
                continue
            if self.bus.read(servo, "Torque_Enable"):
                report.append(f"{name}: torque is on, settings left as they are: {', '.join(differing)}")
                continue
            self.bus.write(servo, "Lock", 0)
            try:
                for register, value in differing.items():
                    self.bus.write(servo, register, value)
                    report.append(f"{name}: {register} = {value}")
            finally:
                self.bus.write(servo, "Lock", 1)
            if "Max_Torque_Limit" in differing:  # copied to the live limit at power-on only
                self.bus.write(servo, "Torque_Limit", differing["Max_Torque_Limit"])
        return tuple(report)

    def learn(self, report: tuple[str, ...]) -> None:
        """Fill in `facts` after connecting. Raises NoAnswer."""
        lower, upper = self.codec.bounds()
        torque, calibration = self.torque(), self.calibration
        self.facts = Facts(lower, upper, torque, calibration.source, calibration.fingerprint, report)

    # -- each tick

    def read(self) -> ArmState:
        """Registers 56..70 of every servo in one request."""
        answer = self.bus.sync_read(TELEMETRY_ADDRESS, TELEMETRY_LENGTH, self.ids)
        for servo, frame in answer.frames.items():
            self._raw[servo] = frame.data[:TELEMETRY_LENGTH]
            self._errors[servo] = frame.error
        rows = np.frombuffer(b"".join([self._raw[servo] for servo in self.ids]), _TELEMETRY)
        errors = tuple(self._errors[servo] | int(rows["status"][row]) for row, servo in enumerate(self.ids))
        return ArmState(
            position=self.codec.to_si(_signed(rows["position"], 15)),
            velocity=_signed(rows["velocity"], 15) * self.codec.scale,
            load=_signed(rows["load"], 10) * LOAD_UNIT,
            current=_signed(rows["current"], 15) * CURRENT_UNIT_A,
            temperature=rows["temperature"].astype(np.float64),
            voltage=rows["voltage"] * VOLTAGE_UNIT_V,
            errors=errors,
            alarms=tuple(_alarm(bits) for bits in errors),
            changed=(),
            fresh=np.array([servo in answer.frames for servo in self.ids]),
        )

    def send(self, goal: Array) -> None:
        """Goal positions [D] of all servos in one frame."""
        ticks = self.codec.to_ticks(goal).tolist()
        self.bus.sync_write("Goal_Position", dict(zip(self.ids, ticks, strict=True)))

    def hold(self, support: float = 1.0) -> None:
        """Sends nothing: the servos hold by themselves, and a goal write would turn a lost torque on again."""

    def close(self) -> None:
        self.bus.close()

    # -- torque

    def torque(self) -> str:
        """ "on" when any servo holds, else "off". Raises NoAnswer."""
        return "on" if any(self._sync_values("Torque_Enable")) else "off"

    def torque_on(self) -> Array:
        """Goal = present, then torque on, verified; returns that present [D]. Raises ServoError.

        Present is read here and now, and the goal is written first, so no servo can jump.
        """
        present = self._sync_values("Present_Position")
        self.bus.sync_write("Goal_Position", dict(zip(self.ids, present, strict=True)))
        self._switch(1)
        return self.codec.to_si(np.array(present, np.float64))

    def torque_off(self) -> None:
        """Torque off on all servos in one frame, verified. Raises ServoError."""
        self._switch(0)

    def _switch(self, wanted: int) -> None:
        values = [-1]
        for _ in range(1 + self.bus.patience.retries):  # a sync_write is not acknowledged
            self.bus.sync_write("Torque_Enable", dict.fromkeys(self.ids, wanted))
            values = self._sync_values("Torque_Enable")
            if set(values) == {wanted}:
                return
        do = "switch the arm's power off and on while holding it"
        raise ServoWrong(sentence("Torque_Enable", expected=f"{wanted} in every servo", got=values, do=do))

    def _sync_values(self, name: str) -> list[int]:
        register = REGISTERS[name]
        answer = self.bus.sync_read(register.address, register.length, self.ids)
        if answer.missing:
            do = "check the cable before the first silent servo"
            raise NoAnswer(sentence(f"{name} of servos {list(answer.missing)}", got="silence", do=do))
        return [register.decode(answer.frames[servo].data) for servo in self.ids]

    def _named(self) -> tuple[tuple[str, int], ...]:
        return tuple((name, joint.id) for name, joint in self.calibration.joints)


def _alarm(bits: int) -> str:
    if not bits & FATAL_ERRORS:
        return ""
    return f"{error_text(bits)}; what to do: let it cool, or switch the arm's power off and on"


def _signed(raw: npt.NDArray[np.uint16], bit: int) -> Array:
    magnitude = (raw & ((1 << bit) - 1)).astype(np.float64)
    return np.where(raw >> bit & 1, -magnitude, magnitude)
