"""An STS3215 arm on one bus: connect, check, read everything, send goals. SI outside, ticks inside.

Takes a Bus, a Robot row and its Calibration. Decides nothing about when to move or how far (safety/);
every method does what it is asked, once, and raises a ServoError when it could not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from firmware_bridge.driver import ArmState, Facts
from firmware_bridge.errors import CalibrationImplausible, CalibrationMismatch, ServoMissing, ServoWrong, sentence
from firmware_bridge.robot import Robot
from firmware_bridge.sts import plausible
from firmware_bridge.sts.alarms import alarm_text
from firmware_bridge.sts.bus import Bus
from firmware_bridge.sts.calibration import Calibration
from firmware_bridge.sts.changed import words
from firmware_bridge.sts.codec import Codec
from firmware_bridge.sts.memory import Memory, no_answer
from firmware_bridge.sts.registers import MULTI_TURN_BIT, OVERLOAD, REGISTERS, TELEMETRY_ADDRESS, TELEMETRY_LENGTH
from firmware_bridge.sts.robots import servos_of
from firmware_bridge.sts.scan import probe_echo, scan
from firmware_bridge.sts.telemetry import Block
from firmware_bridge.sts.torque import Torque

Array = npt.NDArray[np.float64]
EEPROM_OF_CALIBRATION = (
    ("Homing_Offset", "homing_offset"),
    ("Min_Position_Limit", "range_min"),
    ("Max_Position_Limit", "range_max"),
)


class StsArm:
    """An arm whose servos were found, checked, and may be read."""

    def __init__(self, bus: Bus, robot: Robot, calibration: Calibration) -> None:
        self.bus = bus
        self.robot = robot
        self.servos = servos_of(robot)
        self.calibration = calibration
        self.codec = Codec.of(calibration, robot.grippers)
        self.ids = tuple(joint.id for _, joint in calibration.joints)
        self.names = tuple(name for name, _ in calibration.joints)
        self.memory = Memory(bus, self.ids)
        self.switch = Torque(bus, self.ids, self.names, self.memory)
        self._block = Block(self.ids)
        self._errors = dict.fromkeys(self.ids, 0)

    # -- connecting; writes nothing but what `adopt` says

    def adopt(self) -> tuple[str, ...]:
        """Freeze what holds, at its measured position; the first thing after opening a port again.

        Needs no connect before. Returns what was found, for Facts.report.
        """
        frozen = self.switch.freeze()
        report = []
        if frozen.holding:
            report.append(f"found holding, frozen where they are: {self._of(frozen.holding)}")
        if frozen.holding and frozen.limp:
            report.append(f"found without torque, left limp: {self._of(frozen.limp)}; the arm holds only in part")
        if frozen.silent:
            report.append(f"silent when looked for a held arm: {self._of(frozen.silent)}")
        return tuple(report)

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
        self.memory.load()
        for name, servo in self._named():
            model = self.memory.value(servo, "Model_Number")
            if model != self.servos.model:
                do = f"connect a {self.robot.name} arm, or choose the robot that this is"
                what = f"model number of servo {servo} ({name})"
                raise ServoWrong(sentence(what, expected=self.servos.model, got=model, do=do))
        self._compare_calibration()

    def _compare_calibration(self) -> None:
        wanted = {
            register: [getattr(joint, field) for _, joint in self.calibration.joints]
            for register, field in EEPROM_OF_CALIBRATION
        }
        wrong = []
        for row, (name, servo) in enumerate(self._named()):
            for register, values in wanted.items():
                got = self.memory.value(servo, register)
                if values[row] != got:
                    wrong.append(f"{name} {register}: file {values[row]}, servo {got}")
        if wrong:
            raise CalibrationMismatch(
                sentence(
                    f"the calibration {self.calibration.source} is not the one in the servos",
                    expected="equal numbers",
                    got="; ".join(wrong),
                    do="name this arm's own file, or calibrate it again",
                )
            )
        self.memory.watch(wanted)

    def refuse_implausible(self) -> None:
        """Compare the calibration with the arm's mechanics, and where it stands with its ranges.

        For the first connect: after a takeover or a replug the arm may hold anything, and was asked before.
        Raises CalibrationImplausible, NoAnswer.
        """
        found = plausible.problems(self.calibration, self.robot.grippers)
        what = f"the calibration {self.calibration.source} cannot be this arm's"
        if not found:
            found = plausible.standing(self._positions(), self.calibration)
            what = f"this arm cannot stand where the calibration {self.calibration.source} says it stands"
        if found:
            do = "calibrate it again; an arm with other mechanics: mechanics = false in its profile"
            raise CalibrationImplausible(sentence(what, got=plausible.text(found), do=do))

    def _positions(self) -> dict[str, int]:
        register = REGISTERS["Present_Position"]
        answer = self.bus.sync_read(register.address, register.length, self.ids)
        if answer.missing:
            raise no_answer("Present_Position", answer.missing)
        return {name: register.decode(answer.frames[servo].data) for name, servo in self._named()}

    # -- settings; only for an arm that may move

    def configure(self) -> tuple[str, ...]:
        """Write the robot's settings where they differ, unlocked and read back, then lock.

        Skipped for a servo whose torque is on: its arm may be raised. Returns what was written or skipped.
        """
        self.memory.load()
        report = []
        for name, servo in self._named():
            wanted = {**self.servos.settings}
            if name in self.robot.grippers:
                wanted |= self.servos.gripper_settings
            phase = self.memory.value(servo, "Phase")
            if phase & MULTI_TURN_BIT:  # readings would leave 0..4095 (lerobot PR #3373)
                wanted["Phase"] = phase & ~MULTI_TURN_BIT
            differing = {reg: value for reg, value in wanted.items() if self.memory.value(servo, reg) != value}
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
        if report:
            self.memory.load()
        return tuple(report)

    def learn(self, report: tuple[str, ...]) -> None:
        """Fill in `facts` after connecting. Raises NoAnswer."""
        lower, upper = self.codec.bounds()
        holding = self._holding()
        limp = [servo for servo in self.ids if servo not in holding]
        if holding and limp:
            report += (f"torque is on in {self._of(holding)}, off in {self._of(limp)}: the arm holds only in part",)
        torque = "on" if holding else "off"
        source, fingerprint = self.calibration.source, self.calibration.fingerprint
        self.facts = Facts(lower, upper, torque, source, fingerprint, report, self._firmware())

    # -- each tick

    def read(self) -> ArmState:
        """Registers 40..70 of every servo in one request: what is measured, and what was written.

        The longest it takes, with servos silent: twice `reply_timeout_s` for the block and its retry, and
        twice more in a tick that looks again or looks at the limits.
        """
        fresh = self._ask(self.ids)
        now = self.bus.clock()
        expected = self.switch.expected
        self.switch.ramp(self._block.rows, fresh, now)
        differing = expected.differences(self._block.bytes, fresh)
        if differing:  # a glitch of the line may pass an 8-bit checksum: look again before saying so
            rows = sorted({item.row for item in differing})
            fresh[rows] = self._ask([self.ids[row] for row in rows], retries=0)[rows]
            differing = expected.differences(self._block.bytes, fresh)
        differing += self.switch.goals.check(self._block.rows["goal"], fresh)
        differing += self.memory.look(now) if fresh.all() and not differing else self.memory.differing
        rows_ = self._block.rows
        errors = tuple(self._errors[servo] | int(rows_["status"][row]) for row, servo in enumerate(self.ids))
        measured = self._block.measured(self.codec)
        return ArmState(
            position=measured.position,
            velocity=measured.velocity,
            load=measured.load,
            current=measured.current,
            temperature=measured.temperature,
            voltage=measured.voltage,
            errors=errors,
            alarms=tuple(self._alarm(row, bits) if bits else "" for row, bits in enumerate(errors)),
            changed=words(self.names, differing) if differing else (),
            fresh=fresh,
        )

    def send(self, goal: Array) -> None:
        """Goal positions [D] of all servos in one frame."""
        ticks = self.codec.to_ticks(goal).tolist()
        self.bus.sync_write("Goal_Position", dict(zip(self.ids, ticks, strict=True)))
        self.switch.goals.sent(ticks)

    def hold(self, support: float = 1.0) -> None:
        """Sends nothing: the servos hold by themselves, and a goal write would turn a lost torque on again."""

    def missed(self) -> tuple[int, ...]:
        return tuple(self.bus.counters.missed[servo] for servo in self.ids)

    def close(self) -> None:
        self.bus.close()

    # -- torque

    def torque(self) -> str:
        """ "on" when any servo holds, else "off". Raises NoAnswer."""
        return "on" if self._holding() else "off"

    def torque_on(self) -> Array:
        """Goal = present, then torque on, verified; returns that present [D]. Raises ServoError.

        Present is read here and now, and the goal is written first, so no servo can jump.
        """
        present = self.switch.on([name in self.robot.grippers for name in self.names])
        return self.codec.to_si(present.astype(np.float64))

    def torque_off(self) -> None:
        """Torque off on all servos in one frame, verified. Raises ServoError."""
        self.switch.off()

    # -- inside

    def _ask(self, servos: Sequence[int], retries: int | None = None) -> npt.NDArray[np.bool_]:
        answer = self.bus.sync_read(TELEMETRY_ADDRESS, TELEMETRY_LENGTH, servos, retries)
        for servo, frame in answer.frames.items():
            self._errors[servo] = frame.error
        return self._block.take({servo: frame.data for servo, frame in answer.frames.items()})

    def _alarm(self, row: int, bits: int) -> str:
        if self.names[row] in self.robot.grippers:
            bits &= ~OVERLOAD  # it has held something for long, and holds on with Protective_Torque as it is set up to
        servo = self.ids[row]
        who = f"{self.names[row]} (servo {servo})"
        return alarm_text(who, bits, self._block.rows[row], self.memory.image.get(servo))

    def _firmware(self) -> tuple[str, ...]:
        return tuple(self._version(servo) if servo in self.memory.image else "" for servo in self.ids)

    def _version(self, servo: int) -> str:
        major, minor = (self.memory.value(servo, f"Firmware_{part}_Version") for part in ("Major", "Minor"))
        return f"{major}.{minor}"

    def _holding(self) -> list[int]:
        register = REGISTERS["Torque_Enable"]
        answer = self.bus.sync_read(register.address, register.length, self.ids)
        if answer.missing:
            raise no_answer("Torque_Enable", answer.missing)
        return [servo for servo in self.ids if register.decode(answer.frames[servo].data)]

    def _named(self) -> tuple[tuple[str, int], ...]:
        return tuple(zip(self.names, self.ids, strict=True))

    def _of(self, servos: Sequence[int]) -> str:
        return ", ".join(name for name, servo in self._named() if servo in servos)
