"""The servos of one arm while a person works on it: found and checked, let go softly, read all at once.

Takes a Bus and a robot's row; gives raw shaft ticks per joint, and lines for people. Writes nothing that stays: only
torque and its limit, to let go. Knows no calibration: what the servos' own offset and limits are does not matter here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from calib.held_signals import held_signals
from calib.person import YES, Person, Question
from calib.sts.circular import raw_ticks
from firmware_bridge.errors import BridgeError, NoAnswer, ServoError, ServoMissing, ServoWrong, sentence
from firmware_bridge.robot import Robot
from firmware_bridge.sts.bus import Bus, Patience
from firmware_bridge.sts.line import SerialLine
from firmware_bridge.sts.registers import REGISTERS
from firmware_bridge.sts.robots import servos_of
from firmware_bridge.sts.scan import probe_echo, scan
from policy_spec.errors import Cancelled

LATE_S = 0.5  # without an answer: shown
LOST_S = 3.0  # without an answer: the procedure ends
RELEASE_S = 2.0  # a holding arm is let down over
RELEASE_STEPS = 20
LOOK_BEYOND = range(0, 21)  # ids that are looked for where one of the arm's is missing
# Of all servos at once: an FTDI adapter keeps answers for 16 ms and a busy computer for as long; no tick waits here.
PATIENCE = Patience(reply_timeout_s=0.06)
_PRESENT = REGISTERS["Present_Position"]


def open_bus(port: str) -> Bus:
    """The bus of an arm that is worked on. Raises PortError."""
    return Bus(SerialLine(port), PATIENCE)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at all servos."""

    t: float  # s
    raw: Mapping[str, int]  # joint -> shaft ticks 0..4095; without the silent
    silent_s: Mapping[str, float] = field(default_factory=dict)  # joint -> for how long; only those past LATE_S


class Servos:
    """The arm's servos on an open bus. `connect` first."""

    def __init__(self, bus: Bus, robot: Robot, clock: Callable[[], float] = time.monotonic) -> None:
        self.bus = bus
        self.robot = robot
        self.ids: Mapping[str, int] = dict(zip(robot.joints, servos_of(robot).ids, strict=True))
        self.firmware: Mapping[str, str] = {}
        self._clock = clock
        self.offsets: dict[str, int] = {}  # joint -> Homing_Offset, as the servo has it now
        self._heard: dict[str, float] = {}

    def connect(self) -> tuple[str, ...]:
        """Who is there; gives lines for people. Raises ServoMissing, ServoDuplicate, ServoWrong, NoAnswer."""
        probe_echo(self.bus)
        self._refuse_missing()
        for joint, servo in self.ids.items():
            self._refuse_strange(joint, servo)
            self.offsets[joint] = self.bus.read(servo, "Homing_Offset")
        self._heard = dict.fromkeys(self.ids, self._clock())
        return self._words()

    def read(self) -> Reading:
        """Where all shafts are. Raises NoAnswer when one has been silent for LOST_S, PortError."""
        answer = self.bus.sync_read(_PRESENT.address, _PRESENT.length, tuple(self.ids.values()), retries=0)
        now = self._clock()
        raw = {}
        for joint, servo in self.ids.items():
            if servo in answer.frames:
                raw[joint] = raw_ticks(_PRESENT.decode(answer.frames[servo].data), self.offsets[joint])
                self._heard[joint] = now
        silent = {joint: now - heard for joint, heard in self._heard.items() if now - heard > LATE_S}
        lost = [f"{joint} (servo {self.ids[joint]})" for joint in silent if silent[joint] > LOST_S]
        if lost:
            do = "check the cable before the first of them and the power supply, then again; nothing was written"
            raise NoAnswer(sentence(f"no answer for {LOST_S:g} s from {', '.join(lost)}", do=do))
        return Reading(now, raw, silent)

    def _refuse_missing(self) -> None:
        found = scan(self.bus, self.ids.values())
        missing = [f"{joint} (id {servo})" for joint, servo in self.ids.items() if servo not in found]
        if not missing:
            return
        beyond = [servo for servo in LOOK_BEYOND if servo not in self.ids.values()]
        others = sorted(self.bus.sync_read(REGISTERS["ID"].address, 1, beyond, retries=0).frames)
        got = f"no answer from {', '.join(missing)}" + (f"; other ids answer: {others}" if others else "")
        do = "check power and cables; a servo with another id, or a new one: armside setup-motors"
        what = f"servos of the {self.robot.name}"
        raise ServoMissing(sentence(what, expected=f"ids {list(self.ids.values())}", got=got, do=do))

    def _refuse_strange(self, joint: str, servo: int) -> None:
        model = self.bus.read(servo, "Model_Number")
        if model != servos_of(self.robot).model:
            what, do = f"{joint} (servo {servo}) is another model", "mount an STS3215"
            raise ServoWrong(sentence(what, expected=servos_of(self.robot).model, got=model, do=do))
        steps = self.bus.read(servo, "Angular_Resolution")
        if steps != 1:
            what, do = f"{joint} (servo {servo}) counts its angle in larger steps", "set its Angular_Resolution to 1"
            raise ServoWrong(sentence(what, expected=1, got=steps, do=do))
        version = [self.bus.read(servo, f"Firmware_{part}_Version") for part in ("Major", "Minor")]
        self.firmware = {**self.firmware, joint: ".".join(map(str, version))}

    def _words(self) -> tuple[str, ...]:
        versions = sorted(set(self.firmware.values()))
        if len(versions) == 1:
            return (f"{len(self.ids)} servos answer, firmware {versions[0]}",)
        rows = ", ".join(f"{joint} {version}" for joint, version in self.firmware.items())
        return (f"{len(self.ids)} servos answer", f"their firmware differs, and LeRobot refuses such an arm: {rows}")


def limp(bus: Bus, ids: Mapping[str, int], person: Person) -> tuple[str, ...]:
    """Every joint limp; which ones held, after the person agreed (key "release"). Raises Cancelled, ServoError."""
    holding = tuple(joint for joint, servo in ids.items() if bus.read(servo, "Torque_Enable") != 0)
    if not holding:
        return ()
    text = f"{', '.join(holding)}: these joints hold. Hold the arm with your hand: it is let go slowly. Ready?"
    if person.ask(Question("release", text)) != YES:
        raise Cancelled("cancelled: the arm still holds")
    release(bus, {joint: ids[joint] for joint in holding})
    return holding


def release(bus: Bus, ids: Mapping[str, int]) -> None:
    """Torque fades out, then is off, and its limit as before; broken off, they hold where they are.

    Raises NoAnswer with the joints that did not hear it, when the others are limp; PortError.
    """
    full = {servo: bus.read(servo, "Torque_Limit") for servo in ids.values()}
    try:
        fade(bus, full, RELEASE_S)
    except BaseException:
        with held_signals():
            for servo, limit in full.items():
                with contextlib.suppress(BridgeError):  # a silent one is no reason to leave the others weak
                    _hold_here(bus, servo, limit)
        raise
    with held_signals():
        lost = [f"{joint} (servo {servo})" for joint, servo in ids.items() if not _limp(bus, servo, full[servo])]
    if lost:
        do = "hold the arm and switch its power off and on; check their cables"
        raise NoAnswer(sentence(f"no answer from {', '.join(lost)} while the arm was let go", do=do))


def _hold_here(bus: Bus, servo: int, limit: int) -> None:
    """The goal first: with its full torque it would jump back to where it was."""
    bus.write(servo, "Goal_Position", bus.read(servo, "Present_Position"))
    bus.write(servo, "Torque_Limit", limit)


def _limp(bus: Bus, servo: int, limit: int) -> bool:
    """Whether it heard it."""
    try:
        bus.write(servo, "Torque_Enable", 0)
        bus.write(servo, "Torque_Limit", limit)
    except ServoError:
        return False
    return True


def fade(bus: Bus, limits: Mapping[int, int], seconds: float) -> None:
    """The torque of these servos from `limits` (0.1 %) down to nearly none."""
    for step in range(RELEASE_STEPS - 1, 0, -1):
        bus.sync_write("Torque_Limit", {servo: limit * step // RELEASE_STEPS for servo, limit in limits.items()})
        time.sleep(seconds / RELEASE_STEPS)
