"""A client's two sockets to a running bridge: commands with answers, and the stream of statuses.

Takes Chunks and words, gives Replies and Statuses. Knows nothing of servos or of how a bridge starts.
One lock lets several threads share a client; each call blocks at most its timeout.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
import uuid
from types import TracebackType

import zmq

from firmware_bridge.curve import identify
from firmware_bridge.endpoints import reachable
from firmware_bridge.errors import BridgeGone, from_wire, sentence
from firmware_bridge.messages import Chunk, Command, Info, Message, Reply, Status, Wire, pack, unpack
from firmware_bridge.registry import all_running, find_running

HEARTBEAT_S = 0.1  # how often reading statuses also tells the bridge that its driver lives
MAIN, STOP = b"c", b"s"  # sockets of one client
RECONNECT_MS = 20  # a bridge that takes over is there in well under a second
STATUS_QUEUE = 200_000  # statuses kept for a client that does not read: over 30 minutes at 100 Hz


class BridgeClient:
    """Talks to one bridge. The client that arms, or sends a chunk, is its driver.

    A driver must be heard from every `client_timeout_s` (any call counts, `statuses()` included) or the
    bridge holds, and after `park_after_s` parks. Watching never makes a client the driver.
    """

    def __init__(self, endpoint: str, timeout_s: float = 2.0, keys: str = "") -> None:
        """Connect, with `keys` (curve.identify) where the bridge wants them.

        Raises BridgeGone when nothing answers, ProtocolMismatch for another version, ConfigError for bad keys.
        """
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        self._keys = keys
        self._lock = threading.RLock()
        self._stop_lock = threading.Lock()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._identity = uuid.uuid4().bytes  # kept when a socket is replaced: still the same driver
        self._drives = False
        self._heard_at = 0.0
        self._newest: Status | None = None
        self._kept: collections.deque[Status] = collections.deque(maxlen=STATUS_QUEUE)
        try:
            # STOP has its own: an emergency stop waits for no other thread's answer and for no lock of theirs.
            self._sockets = {role: self._connect(role) for role in (MAIN, STOP)}
            self._stream = self._socket(zmq.SUB)
            self.info = self._hello()
            self._stream.setsockopt(zmq.RCVHWM, STATUS_QUEUE)
            self._stream.setsockopt(zmq.SUBSCRIBE, b"")
            self._stream.setsockopt(zmq.LINGER, 0)
            self._stream.connect(reachable(self.info.status_endpoint, self.endpoint))
        except BaseException:
            self.disconnect()
            raise

    # -- statuses

    def status(self, timeout_s: float = 1.0) -> Status:
        """The newest status, waiting for one that was not returned before. Raises BridgeGone."""
        with self._lock:
            before = self._newest.seq if self._newest else 0
            deadline = time.monotonic() + timeout_s
            while True:
                self._drain()
                if self._newest is not None and self._newest.seq > before:
                    return self._newest
                left_ms = int((deadline - time.monotonic()) * 1000)
                if left_ms <= 0:
                    raise BridgeGone(self._gone(f"published no status for {timeout_s:g} s"))
                self._stream.poll(min(left_ms, 100))

    def statuses(self) -> list[Status]:
        """Every status since the last call of this method, oldest first; does not wait."""
        with self._lock:
            self._drain()
            kept = list(self._kept)
            self._kept.clear()
            return kept

    # -- commands

    def send_chunk(self, chunk: Chunk) -> Reply:
        """Put a chunk in the bridge's mailbox; the newest wins. A refusal is a Reply with ok False."""
        self._drives = True
        return self._ask(chunk)

    def arm(self) -> Reply:
        """Torque on with goal = present; from then on chunks move the arm. Raises CommandRefused."""
        self._drives = True
        return self._command("arm")

    def pause(self) -> Reply:
        """Hold here and forget the chunk; `resume` allows chunks again."""
        return self._command("pause")

    def resume(self) -> Reply:
        return self._command("resume")

    def estop(self, cut: bool = False) -> Reply:
        """Latch the emergency stop: not one more goal frame until `rearm`. Always accepted, from any thread.

        `cut`: the torque goes off too, at once: a raised arm falls.
        """
        with self._stop_lock:
            answer = self._exchange(Command("cut" if cut else "estop"), STOP)
        return _checked(self._reply(answer))

    def rearm(self) -> Reply:
        """Leave estop or a fault with goal = present. Raises CommandRefused."""
        self._drives = True
        return self._command("rearm")

    def park(self) -> Reply:
        """Move slowly to the park pose, then torque off."""
        return self._command("park")

    def shutdown(self, exit_policy: str = "") -> Reply:
        """End the bridge by `exit_policy` ("" = the configured one: park, hold or limp)."""
        return self._command("shutdown", exit_policy)

    def refresh(self) -> Info:
        """Ask for `info` again: after a takeover the bridge has another pid, and may have found other facts."""
        with self._lock:
            self.info = self._hello()
            return self.info

    def wire(self) -> Wire:
        """How the servos' wire does so far, and their firmware. Raises BridgeGone."""
        with self._lock:
            answer = self._exchange(Command("wire"))
        if not isinstance(answer, Wire):
            raise BridgeGone(self._gone(f"answered {type(answer).__name__} to wire"))
        return answer

    def heartbeat(self) -> None:
        """Tell the bridge that its driver lives, without an answer; the status calls do it too."""
        with self._lock:
            self._beat()

    def disconnect(self) -> None:
        """Close the sockets; the bridge goes on. May be called twice."""
        with self._lock:
            self._context.destroy(linger=0)

    def __enter__(self) -> BridgeClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()

    # -- inside

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, "[" in self.endpoint)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        if self._keys:
            identify(socket, self._keys)
        return socket

    def _connect(self, role: bytes) -> zmq.Socket[bytes]:
        socket = self._socket(zmq.DEALER)
        socket.setsockopt(zmq.IDENTITY, role + self._identity)  # a leading 0 is zmq's own
        socket.connect(self.endpoint)
        return socket

    def _hello(self) -> Info:
        answer = self._exchange(Command("hello"))
        if not isinstance(answer, Info):
            raise BridgeGone(self._gone(f"answered {type(answer).__name__} to hello"))
        return answer

    def _command(self, name: str, argument: str = "") -> Reply:
        return _checked(self._ask(Command(name, argument)))

    def _reply(self, answer: Message) -> Reply:
        if not isinstance(answer, Reply):
            raise BridgeGone(self._gone(f"answered {type(answer).__name__} to a command"))
        return answer

    def _ask(self, message: Message) -> Reply:
        with self._lock:
            answer = self._exchange(message)
            self._heard_at = time.monotonic()
            return self._reply(answer)

    def _exchange(self, message: Message, role: bytes = MAIN) -> Message:
        """The answer to `message`, by the socket of `role`."""
        socket = self._sockets[role]
        socket.send(pack(message))
        if not socket.poll(int(self._timeout_s * 1000)):
            # A late answer must never be read as the answer to the next command: a new socket.
            socket.close(0)
            self._sockets[role] = self._connect(role)
            raise BridgeGone(self._gone(f"did not answer for {self._timeout_s:g} s"))
        answer = unpack(socket.recv())
        if isinstance(answer, Reply) and answer.error == "ProtocolMismatch":
            raise from_wire(answer.error, answer.text)
        return answer

    def _drain(self) -> None:
        while self._stream.poll(0):
            message = unpack(self._stream.recv())
            if isinstance(message, Status):
                self._newest = message
                self._kept.append(message)
        if self._drives and time.monotonic() - self._heard_at > HEARTBEAT_S:
            self._beat()

    def _beat(self) -> None:
        self._heard_at = time.monotonic()
        # The queue is full when the bridge is gone; the next call that wants an answer says so.
        with contextlib.suppress(zmq.Again):
            self._sockets[MAIN].send(pack(Command("heartbeat")), zmq.NOBLOCK)

    def _gone(self, what: str) -> str:
        return sentence(
            f"the bridge at {self.endpoint} {what}",
            do="see its last words on stderr; the servos keep their last goal and torque",
        )


def _checked(reply: Reply) -> Reply:
    if not reply.ok:
        raise from_wire(reply.error, reply.text)
    return reply


def connect_bridge(where: str, keys: str = "") -> BridgeClient:
    """A client of the running bridge named by an arm's id or by an endpoint.

    Raises BridgeGone when none runs or answers, ConfigError for a bad id or missing keys.
    """
    if "://" in where:
        return BridgeClient(where, keys=keys)
    running = find_running(where)
    if running is None:
        others = ", ".join(item.id for item in all_running()) or "none"
        what = f"no bridge for {where!r} runs on this machine"
        raise BridgeGone(sentence(what, got=f"running: {others}", do="start it, or name its endpoint"))
    return BridgeClient(running.endpoint, keys=keys or running.keys)
