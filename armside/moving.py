"""Follows a track with a real bridge, and says what happened: the rim around firmware_bridge.moves.

Takes a client whose arm is armed, gives a Moved. Any hindrance - a fault, an emergency stop, a limit, another
client, Ctrl-C - ends the move where it is, holding.
"""

from __future__ import annotations

import collections
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from armside.signals import Wish
from firmware_bridge.client import BridgeError, Info, Status
from firmware_bridge.moves import Track

if TYPE_CHECKING:
    from firmware_bridge.client import BridgeClient

ON_THE_WAY = ("ready", "running")
STATUS_S = 1.0
SETTLE_S = 0.4  # after the last row: servos are a little behind


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """How a move ended. `why` is "" where it was followed to its end."""

    start: np.ndarray  # [D] measured, rad, gripper 0..1
    end: np.ndarray  # [D] measured
    goal: np.ndarray  # [D]
    lag: np.ndarray  # [D] largest |measured - planned| on the way
    bent: np.ndarray  # [D] largest |commanded - planned|: what the limits made of it
    clamps: Mapping[str, int]  # what was limited -> ticks
    why: str

    @property
    def ok(self) -> bool:
        return not self.why


def follow(
    client: BridgeClient, plan: Track, stop: Wish, show: Callable[[Status], None] = lambda status: None
) -> Moved:
    """Sends each piece when it is due, until the end or a hindrance. Raises BridgeGone."""
    status = client.status(timeout_s=STATUS_S)
    client.statuses()
    start, lag, bent = status.measured.copy(), np.zeros(plan.path.shape[1]), np.zeros(plan.path.shape[1])
    clamps: collections.Counter[str] = collections.Counter()
    over = plan.end_tick + round(SETTLE_S * plan.rate_hz)
    sent, why, began = 0, "", status.seq
    while not why and status.tick < over:
        while not why and sent < plan.pieces_due(status.tick):
            try:
                reply = client.send_chunk(plan.piece(sent, status))
                why = "" if reply.ok else reply.text
            except BridgeError as error:
                why = str(error)
            sent += 1
        status = client.status(timeout_s=STATUS_S)
        for seen in client.statuses():
            if seen.seq > began:
                clamps.update(seen.clamped)
                _measure(seen, plan, lag, bent)
        show(status)
        why = why or _hindrance(status, stop, plan)
    if why and status.mode in ON_THE_WAY:
        _hold(client)
    return Moved(start, status.measured.copy(), plan.path[-1], lag, bent, dict(clamps), why)


def wait_for_rest(client: BridgeClient, wanted: Callable[[Status], bool], stop: Wish, seconds: float) -> Status:
    """The first status that `wanted` says yes to; the newest where none comes in `seconds` or Ctrl-C does."""
    deadline = time.monotonic() + seconds
    while True:
        status = client.status(timeout_s=STATUS_S)
        if wanted(status) or stop.asked or time.monotonic() > deadline:
            return status


def _measure(status: Status, plan: Track, lag: np.ndarray, bent: np.ndarray) -> None:
    place = (status.tick - plan.start_tick) / (plan.dt * plan.rate_hz)
    if not 0 <= place <= len(plan.path) - 1 or status.mode != "running":
        return
    before = int(place)
    after, part = min(before + 1, len(plan.path) - 1), place - before
    planned = plan.path[before] * (1 - part) + plan.path[after] * part
    np.maximum(lag, np.abs(status.measured - planned), out=lag)
    np.maximum(bent, np.abs(status.commanded - planned), out=bent)


def _hindrance(status: Status, stop: Wish, plan: Track) -> str:
    if stop.asked:
        return stop.why
    if status.fault:
        return status.fault
    if status.mode == "paused" and status.tick < plan.end_tick:
        return "somebody paused the arm"
    if status.mode not in (*ON_THE_WAY, "shadow"):
        return f"the bridge went to {status.mode}: {status.note}"
    if status.mode == "shadow" and status.live:
        return f"the arm is not armed any more: {status.note}"
    return ""


def _hold(client: BridgeClient) -> None:
    from edge.attach import hold
    from firmware_bridge.client import CommandRefused

    try:
        hold(client)
    except CommandRefused:  # a fault came first: it holds
        return


def degrees(info: Info, joint: int, value: float) -> str:
    """A joint's value or difference for a person."""
    if info.joints[joint] in info.grippers:
        return f"{100 * value:.0f}%"
    return f"{math.degrees(value):.1f}°"


def report(info: Info, moved: Moved) -> list[str]:
    """What moved, where it ended, what was limited."""
    lines = []
    for place, joint in enumerate(info.joints):
        went, off = moved.end[place] - moved.start[place], moved.end[place] - moved.goal[place]
        asked = abs(moved.goal[place] - moved.start[place])
        if max(abs(went), asked) < 0.005:
            continue
        lines.append(
            f"{joint}: {degrees(info, place, moved.start[place])} -> {degrees(info, place, moved.end[place])}"
            f", {degrees(info, place, abs(off))} from its goal"
        )
    lines += [f"limited: {what}, {count} ticks" for what, count in sorted(moved.clamps.items())]
    return lines or ["nothing moved"]
