"""Slow moves of a person's own: a straight path in joint space, smooth in time, cut into chunks. Pure.

Takes where the command stands, where it should go and how fast at most; gives the path, and each piece of it as a
Chunk that starts at its right tick. Pieces are short and overlap, so that an arm whose mover died stands soon.
Knows no socket and no clock: the mover asks which piece is due at the tick of a status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.messages import FRAME, UNITS, Chunk, Info, Status

Array = npt.NDArray[np.float64]
DT_S = 1 / 30
SHORTEST_S = 0.3  # even the smallest step starts and ends softly
AHEAD_S = 0.1  # from the decision to the path's first action: the chunk is there in time
EVERY = 15  # steps between two pieces
BACK = 3  # rows before its part at which a piece begins: a whole number of ticks at the usual rates
HORIZON = 45  # steps in a piece: when no further one comes the arm stands within 1.5 s
LINGER = 6  # rows at the goal of a move that may not hurry: what late ticks cost it is made up for there
HAIR = 1e-6  # rad
RESTING = 0.05  # rad: a resting arm reads so far beyond a limit
# Of a minimum-jerk path 10 s^3 - 15 s^4 + 6 s^5: its fastest, times distance / duration (Flash and Hogan 1985).
PEAK = 1.875


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A path on the bridge's own time grid."""

    path: Array  # [N, D] rad, gripper 0..1
    dt: float  # s between two rows
    start_tick: int  # at which the first row is due
    rate_hz: float  # of the bridge's ticks
    speed: float = 0.0  # rad/s, gripper 1/s: no faster, not even after late ticks; 0: the arm's own limits

    def tick_of(self, step: int) -> int:
        """The tick at which row `step` is due."""
        return self.start_tick + round(step * self.dt * self.rate_hz)

    @property
    def end_tick(self) -> int:
        """The tick at which the last row has been reached."""
        return self.tick_of(len(self.path))

    def pieces_due(self, tick: int) -> int:
        """How many pieces should have been sent by `tick`: each when its own part of the path begins."""
        passed = (tick - self.start_tick) / (self.dt * self.rate_hz)
        return min(max(int(passed // EVERY) + 1, 1), -(-len(self.path) // EVERY))

    def piece(self, number: int, status: Status) -> Chunk:
        """Piece `number` (from 0), computed from `status`. Its rows go on past the start of the next piece.

        It begins a little early, in the past when it is due: the bridge then goes over to it in the middle of a row,
        where it knows how fast the path moves, and not at a first row, which it would approach as a place to stop.
        """
        first = max(0, number * EVERY - BACK)
        return Chunk(
            actions=self.path[first : first + HORIZON].astype(np.float32),
            arm=status.arm,
            units=UNITS,
            frame=FRAME,
            status_seq=status.seq,
            start_tick=self.tick_of(first),
            dt=self.dt,
            speed=self.speed,
        )


def straight(start: Array, goal: Array, speed: Array, dt: float = DT_S) -> Array:
    """From `start` [D] to `goal` [D] in a straight line, [N, D] every `dt` s, the last row the goal itself.

    All joints start and arrive together, at rest; no joint is faster than its `speed` [D] rad/s (gripper 1/s).
    Raises ConfigError for a speed that is not above 0 and for numbers that are not finite.
    """
    if not (np.isfinite(start).all() and np.isfinite(goal).all()):
        raise ConfigError(sentence("a move", expected="finite numbers", got=f"from {start} to {goal}"))
    if not (np.isfinite(speed).all() and (speed > 0).all()):
        raise ConfigError(sentence("the speed of a move", expected="rad/s above 0", got=speed))
    duration = max(SHORTEST_S, float((PEAK * np.abs(goal - start) / speed).max()))
    count = int(np.ceil(duration / dt))
    share = (np.arange(1, count + 1) / count)[:, None]
    path: Array = start + (goal - start) * share**3 * (10 - 15 * share + 6 * share**2)
    path[-1] = goal
    return path


def track(path: Array, info: Info, status: Status, dt: float = DT_S, speed: float = 0.0) -> Track:
    """A path [N, D] that starts a moment after `status`. Raises ConfigError for another number of joints.

    `speed`: what the bridge may not exceed even where it was late and lags behind, rad/s (gripper 1/s); 0: its limits.
    """
    if path.ndim != 2 or not len(path) or path.shape[1] != len(info.joints):
        raise ConfigError(sentence("a path", expected=f"[N, {len(info.joints)}]", got=list(path.shape)))
    ahead = max(1, round(AHEAD_S * info.rate_hz))
    if speed:
        path = np.concatenate([path, np.repeat(path[-1:], LINGER, axis=0)])
    return Track(path, dt, status.tick + ahead, info.rate_hz, speed)


def goal_of(info: Info, commanded: Array, wishes: Mapping[str, tuple[str, float]]) -> Array:
    """The pose [D] that `wishes` ask for: joint -> ("to" or "by", rad or gripper 0..1).

    Raises ConfigError for a joint that this arm has not, and for one that would leave its limits.
    """
    goal: Array = np.array(commanded, np.float64)
    for joint, (how, value) in wishes.items():
        if joint not in info.joints:
            raise ConfigError(sentence(f"no joint {joint!r}", expected=", ".join(info.joints), got=joint))
        place = info.joints.index(joint)
        wanted = value if how == "to" else goal[place] + value
        low, high = info.lower[place], info.upper[place]
        if not low <= wanted <= high:
            unit = "" if joint in info.grippers else " rad"
            raise ConfigError(
                sentence(
                    f"{joint} would leave its limits",
                    expected=f"{low:.3f} to {high:.3f}{unit}",
                    got=f"{wanted:.3f}{unit}",
                    do="choose a goal inside; the limits are in the profile and the calibration",
                )
            )
        goal[place] = wanted
    return goal


def inside(path: Array, info: Info) -> Array:
    """The path [N, D] within the arm's limits, by a hair that float32 cannot round away.

    A resting arm reads a little beyond a limit that it rests on; that alone is nothing to report. Raises ConfigError
    for a joint that is further out: the bridge would take it back to its limit at full speed, not at that of the path.
    """
    low, high = np.array(info.lower), np.array(info.upper)
    arm = np.array([joint not in info.grippers for joint in info.joints])
    beyond = np.maximum(low - path, path - high) * arm
    row, joint = np.unravel_index(int(beyond.argmax()), beyond.shape)
    if beyond[row, joint] > RESTING:
        raise ConfigError(
            sentence(
                f"{info.joints[joint]} is outside its limits",
                expected=f"{low[joint]:.3f} to {high[joint]:.3f} rad",
                got=f"{path[row, joint]:.3f} rad",
                do="with the torque off move it back by hand, or end the bridge with --exit park, which is slow; or "
                "widen the limits in its profile",
            )
        )
    kept: Array = np.clip(path, low + HAIR, high - HAIR)
    return kept


def speeds(info: Info, wanted: float) -> Array:
    """[D] the slower of `wanted` rad/s (gripper 1/s) and what the bridge allows each joint."""
    slow: Array = np.minimum(np.array(info.speed), wanted)
    return slow
