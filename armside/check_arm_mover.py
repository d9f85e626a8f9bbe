"""An armed arm that follows the paths of a check, and a second client of its bridge that hears every status.

Takes an Armed; implements calib.health's Mover with firmware_bridge's own following, so that all of a move's limits
and hindrances hold. Knows nothing of what is measured.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from armside.moving import follow
from calib.health.exercise import STOPPED, Followed, Until
from firmware_bridge.client import BridgeClient, BridgeError, BridgeGone, Info, Status
from firmware_bridge.moves import inside, track

if TYPE_CHECKING:
    from armside.arm_args import ArmChoice
    from armside.armed import Armed
    from armside.signals import Wish

STATUS_S = 1.0


@dataclass(slots=True)
class Wishes:
    """A signal, a key, or a joint that has moved as far as was waited for."""

    signal: Wish
    cancelled: bool = False
    reached: bool = False

    @property
    def asked(self) -> int:
        return self.signal.asked + self.cancelled + self.reached

    @property
    def by_person(self) -> bool:
        return bool(self.signal.asked) or self.cancelled

    @property
    def why(self) -> str:
        return self.signal.why if self.signal.asked else "cancelled: holding here" if self.cancelled else STOPPED


@dataclass(slots=True)
class ArmMover:
    """calib.health's Mover with a real bridge."""

    arm: Armed
    wishes: Wishes
    show: Callable[[Status], None] = lambda status: None

    @property
    def info(self) -> Info:
        return self.arm.info

    def commanded(self) -> Any:
        return np.array(self.arm.client.status(timeout_s=STATUS_S).commanded, np.float64)

    def follow(self, path: Any, until: Until | None = None) -> Followed:
        """See Mover."""
        client, wishes = self.arm.client, self.wishes
        wishes.reached = False
        status = client.status(timeout_s=STATUS_S)
        try:
            plan = track(inside(path, self.info), self.info, status)
        except BridgeError as error:
            return Followed(status.tick, status.tick, str(error))

        def seen(status: Status) -> None:
            if until is not None and until(status):
                wishes.reached = True
            self.show(status)

        moved = follow(client, plan, wishes, seen)
        why = STOPPED if wishes.reached and moved.why == STOPPED else moved.why
        wishes.reached = False
        last = client.status(timeout_s=STATUS_S)
        return Followed(plan.start_tick, last.tick, why, tuple(moved.clamps))


@dataclass(slots=True)
class Listener:
    """Every status of a bridge since it began to listen."""

    client: BridgeClient
    kept: list[Status] = field(default_factory=list)

    def drain(self) -> None:
        with contextlib.suppress(BridgeGone):
            self.kept += self.client.statuses()


@contextlib.contextmanager
def listening(choice: ArmChoice, client: BridgeClient) -> Iterator[Listener]:
    """A second client that only listens."""
    keys = choice.running.keys if choice.running is not None else choice.profile.keys
    with BridgeClient(client.endpoint, keys=keys) as other:
        yield Listener(other)
