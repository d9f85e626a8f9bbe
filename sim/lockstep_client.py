"""A client of a bridge in lockstep: what a run asks of a bridge, where waiting for a status is what makes time pass.

Takes a Loop that ticks when told; gives the methods of `firmware_bridge.client.BridgeClient` that a run uses, with
its rules: every message crosses the wire format of messages.py, refusals are raised or returned as there, and a client
that drives is heard from. Knows nothing of worlds.
"""

from __future__ import annotations

import collections
from collections.abc import Callable

from firmware_bridge.errors import BridgeGone, from_wire
from firmware_bridge.loop import Loop
from firmware_bridge.messages import Chunk, Command, Info, Message, Reply, Status, Wire, pack, unpack

IDENTITY = b"lockstep"


class StatusQueue:
    """The bridge's service without sockets: a status that is published is kept for the client."""

    endpoint = status_endpoint = "lockstep"

    def __init__(self) -> None:
        self.newest: Status | None = None
        self.kept: collections.deque[Status] = collections.deque(maxlen=20_000)

    def publish(self, status: Status) -> None:
        """One status, through its bytes."""
        read = unpack(pack(status))
        assert isinstance(read, Status)
        self.newest = read
        self.kept.append(read)

    def close(self) -> None:
        return None


class LockstepClient:
    """Drives one loop. `tick` lets one of the bridge's ticks pass."""

    def __init__(self, loop: Loop, statuses: StatusQueue, tick: Callable[[], None]) -> None:
        self.endpoint = statuses.endpoint
        self._loop = loop
        self._statuses = statuses
        self._tick = tick
        self._drives = False
        self._returned = 0
        self.info = self._hello()

    # -- statuses

    def status(self, timeout_s: float = 1.0) -> Status:
        """The newest status; where that was returned before, time passes until there is another."""
        newest = self._statuses.newest
        if newest is None or newest.seq <= self._returned:
            if self._loop.machine.done:
                raise BridgeGone("the bridge in lockstep has stopped")
            if self._drives:
                self._exchange(Command("heartbeat"))
            self._tick()
            newest = self._statuses.newest
        if newest is None or newest.seq <= self._returned:
            raise BridgeGone("the bridge in lockstep published no status")
        self._returned = newest.seq
        return newest

    def statuses(self) -> list[Status]:
        """Every status since the last call of this method, oldest first."""
        kept = list(self._statuses.kept)
        self._statuses.kept.clear()
        return kept

    # -- commands

    def send_chunk(self, chunk: Chunk) -> Reply:
        """A refusal is a Reply with ok False. Raises what a chunk off the wire raises."""
        self._drives = True
        return self._ask(chunk)

    def arm(self) -> Reply:
        self._drives = True
        return self._command("arm")

    def rearm(self) -> Reply:
        self._drives = True
        return self._command("rearm")

    def pause(self) -> Reply:
        return self._command("pause")

    def resume(self) -> Reply:
        return self._command("resume")

    def estop(self, cut: bool = False) -> Reply:
        return self._command("cut" if cut else "estop")

    def park(self) -> Reply:
        return self._command("park")

    def shutdown(self, exit_policy: str = "") -> Reply:
        return self._command("shutdown", exit_policy)

    def wire(self) -> Wire:
        answer = self._exchange(Command("wire"))
        assert isinstance(answer, Wire)
        return answer

    def heartbeat(self) -> None:
        self._exchange(Command("heartbeat"))

    def disconnect(self) -> None:
        return None

    # -- inside

    def _hello(self) -> Info:
        answer = self._exchange(Command("hello"))
        assert isinstance(answer, Info)
        return answer

    def _command(self, name: str, argument: str = "") -> Reply:
        reply = self._ask(Command(name, argument))
        if not reply.ok:
            raise from_wire(reply.error, reply.text)
        return reply

    def _ask(self, message: Message) -> Reply:
        answer = self._exchange(message)
        assert isinstance(answer, Reply)
        return answer

    def _exchange(self, message: Message) -> Message | None:
        answer = self._loop.answer(IDENTITY, unpack(pack(message)))
        return None if answer is None else unpack(pack(answer))
