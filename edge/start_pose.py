"""Before a policy moves a real arm: does the arm stand where the policy's data were, and if not, slowly there.

Takes the bridge's status and limits, the norm tag and the joint frame. `require_start` refuses with the joints, their
values and what to do; `go_to_start` moves an armed arm in a straight line to the nearest pose inside, the bridge's
limits on, while the loop hears words and records. Knows no bundle and no camera.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.loop import Loop
from edge.state import Ending, ExitReason
from firmware_bridge.client import BridgeClient, BridgeGone, ConfigError, Info, Status
from firmware_bridge.follow import Moved, follow
from firmware_bridge.moves import Track, inside, speeds, straight, track
from policy_spec.errors import ObservationError, sentence
from policy_spec.frames import Frame
from policy_spec.in_range import Place, Range, nearest_inside, places

Float64 = npt.NDArray[np.float64]
Say = Callable[[str, str], None]

SLOW = 0.3  # rad/s, gripper 1/s
FRESH_S = 1.0  # for one status in which every joint answered
TOLD_S = 2.0  # between two lines of progress
NAME = "start pose"  # of its events


@dataclass(frozen=True, slots=True)
class StartPose:
    """That the arm may be moved to where the policy's data were."""

    speed: float = SLOW  # rad/s at most
    broken_exit: str = "hold"  # how the arm is left when a person breaks that way off, instead of parked


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """What the start of one run is judged by. `simulated`: nothing real can move."""

    info: Info
    ranges: tuple[Range, ...]  # [D] of the policy's state, in its units
    frame: Frame
    simulated: bool
    wanted: StartPose | None

    def places(self, measured: Float64) -> tuple[Place, ...]:
        """[D] the joints in the policy's units."""
        return places(self.frame.from_si(measured), self.ranges)

    def outside(self, measured: Float64) -> list[str]:
        """The joints that stand outside, with their values and ranges."""
        named = zip(self.info.joints, self.places(measured), strict=True)
        return [f"{joint} {_words(place)}" for joint, place in named if not place.inside]

    def goal(self, measured: Float64, commanded: Float64) -> Float64:
        """[D] SI: the nearest pose inside. Raises ObservationError where the arm's own limits end before it."""
        now = self.frame.from_si(measured)
        near = nearest_inside(now, self.ranges)
        wished = np.where(near != now, self.frame.to_si(near), commanded)
        goal: Float64 = np.clip(wished, self.info.lower, self.info.upper)
        reached = self.outside(np.where(near != now, goal, measured))
        if reached:
            do = "armside calibrate --against BUNDLE tells why: zero, sign, frame, or a range that was swept too short"
            what = "the arm's own limits end before the policy's range begins"
            raise ObservationError(sentence(what, expected="a start pose within both", got="; ".join(reached), do=do))
        return goal


def _words(place: Place) -> str:
    known = place.range
    return f"at {place.value:.2f}, the policy's {known.kind} is {known.low:.2f}..{known.high:.2f}"


def require_start(start: Start, client: BridgeClient, say: Say) -> None:
    """Says or refuses what is wrong with where the arm stands; its cost is one status.

    Raises ObservationError, and ConfigError for an arm too far outside its limits to be moved slowly.
    """
    status = _fresh(client)
    outside = start.outside(status.measured)
    if not outside:
        return
    got = "; ".join(outside)
    what = "the arm stands where the policy's data never were"
    if start.info.live and start.wanted is not None:
        start.goal(status.measured, status.measured)
        inside(status.measured[None], start.info)
    elif start.info.live and not start.simulated:
        do = "--start-pose moves it there slowly; or move it by hand; armside calibrate --against BUNDLE tells why"
        raise ObservationError(sentence(what, expected="every joint within the policy's range", got=got, do=do))
    else:
        say(NAME, f"{what}: {got}")


def _fresh(client: BridgeClient) -> Status:
    """A status in which every joint answered. Raises ObservationError, BridgeGone."""
    deadline = time.monotonic() + FRESH_S
    while not all((status := client.status(timeout_s=1.0)).fresh):
        if time.monotonic() > deadline:
            silent = [joint for joint, ok in zip(client.info.joints, status.fresh, strict=True) if not ok]
            raise ObservationError(sentence(f"no answer from {', '.join(silent)}", do="check power and cables"))
    return status


@dataclass(slots=True)
class Words:
    """What is said while the arm is on its way: Ctrl-C and `quit` end it, the others do what they always do."""

    loop: Loop
    ending: Ending | None = None

    def obey(self) -> None:
        self.ending = self.ending or self.loop.obey()

    @property
    def asked(self) -> int:
        return self.loop.parts.control.interrupts + (self.ending is not None)

    @property
    def why(self) -> str:
        return "asked to end"


def go_to_start(start: Start, loop: Loop) -> Ending | None:
    """Moves the armed arm there, where it must; None: it stands inside. Else why the run must end."""
    try:
        return _go(start, loop)
    except BridgeGone as error:
        return ExitReason.BRIDGE, str(error)
    except (ConfigError, ObservationError) as error:  # moved by something since it was looked at
        return ExitReason.START, str(error)


def _go(start: Start, loop: Loop) -> Ending | None:
    assert start.wanted is not None
    client = loop.parts.client
    status = _fresh(client)
    if not start.outside(status.measured):
        loop.event(NAME, "the arm stands inside the policy's range already")
        return None
    goal = start.goal(status.measured, status.commanded)
    path = inside(straight(status.commanded, goal, speeds(start.info, start.wanted.speed)), start.info)
    plan = track(path, start.info, status, speed=start.wanted.speed)
    loop.event(NAME, _plan_words(start, status, goal, plan))
    words = Words(loop)
    moved = follow(client, plan, words, _progress(loop, plan, words), loop.listen)
    return _ending(start, loop, words, moved)


def _plan_words(start: Start, status: Status, goal: Float64, plan: Track) -> str:
    before, after = (start.frame.from_si(pose) for pose in (status.measured, goal))
    ways = zip(start.info.joints, before, after, goal != status.commanded, strict=True)
    named = ", ".join(f"{joint} {here:.1f} -> {there:.1f}" for joint, here, there, goes in ways if goes)
    assert start.wanted is not None
    return f"slowly to it: {named}; at most {start.wanted.speed:g} rad/s, {len(plan.path) * plan.dt:.0f} s"


def _progress(loop: Loop, plan: Track, words: Words) -> Callable[[Status], None]:
    told = time.monotonic()
    whole = max(1, plan.end_tick - plan.start_tick)

    def show(status: Status) -> None:
        nonlocal told
        now = time.monotonic()
        words.obey()
        loop.show(status, now)
        if now - told >= TOLD_S:
            told = now
            loop.event(NAME, f"{min(1.0, max(0.0, (status.tick - plan.start_tick) / whole)):.0%} of the way")

    return show


def _ending(start: Start, loop: Loop, words: Words, moved: Moved) -> Ending | None:
    if loop.parts.control.interrupts:
        return ExitReason.INTERRUPT, "on the way to the start pose"
    if words.ending is not None:
        return words.ending
    limited = "".join(f"; limited: {what}" for what in sorted(moved.clamps) if not what.startswith("speed"))
    outside = start.outside(moved.end)
    if not moved.ok:
        return ExitReason.START, f"the way to the start pose was broken off: {moved.why}{limited}"
    if outside:
        return ExitReason.START, f"the start pose was not reached: {'; '.join(outside)}{limited}"
    loop.event(NAME, "reached")
    return None
