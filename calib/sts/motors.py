"""An SO arm that holds itself for a while and lets go softly afterwards, with every register as it was.

Takes Live readings, gives goals to servos and tells what they feel. What is written is written with Lock = 1 and is
gone with the power. Decides no motion; drive.py does.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType, TracebackType

from calib.held_signals import SIGNALS, held_signals
from calib.person import Person
from calib.sts.circular import nearest, raw_ticks
from calib.sts.live import Live, wait_still
from calib.sts.plan import HOLD
from calib.sts.push import Gentle
from calib.sts.servos import fade
from calib.sts.zero import fitting_offset
from firmware_bridge.errors import PortError, ServoError, ServoWrong, sentence
from firmware_bridge.sts.calibration import MAX_TICK
from firmware_bridge.sts.registers import (
    CURRENT_UNIT_A,
    FATAL_ERRORS,
    LOAD_UNIT,
    MULTI_TURN_BIT,
    REGISTERS,
    TELEMETRY_ADDRESS,
    TELEMETRY_LENGTH,
    error_text,
)
from firmware_bridge.sts.travel import DEGREES_PER_TICK
from policy_spec.errors import Cancelled

START = 2048  # ticks that every joint reads where it begins: most room both ways
ACCELERATE_S = 0.1  # to its full speed
FASTER = 1.5  # the servo's own speed limit beside the goal's
FULL = 1000  # 0.1 %
LEFT = (
    "could not be let go or put back; hold the arm and switch its power off and on: nothing of what was changed stays"
)
# Changed for the time being; put back in this order.
CHANGED = (
    "Goal_Velocity",
    "Acceleration",
    "Homing_Offset",
    "Min_Position_Limit",
    "Max_Position_Limit",
    "Phase",
    "Operating_Mode",
)


@dataclass(frozen=True, slots=True)
class Felt:
    """What one servo tells beside its position."""

    load: float  # -1..1 of the full torque
    temperature: int  # degrees Celsius
    status: int
    current: float  # A
    held: Mapping[str, int]  # what the host has written, as the servo has it


class Motors:
    """A context manager: inside, all joints hold where they were."""

    def __init__(self, live: Live, person: Person, gentle: Gentle) -> None:
        self.origin: dict[str, float] = {}  # joint -> shaft ticks (unwrapped) where it began
        self.goals: dict[str, float] = {}
        self._live = live
        self._servos, self._bus = live.servos, live.servos.bus
        self._person = person
        self._gentle = gentle
        self._was: dict[str, dict[str, int]] = {}
        self._most: dict[str, int] = {}  # torque limits as found
        self._limits: dict[str, int] = {}  # torque limits as last written
        self._lock: dict[str, int] = {}
        self._speed = round(FASTER * gentle.speed_deg_s / DEGREES_PER_TICK)
        self._signalled = 0
        self._handlers = contextlib.ExitStack()

    def goal(self, joint: str, ticks: float) -> None:
        """Where `joint` is to be, shaft ticks."""
        self.goals[joint] = ticks
        value = max(0, min(MAX_TICK, round(START + ticks - self.origin[joint])))
        self._bus.sync_write("Goal_Position", {self._servos.ids[joint]: value})

    def limit(self, joint: str, part: float) -> None:
        """No more than this part of the full torque; never more than the servo had."""
        limit = self._limits[joint] = min(self._most[joint], round(FULL * part))
        self._bus.write(self._servos.ids[joint], "Torque_Limit", limit)

    def feel(self) -> dict[str, Felt]:
        """Of those that answer. Raises ServoWrong beyond a level."""
        servos = tuple(self._servos.ids.values())
        answer = self._bus.sync_read(TELEMETRY_ADDRESS, TELEMETRY_LENGTH, servos, retries=0)
        felt = {
            joint: _felt(answer.frames[servo].data)
            for joint, servo in self._servos.ids.items()
            if servo in answer.frames
        }
        for joint, row in felt.items():
            self._refuse(joint, row)
        return felt

    def refuse_signals(self) -> None:
        """Raises Cancelled after Ctrl-C, SIGTERM or a closed terminal."""
        if self._signalled:
            raise Cancelled("stopped by a signal: the arm is let go; nothing was written")

    def _refuse(self, joint: str, felt: Felt) -> None:
        do = "let it cool, see what is in its way, then again; or sweep by hand, without --drive"
        if felt.status & FATAL_ERRORS:
            raise ServoWrong(sentence(f"{joint} reports a fault", got=error_text(felt.status), do=do))
        self._refuse_restarted(joint, felt)
        if felt.temperature > self._gentle.hottest_c:
            expected = f"{self._gentle.hottest_c:.0f} degrees Celsius at most"
            raise ServoWrong(sentence(f"{joint} is hot", expected=expected, got=felt.temperature, do=do))
        if abs(felt.current) > self._gentle.current_a:
            expected = f"{self._gentle.current_a:.1f} A at most"
            raise ServoWrong(sentence(f"{joint} pulls hard", expected=expected, got=f"{felt.current:.2f} A", do=do))

    def _refuse_restarted(self, joint: str, felt: Felt) -> None:
        """Limp after a restart, it counts from its old zero; a goal would turn it on, with full torque and speed."""
        wanted = {"Torque_Enable": 1, "Torque_Limit": self._limits[joint], "Goal_Velocity": self._speed}
        lost = [f"{name} {felt.held[name]}" for name, value in wanted.items() if felt.held[name] != value]
        if lost:
            expected = ", ".join(f"{name} {value}" for name, value in wanted.items())
            do = "hold it; check the power supply and the plugs: its voltage breaks down"
            raise ServoWrong(sentence(f"{joint} restarted", expected=expected, got=", ".join(lost), do=do))

    # -- in and out

    def __enter__(self) -> Motors:
        wait_still(self._live, self._live.pace.settle_s)
        self._handlers.callback(self._listen())
        try:
            for joint in self._servos.ids:
                self._prepare(joint)
            for joint in self._servos.ids:
                self._hold(joint)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = self._leave()
        if kind is None:
            if left:  # what is written next would be undone to numbers of this drive
                raise ServoWrong(f"{', '.join(left)}: {LEFT}")
            self.refuse_signals()

    def _prepare(self, joint: str) -> None:
        servo = self._servos.ids[joint]
        read = self._bus.read
        self._lock[joint] = read(servo, "Lock")
        self._most[joint] = read(servo, "Torque_Limit")
        self._was[joint] = {name: read(servo, name) for name in CHANGED}
        raw = raw_ticks(read(servo, "Present_Position"), self._was[joint]["Homing_Offset"])
        offset = fitting_offset(raw, START)
        for name, value in {
            "Lock": 1,
            "Operating_Mode": 0,
            "Phase": self._was[joint]["Phase"] & ~MULTI_TURN_BIT,
            "Min_Position_Limit": 0,
            "Max_Position_Limit": MAX_TICK,
            "Homing_Offset": offset,
            "Acceleration": min(254, round(self._speed / ACCELERATE_S / 100)),
            "Goal_Velocity": self._speed,
        }.items():
            self._bus.write(servo, name, value)
        self._servos.offsets[joint] = offset
        at = self._live.shafts[joint].position
        assert at is not None
        self.origin[joint] = nearest(float(START + offset), at)

    def _hold(self, joint: str) -> None:
        """Goal = present, then torque."""
        servo = self._servos.ids[joint]
        self.limit(joint, HOLD)
        present = self._bus.read(servo, "Present_Position")
        self._bus.write(servo, "Goal_Position", present)  # which turns the torque on by itself (lerobot #3585)
        self._bus.write(servo, "Torque_Enable", 1)
        self.goals[joint] = self.origin[joint] + present - START

    def _leave(self) -> list[str]:
        """Softly limp, registers as they were; whoever does not answer is told of, and given."""
        try:
            with held_signals():
                self._let_go()
                left = [joint for joint in self._was if not self._restored(joint)]
        finally:
            self._handlers.close()
        if left:
            self._person.tell(f"{', '.join(left)}: {LEFT}")
        return left

    def _let_go(self) -> None:
        """Softly; who did not hear it is told again when his registers are put back."""
        if not self._limits:
            return  # none holds yet
        with contextlib.suppress(PortError):  # said below, by each of them
            fade(self._bus, {self._servos.ids[joint]: limit for joint, limit in self._limits.items()}, self._fade_s())
        for joint in self._limits:
            self._told(joint, {"Torque_Enable": 0})

    def _fade_s(self) -> float:
        return self._gentle.release_s if self.goals else 0.0

    def _told(self, joint: str, values: Mapping[str, int]) -> bool:
        """Whether the servo took all of it."""
        try:
            for name, value in values.items():
                self._bus.write(self._servos.ids[joint], name, value)
        except (ServoError, PortError):
            return False
        return True

    def _restored(self, joint: str) -> bool:
        # Limp first, whatever was heard before: its zero must not move under a goal that it holds.
        values = {"Torque_Enable": 0, **self._was[joint], "Torque_Limit": self._most[joint], "Lock": self._lock[joint]}
        if not self._told(joint, values):
            return False
        self._servos.offsets[joint] = values["Homing_Offset"]
        return True

    def _listen(self) -> Callable[[], None]:
        """Signals are looked at between two beats; returns what puts them back."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, self._heard)

        def back() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return back

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._signalled += 1


def _felt(data: bytes) -> Felt:
    def value(name: str) -> int:
        row = REGISTERS[name]
        return row.decode(data[row.address - TELEMETRY_ADDRESS :])

    return Felt(
        load=value("Present_Load") * LOAD_UNIT,
        temperature=value("Present_Temperature"),
        status=value("Status"),
        current=value("Present_Current") * CURRENT_UNIT_A,
        held={name: value(name) for name in ("Torque_Enable", "Torque_Limit", "Goal_Velocity")},
    )
