"""Follows a track with a real bridge: the rim around moves.py, for everybody who moves an arm slowly.

Takes a client whose arm is armed, gives a Moved. Any hindrance - a fault, an emergency stop, a limit, another
client, a wish to stop - ends the move where it is, holding.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import BridgeError, CommandRefused
from firmware_bridge.link import BridgeClient
from firmware_bridge.messages import Status
from firmware_bridge.moves import Track

Array = npt.NDArray[np.float64]
ON_THE_WAY = ("ready", "running")
STATUS_S = 1.0
SETTLE_S = 0.4  # after the last row: servos are a little behind


class Wish(Protocol):
    """Whoever may want a move to end."""

    @property
    def asked(self) -> int: ...

    @property
    def why(self) -> str: ...


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """How a move ended. `why` is "" where it was followed to its end."""

    start: Array  # [D] measured, rad, gripper 0..1
    end: Array  # [D] measured
    goal: Array  # [D]
    lag: Array  # [D] largest |measured - planned| on the way
    bent: Array  # [D] largest |commanded - planned|: what the limits made of it
    clamps: Mapping[str, int]  # what was limited -> ticks
    why: str

    @property
    def ok(self) -> bool:
        return not self.why


def follow(
    client: BridgeClient,
    plan: Track,
    stop: Wish,
    show: Callable[[Status], None] = lambda status: None,
    hear: Callable[[Sequence[Status]], None] = lambda statuses: None,
) -> Moved:
    """Sends each piece when it is due, until the end or a hindrance. Raises BridgeGone.

    `show` is given the newest status in each turn, `hear` every one since the last call of `client.statuses`.
    """
    status = client.status(timeout_s=STATUS_S)
    hear(client.statuses())
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
        passed = client.statuses()
        hear(passed)
        for seen in passed:
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


def _measure(status: Status, plan: Track, lag: Array, bent: Array) -> None:
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
    try:
        client.pause()
        client.resume()
    except CommandRefused:  # a fault came first: it holds
        return
