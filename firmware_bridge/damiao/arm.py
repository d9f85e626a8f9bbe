"""A YAM arm, or two, on CAN: read feedback, send MIT commands, switch torque, leave safely. A `Driver`.

One round of frames per tick: a MIT command to each motor that we hold, a refresh to the others; both are
answered with feedback, which the next `read` takes. A motor that stops by itself is never enabled again
but by `torque_on`. Units outside: rad, gripper 0..1; inside: motor rad. Opened by connect.py.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from firmware_bridge.damiao import nibbles
from firmware_bridge.damiao.chain import Chain
from firmware_bridge.damiao.codec import Codec
from firmware_bridge.damiao.commands import Drive, Seen, bounded_weight, check_weight, damp, follow
from firmware_bridge.damiao.frames import CLEAR, DISABLE, Frame, Mit, make_mit, make_refresh, make_word
from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.damiao.power import switch_on
from firmware_bridge.damiao.weight import Weight
from firmware_bridge.driver import ArmState, Facts
from firmware_bridge.errors import BridgeError, NoAnswer, ServoWrong, sentence
from firmware_bridge.robot import Robot

Array = npt.NDArray[np.float64]
ALARM_S = 1.0  # a lost communication stays an alarm for so long after it happened; arming clears it
CLEAR_S = 2.0  # between attempts to clear any other error: the motor says anew whether its cause is gone
DAMPED_S = 0.2  # a damped stop before torque goes at `close`
STEP_S = 0.005
STALE_S = 0.02  # feedback asked for longer ago is not "now"
SETTLE_S = 0.2  # patience of a measurement that needs every motor
OFF_TRIES = 3


class DamiaoArm:
    """An arm whose motors were found and checked. One thread owns it."""

    facts: Facts

    def __init__(self, chain: Chain, robot: Robot, drive: Drive, weight: Weight, codec: Codec) -> None:
        self.chain = chain
        self.robot = robot
        self.drive = drive
        self.base_codec = codec  # of the calibration, before anybody looked which turn each motor is in
        self.codec = codec
        self.weight = weight
        self.may_move = False
        self.patience_s = 0.02
        self.on: set[int] = set()  # motors that we hold; see power.py for how they get in
        self.ours = False  # we have commanded them: leaving must switch them off
        self.goal: Array | None = None  # motor rad
        self.dropped: dict[int, float] = {}  # motors that let go by themselves, and when
        self._cleared: dict[int, float] = {}
        self._asked_at: float | None = None  # s, when the requests went out that `read` will take the answers of
        count = len(robot.joints)
        self._position = np.zeros(count)  # motor rad
        self._velocity = np.zeros(count)

    # -- each tick

    def read(self) -> ArmState:
        """The feedback of all motors. Raises PortLost when no bus is left."""
        if self._asked_at is not None and time.monotonic() - self._asked_at > STALE_S:
            self.chain.collect(0.0)  # a late tick: these answers have come, and are old
            self._asked_at = None
        if self._asked_at is None:
            self.chain.post(self.frames(None))
        self.chain.collect(self.patience_s)
        self._asked_at = None
        fresh = self.look()
        latest = [row for row in self.chain.latest if row is not None]
        assert len(latest) == len(self.robot.joints), "connect.py hears every motor before it opens the arm"
        ranges = [MOTORS[motor.type].ranges for motor in self.drive.motors]
        torque = np.array([row.torque / full.torque for row, full in zip(latest, ranges, strict=True)])
        nothing = np.full(len(latest), np.nan)
        return ArmState(
            position=self.codec.to_joint(self._position),
            velocity=self._velocity * self.codec.scale,
            load=torque * np.sign(self.codec.scale),
            current=nothing,
            temperature=np.array([max(row.mos, row.rotor) for row in latest], np.float64),
            voltage=nothing.copy(),
            errors=tuple(row.error for row in latest),
            alarms=tuple(self._alarm(index) for index in range(len(latest))),
            changed=self._changed(),
            fresh=fresh,
        )

    def missed(self) -> tuple[int, ...]:
        return tuple(self.chain.missed)

    def look(self) -> npt.NDArray[np.bool_]:
        """Take the newest feedback into account; which motors' is fresh, [D]."""
        now = time.monotonic()
        fresh = np.zeros(len(self.robot.joints), np.bool_)
        for index, row in enumerate(self.chain.latest):
            if row is None:
                continue
            self._position[index], self._velocity[index] = row.position, row.velocity
            fresh[index] = self.chain.fresh(index)
            # A late answer may be from before it was enabled: only a fresh one says that it let go.
            if index in self.on and fresh[index] and row.error != nibbles.ENABLED:
                self.on.discard(index)
                self.dropped[index] = now
        return fresh

    def send(self, goal: Array) -> None:
        """Goal positions [D] to all motors. Raises ServoWrong for a goal or a weight that cannot be meant."""
        if goal.shape != self._position.shape or not np.isfinite(goal).all():
            expected = f"{len(self._position)} finite numbers"
            raise ServoWrong(sentence("a goal for the motors", expected=expected, got=goal.tolist()))
        weight = self.carried()
        check_weight(self.drive, weight)
        self.goal = self.codec.to_motor(goal)
        self._issue(follow(self.drive, self.goal, weight, self.seen, 1.0))

    def hold(self, support: float = 1.0) -> None:
        """The last goal again, carrying the arm's weight; `support` 1..0 lowers it under damping."""
        self._issue(self.holding(min(1.0, max(0.0, support))))

    def holding(self, support: float = 1.0) -> list[Mit]:
        """Commands that hold the last goal, or where it stands where there is none."""
        if self.goal is None:
            self.goal = self._position.copy()
        return follow(self.drive, self.goal, bounded_weight(self.drive, self.carried()), self.seen, support)

    @property
    def seen(self) -> Seen:
        return Seen(self._position.copy(), self._velocity.copy())

    def carried(self) -> Array:
        """The weight at the measured pose, N m at the motors [D]."""
        return self.codec.to_motor_torque(self.weight(self.codec.to_joint(self._position)))

    def frames(self, commands: list[Mit] | None) -> dict[int, Frame]:
        """One request per motor: its command where we hold it, else a refresh, at times a clear."""
        now = time.monotonic()
        return {index: self._frame(index, commands, now) for index in range(len(self._position))}

    def _frame(self, index: int, commands: list[Mit] | None, now: float) -> Frame:
        motor = self.drive.motors[index]
        if index in self.on and commands is not None:
            return make_mit(motor.id, commands[index], MOTORS[motor.type].ranges)
        row = self.chain.latest[index]
        stuck = row is not None and row.error in nibbles.ERRORS and row.error != nibbles.COMMUNICATION_LOST
        # A motor whose host was lost brakes its joint: clearing would let it fall, so only arming does.
        if stuck and self.may_move and now - self._cleared.get(index, now - ALARM_S) >= CLEAR_S:
            self._cleared[index] = now
            return make_word(motor.id, CLEAR)
        if stuck:
            self._cleared.setdefault(index, now)
        return make_refresh(motor.id)

    def _issue(self, commands: list[Mit]) -> None:
        self.chain.post(self.frames(commands))
        self._asked_at = time.monotonic()

    # -- what is wrong

    def _alarm(self, index: int) -> str:
        lost = self.chain.lost.get(self.drive.motors[index].bus)
        if lost is not None:
            return f"its bus is gone: {lost}"
        now = time.monotonic()
        if self.chain.owed.in_doubt(index, now):
            return "answers that this bridge did not ask for; what to do: stop the other program that talks to it"
        row = self.chain.latest[index]
        assert row is not None
        if row.error == nibbles.COMMUNICATION_LOST:
            recent = now - self.dropped.get(index, -ALARM_S) < ALARM_S
            return nibbles.alarm(row.error) if recent else ""
        return nibbles.alarm(row.error)

    def _changed(self) -> tuple[str, ...]:
        names, said = self.robot.joints, []
        for index, row in enumerate(self.chain.latest):
            assert row is not None
            if index in self.dropped and row.error == nibbles.DISABLED:
                said.append(f"{names[index]}: disabled by itself (error nibble 0)")
            elif self.may_move and index not in self.on and row.error == nibbles.ENABLED:
                said.append(f"{names[index]}: enabled by somebody else")
        return tuple(said)

    # -- torque

    def torque_on(self) -> Array:
        """Torque on with goal = present, verified; returns that present [D]. Raises ServoError."""
        return switch_on(self)

    def torque_off(self) -> None:
        """Torque off, verified. Raises ServoError."""
        left = self.switch_off(range(len(self._position)))
        self.dropped.clear()
        if left:
            names = ", ".join(self.robot.joints[index] for index in left)
            do = "hold the arm by hand and switch its power off"
            raise NoAnswer(sentence(f"torque off of {names}", expected="disabled", got="no confirmation", do=do))

    def switch_off(self, motors: range | set[int] | list[int]) -> list[int]:
        """Disable `motors`; those that did not confirm it. Raises PortLost."""
        left = list(motors)
        for _ in range(OFF_TRIES):
            self.exchange({index: make_word(self.drive.motors[index].id, DISABLE) for index in left})
            left = [index for index in left if not self._is_off(index)]
            if not left:
                break
        self.on -= set(motors) - set(left)
        return left

    def _is_off(self, index: int) -> bool:
        row = self.chain.latest[index]
        return self.chain.fresh(index) and row is not None and row.error != nibbles.ENABLED

    def exchange(self, frames: Mapping[int, Frame]) -> npt.NDArray[np.bool_]:
        """Send now, quarantined or not, and take the answers; whose are fresh, [D]. Raises PortLost."""
        self.chain.post(frames, force=True)
        self.chain.collect(self.patience_s)
        self._asked_at = None
        return self.look()

    def measure(self) -> None:
        """Hear every motor in one round, holding what we hold meanwhile. Raises NoAnswer."""
        until = time.monotonic() + SETTLE_S + self.patience_s
        while True:
            self.chain.post(self.frames(self.holding() if self.on else None))
            self.chain.collect(self.patience_s)
            fresh = self.look()
            if fresh.all():
                return
            if time.monotonic() > until:
                silent = ", ".join(self.robot.joints[index] for index in np.flatnonzero(~fresh))
                do = "check the cable before the first silent motor"
                raise NoAnswer(sentence(f"feedback of {silent}", got="silence", do=do))
            time.sleep(STEP_S)

    # -- leaving

    def close(self) -> None:
        """Brake, switch every motor off that we may have held, give the buses back. Never raises."""
        try:
            if self.ours:
                self._brake()
        finally:
            if self.ours:
                self._let_go()
            self.chain.close()

    def abandon(self) -> None:
        """Brake, then give the buses back with the motors on: their watchdogs brake what they hold. Never raises."""
        try:
            if self.ours:
                self._brake()
        finally:
            self.on.clear()
            self.ours = False
            self.chain.close()

    def _brake(self) -> None:
        until = time.monotonic() + DAMPED_S
        while self.on and time.monotonic() < until:
            with contextlib.suppress(BridgeError):
                weight = bounded_weight(self.drive, self.carried())
                self.exchange(self.frames(damp(self.drive, weight, self.seen)))
            time.sleep(STEP_S)

    def _let_go(self) -> None:
        frames = {index: make_word(motor.id, DISABLE) for index, motor in enumerate(self.drive.motors)}
        for _ in range(OFF_TRIES):
            with contextlib.suppress(BridgeError):
                self.exchange(frames)
                if all(self._is_off(index) for index in frames):
                    break
        self.on.clear()
        self.ours = False
