"""The messages between the bridge and its clients: frozen dataclasses as versioned msgpack.

A message on the wire is `[PROTOCOL, schema hash, kind, [field values]]`. The hash covers the names and
types of every field of every message, so two builds that disagree about any field refuse each other
with a text instead of misreading numbers. Knows nothing of sockets, servos or the state machine.

Units are SI everywhere: joints in rad, measured from the middle of the calibrated range (LeRobot's
degrees times pi / 180); a gripper is 0 (closed) to 1 (open). That pair is named `UNITS` and `FRAME`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import ChunkRefused, ProtocolMismatch, sentence

PROTOCOL = 2
UNITS = "si"  # rad, gripper 0..1
FRAME = "arm"  # zero = middle of the calibrated range, sign = the servo's

Array = npt.NDArray[np.float64]
_ARRAY_CODE = 1
_DTYPES = ("<f4", "<f8")


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Actions of one prediction.

    Raises ChunkRefused for a wrong rank, NaN or infinity, a dt that is not positive or a speed below 0.
    """

    actions: npt.NDArray[np.float32]  # [H, D] float32; rad, gripper 0..1; joints in the arm's order
    arm: str  # the robot's name, "so101"
    units: str  # must be UNITS
    frame: str  # must be FRAME
    status_seq: int  # Status.seq of the observation that this chunk was computed from
    start_tick: int  # Status.tick at which actions[0] is due
    dt: float  # s between two actions
    speed: float = 0.0  # rad/s, gripper 1/s: no faster, not even to catch up after late ticks; 0: the arm's own limits

    def __post_init__(self) -> None:
        actions = np.asarray(self.actions, dtype=np.float32)
        if actions.ndim != 2 or 0 in actions.shape:
            raise ChunkRefused(
                sentence("a chunk's actions", expected="[H, D], none of them 0", got=list(actions.shape))
            )
        if not np.isfinite(actions).all():
            row, joint = np.argwhere(~np.isfinite(actions))[0]
            raise ChunkRefused(
                sentence(
                    "a chunk's actions",
                    expected="finite numbers",
                    got=f"{actions[row, joint]} at step {row}, joint {joint}",
                    do="look at the observation and the policy's output",
                )
            )
        if not (np.isfinite(self.dt) and self.dt > 0):
            raise ChunkRefused(sentence("a chunk's dt", expected="seconds > 0", got=self.dt))
        if not (np.isfinite(self.speed) and self.speed >= 0):
            raise ChunkRefused(sentence("a chunk's speed", expected="rad/s >= 0", got=self.speed))
        object.__setattr__(self, "actions", actions)


@dataclass(frozen=True, slots=True, eq=False)
class Status:
    """The bridge after one tick. A joint that did not answer keeps its last reading, `fresh` False."""

    seq: int  # counts published statuses: 1, 2, 3 ... without a gap
    tick: int  # place on the fixed time grid: t = start + tick / rate_hz; jumps when ticks were late
    t: float  # s, the bridge's own time.monotonic at the reading
    arm: str
    mode: str  # firmware_bridge.safety.state_machine.Mode: shadow, ready, running, paused, estop, ...
    live: bool  # False: reads only, neither goals nor torque are ever sent
    torque: str  # "on", "off" or "unknown"
    measured: Array  # [D] float64, rad, gripper 0..1
    commanded: Array  # [D] float64, the goal of this tick; in shadow the goal that would be sent
    velocity: Array  # [D] float64, rad/s (gripper 1/s)
    load: Array  # [D] float64, -1..1 of the motor's duty
    current: Array  # [D] float64, A
    temperature: Array  # [D] float64, degrees Celsius
    voltage: Array  # [D] float64, V
    servo_errors: tuple[int, ...]  # [D] error bits of each servo's last frame, registers.ERROR_BITS
    alarms: tuple[str, ...]  # [D] "" or why that servo no longer follows, in words
    fresh: tuple[bool, ...]  # [D] answered in this tick
    late_ticks: int  # ticks of the grid that were missed so far
    lateness_s: float  # s, start of this tick against its place on the grid
    worst_lateness_s: float  # s, worst so far
    clamped: tuple[str, ...]  # what was limited in this tick: "elbow_flex upper", "speed elbow_flex"
    clamped_total: int  # ticks so far in which anything was limited
    clamp_counts: tuple[tuple[str, int], ...]  # ticks so far for each text of `clamped`
    chunk_seq: int  # status_seq of the chunk being followed, -1 when none
    fault: str  # "" or the whole text of the latched fault
    note: str  # why the arm holds, where the mode alone does not say it; else ""


@dataclass(frozen=True, slots=True)
class Command:
    """One word to the bridge; see `daemon` for the list. `argument` only where a word takes one."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a Command or Chunk. `error` names a class of errors.py where `ok` is False."""

    ok: bool
    text: str
    error: str
    mode: str
    seq: int
    tick: int


@dataclass(frozen=True, slots=True)
class Info:
    """What does not change while a bridge runs; the answer to Command("hello")."""

    arm: str
    id: str  # which arm this is: its profile's name, or the robot's
    joints: tuple[str, ...]  # in the order of every [D] above
    grippers: tuple[str, ...]
    lower: tuple[float, ...]  # [D] tightest limits, rad, gripper 0..1
    upper: tuple[float, ...]
    speed: tuple[float, ...]  # [D] rad/s, gripper 1/s: the fastest command
    park_pose: tuple[float, ...]  # [D]
    home_pose: tuple[float, ...]  # [D]
    rate_hz: float
    live: bool
    port: str
    calibration: str  # path, or "shipped" for the virtual arm
    fingerprint: str  # of that calibration
    units: str
    frame: str
    exit_policy: str
    status_endpoint: str  # zmq PUB
    pid: int


@dataclass(frozen=True, slots=True)
class Wire:
    """How the servos' wire does, and what they run; the answer to Command("wire")."""

    seq: int  # of the newest status when it was answered
    missed: tuple[int, ...]  # [D] answers so far that did not come intact in time, each try counted
    firmware: tuple[str, ...]  # [D] "3.10"; "" where a servo did not tell; () before anybody asked


KINDS: tuple[type[Any], ...] = (Chunk, Status, Command, Reply, Info, Wire)
_BY_NAME = {kind.__name__: kind for kind in KINDS}
_FIELDS = {kind: tuple(field.name for field in dataclasses.fields(kind)) for kind in KINDS}
# What a field's annotation admits on the wire; a whole number may stand for a float.
_KINDS_OF: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (float, int),
    "tuple": (tuple,),
    "Array": (np.ndarray,),
    "npt.NDArray": (np.ndarray,),
}
Message = Chunk | Status | Command | Reply | Info | Wire


def schema_hash(kinds: tuple[type[Any], ...] = KINDS) -> str:
    """8 hex digits over the names and types of all fields of `kinds`."""
    text = ";".join(
        f"{kind.__name__}:" + ",".join(f"{field.name}={field.type}" for field in dataclasses.fields(kind))
        for kind in kinds
    )
    return hashlib.sha256(text.encode()).hexdigest()[:8]


SCHEMA = schema_hash()


def pack(message: Message) -> bytes:
    """A message as bytes for one zmq frame."""
    kind = type(message)
    values = [getattr(message, name) for name in _FIELDS[kind]]
    packed: bytes = msgpack.packb([PROTOCOL, SCHEMA, kind.__name__, values], default=_pack_array)
    return packed


def unpack(data: bytes) -> Message:
    """The message in `data`.

    Raises ProtocolMismatch for another version or schema and for bytes that are no message, and
    ChunkRefused for a chunk whose numbers may not move an arm.
    """
    try:
        parts = msgpack.unpackb(data, ext_hook=_unpack_array, use_list=False)
        protocol, schema, name, values = parts
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise ProtocolMismatch(
            sentence(
                "a message that cannot be read",
                got=repr(error)[:120],
                do="check that this socket belongs to an Armside bridge",
            )
        ) from error
    if (protocol, schema) != (PROTOCOL, SCHEMA):
        raise ProtocolMismatch(
            sentence(
                "bridge and client come from different versions of Armside",
                expected=f"protocol {PROTOCOL} schema {SCHEMA}",
                got=f"protocol {protocol} schema {schema}",
                do="install one version on both sides, then restart the bridge",
            )
        )
    kind = _BY_NAME.get(name)
    if kind is None or len(values) != len(_FIELDS[kind]):
        raise ProtocolMismatch(
            sentence(
                "a message",
                expected="a known kind with all its fields",
                got=f"{name} with {len(values)} fields",
            )
        )
    for field, value in zip(dataclasses.fields(kind), values, strict=True):
        if not isinstance(value, _KINDS_OF.get(str(field.type).partition("[")[0], object)):
            wrong = f"{type(value).__name__} in {kind.__name__}.{field.name}"
            do = "send messages made by this version's own client"
            raise ProtocolMismatch(sentence("a message", expected=field.type, got=wrong, do=do))
    message: Message = kind(*values)
    return message


def _pack_array(value: object) -> msgpack.ExtType:
    if isinstance(value, np.ndarray) and value.dtype.str in _DTYPES:
        body = msgpack.packb([value.dtype.str, value.shape, value.tobytes()])
        return msgpack.ExtType(_ARRAY_CODE, body)
    raise TypeError(f"cannot pack {type(value).__name__}")


def _unpack_array(code: int, body: bytes) -> npt.NDArray[Any]:
    dtype, shape, data = msgpack.unpackb(body)
    if code != _ARRAY_CODE or dtype not in _DTYPES:
        raise ValueError(f"array type {code} {dtype}")
    return np.frombuffer(data, dtype=dtype).reshape(shape)
