"""The motors of a YAM arm, or of two, as calibrating needs them: asked, and one at a time driven. Adds the clock.

Takes a robot and its port; gives registers, feedback and angles by joint. Reads and refreshes command nothing; only
`enable` switches a motor on, and leaving the block switches off what it switched on. Judges nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence

from firmware_bridge.damiao import nibbles
from firmware_bridge.damiao.can_port import parse_port
from firmware_bridge.damiao.chain import Address, Chain
from firmware_bridge.damiao.frames import (
    CLEAR,
    DISABLE,
    ENABLE,
    READ,
    Feedback,
    Frame,
    Mit,
    make_mit,
    make_refresh,
    make_register_read,
    make_word,
    parse_register,
)
from firmware_bridge.damiao.grippers import Gripper
from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.damiao.registers import MASTER_OFFSET, NEEDED, REGISTERS, TOLD
from firmware_bridge.damiao.robots import Motor, motors_of, servos_of
from firmware_bridge.damiao.wire import Wire
from firmware_bridge.errors import BridgeError, NoAnswer, PortBusy, PortLost, ServoWrong, sentence
from firmware_bridge.robot import Robot

PATIENCE_S = 0.03  # with one answer
LEFT_ALONE_S = 0.005  # between two looks whether a motor may be asked again
LISTEN_S = 0.05  # ten ticks of a bridge
TRIES = 5
SETTLE_S = 0.5  # patience with a reading of every motor
ALL_REGISTERS = (*NEEDED, *TOLD, "hw_ver", "can_br")
STRANGE_IDS = range(1, 16)  # feedback carries four bits of an id


class Motors:
    """A context manager. One thread owns it."""

    def __init__(self, robot: Robot, gripper: Gripper, port: str) -> None:
        """Raises ConfigError, PortError."""
        self.robot = robot
        self.rows: tuple[Motor, ...] = motors_of(robot, gripper)
        self.on: set[int] = set()
        with contextlib.ExitStack() as stack:
            wires = []
            for spec in parse_port(port, servos_of(robot).buses):
                wires.append(Wire(spec))
                stack.callback(wires[-1].close)
            stack.pop_all()
        self.chain = Chain(wires, self._addresses())

    def know(self, gripper: Gripper) -> None:
        """Which gripper is mounted: its motor's frames have other scales."""
        self.rows = motors_of(self.robot, gripper)
        self.chain.addresses = self._addresses()

    def _addresses(self) -> tuple[Address, ...]:
        return tuple(Address(row.bus, row.id, row.id + MASTER_OFFSET, MOTORS[row.type].ranges) for row in self.rows)

    def __enter__(self) -> Motors:
        return self

    def __exit__(self, *_: object) -> None:
        for index in sorted(self.on):
            self.disable(index)
        self.chain.close()

    # -- asking

    def refuse_company(self) -> None:
        """Raises PortBusy where somebody else talks to the motors."""
        talking = self.chain.listen(LISTEN_S)
        if talking:
            names = ", ".join(self.robot.joints[index] for index in talking)
            do = "stop the bridge or the program that drives this arm"
            raise PortBusy(sentence(f"somebody else talks to {names}", expected="a quiet bus", got="answers", do=do))

    def registers(self, only: Sequence[int] = ()) -> list[dict[str, float]]:
        """Each motor's registers by name, those that answered; `only` of some, () of all. Raises PortLost."""
        values: list[dict[str, float]] = [{} for _ in self.rows]
        for name in ALL_REGISTERS:
            missing = set(only or range(len(self.rows)))
            for _ in range(TRIES if name in NEEDED else 2):
                for index, value in self.chain.read_register(name, missing, PATIENCE_S).items():
                    values[index][name] = value
                    missing.discard(index)
                if not missing:
                    break
            self._check_buses()
        return values

    def strangers(self, bus: int) -> dict[int, float]:
        """Ids that answer on a bus though no joint has them, with their gear ratios."""
        wire, gear = self.chain.wires[bus], REGISTERS["Gr"]
        known = {row.id for row in self.rows if row.bus == bus}
        found: dict[int, float] = {}
        for number in STRANGE_IDS:
            if number in known:
                continue
            wire.send(make_register_read(number, gear.number))
            until = time.monotonic() + PATIENCE_S
            while number not in found and time.monotonic() < until:
                wire.wait(until)
                for frame in wire.drain():
                    answer = parse_register(frame.data)
                    if answer is None or frame.id == number:  # a frame to it, not from it
                        continue
                    if (answer.id, answer.action, answer.register) == (number, READ, gear.number):
                        found[number] = gear.decode(answer.data)
        return found

    def feedback(self) -> list[Feedback]:
        """What every motor says now; nothing is commanded. Raises NoAnswer, PortLost."""
        until = time.monotonic() + SETTLE_S
        missing = set(range(len(self.rows)))
        found: dict[int, Feedback] = {}
        while missing:
            found |= self._exchange({index: make_refresh(self.rows[index].id) for index in missing})
            missing -= set(found)
            if missing and time.monotonic() > until:
                names = ", ".join(f"{self.robot.joints[i]} (id {self.rows[i].id})" for i in sorted(missing))
                do = "check the cable before the first silent motor, and the power supply"
                raise NoAnswer(sentence(f"feedback of {names}", expected="an answer", got="silence", do=do))
        return [found[index] for index in range(len(self.rows))]

    def angles(self) -> dict[str, float]:
        """Joint -> rad of its motor. Raises NoAnswer, PortLost."""
        return {name: row.position for name, row in zip(self.robot.joints, self.feedback(), strict=True)}

    # -- commanding

    def clear(self, motors: Sequence[int]) -> list[int]:
        """Take back errors, so that these motors are limp; those that say an error still. Raises PortLost."""
        left = list(motors)
        for _ in range(TRIES):
            answers = self._exchange({index: make_word(self.rows[index].id, CLEAR) for index in left})
            left = [index for index in left if index not in answers or answers[index].error in nibbles.ERRORS]
            if not left:
                break
        return left

    def enable(self, index: int) -> Feedback:
        """Switch one motor on, without torque until `command`. Raises ServoWrong, PortLost."""
        self.on.add(index)  # from here on it may be on, whatever is heard
        heard = None
        for _ in range(TRIES):
            heard = self._exchange({index: make_word(self.rows[index].id, ENABLE)}).get(index, heard)
            if heard is not None and heard.error == nibbles.ENABLED:
                return heard
        got = "silence" if heard is None else nibbles.meaning(heard.error)
        do = "check its cable and the power supply, then again"
        raise ServoWrong(sentence(f"{self.robot.joints[index]}: torque on", expected="enabled", got=got, do=do))

    def command(self, index: int, command: Mit) -> Feedback | None:
        """One MIT command; what the motor says to it, None: no answer. Raises PortLost.

        After a lost answer it is left alone for 50 ms, holding its last command: asked on, it would owe one for ever.
        """
        row, before = self.rows[index], time.monotonic()
        answer = self._exchange({index: make_mit(row.id, command, MOTORS[row.type].ranges)}, force=False).get(index)
        if answer is None:
            time.sleep(max(0.0, before + LEFT_ALONE_S - time.monotonic()))
        return answer

    def disable(self, index: int) -> bool:
        """Switch one motor off; whether it confirmed that. Never raises."""
        confirmed = False
        for _ in range(TRIES):
            with contextlib.suppress(BridgeError):
                heard = self._exchange({index: make_word(self.rows[index].id, DISABLE)}).get(index)
                confirmed = heard is not None and heard.error != nibbles.ENABLED
            if confirmed:
                break
        self.on.discard(index)
        return confirmed

    def _exchange(self, frames: Mapping[int, Frame], *, force: bool = True) -> dict[int, Feedback]:
        """One frame to each motor; the answers that surely belong to them. Raises PortLost."""
        self.chain.post(frames, force=force)
        self.chain.collect(PATIENCE_S)
        self._check_buses()
        return {index: row for index in frames if (row := self.chain.latest[index]) and self.chain.fresh(index)}

    def _check_buses(self) -> None:
        if self.chain.lost:
            error = next(iter(self.chain.lost.values()))
            raise PortLost(str(error)) from error
