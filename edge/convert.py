"""Between the bridge's words and the policy's: a Status becomes an observation, a prediction becomes a Chunk.

The joint frame is named by the user, never inferred. Knows no clock and no socket.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edge.camera import Frame as CameraFrame
from episodes.layout import TickRecord
from firmware_bridge.client import FRAME, UNITS, Chunk, Info, Status
from policy_spec.errors import SpecError, sentence
from policy_spec.frames import Frame
from policy_spec.norm import NormTag
from policy_spec.pipeline import Observation, Prediction

Float64 = npt.NDArray[np.float64]


def check_fit(info: Info, tag: NormTag, frame: Frame) -> None:
    """The policy's state and actions have one value per joint of this arm. SpecError."""
    joints = len(info.joints)
    if (tag.state_dim, tag.action_dim) != (joints, joints):
        raise SpecError(
            sentence(
                f"norm tag {tag.tag!r} and the arm {info.arm}",
                expected=f"{joints} joints: {', '.join(info.joints)}",
                got=f"a state of {tag.state_dim} and actions of {tag.action_dim}",
                do="choose the norm tag of this arm",
            )
        )
    frame.to_si(np.zeros(joints))  # the frame refuses another number of joints


def to_observation(status: Status, frames: Mapping[str, CameraFrame], frame: Frame) -> Observation:
    """What the policy sees: pictures in the policy's order, measured joints in its units."""
    return Observation(tuple(f.image for f in frames.values()), frame.from_si(status.measured))


def to_si(prediction: Prediction, frame: Frame) -> Float64:
    """[H, D] rad, gripper 0..1."""
    return frame.to_si(prediction.actions)


def to_chunk(actions: Float64, status: Status, start_tick: int, dt_s: float) -> Chunk:
    """A chunk computed from `status`, its first action due at `start_tick`. ChunkRefused unless finite."""
    return Chunk(
        actions=actions.astype(np.float32),
        arm=status.arm,
        units=UNITS,
        frame=FRAME,
        status_seq=status.seq,
        start_tick=start_tick,
        dt=dt_s,
    )


def to_tick_record(status: Status) -> TickRecord:
    """What the recording keeps of a status."""
    return TickRecord(
        seq=status.seq,
        tick=status.tick,
        t=status.t,
        mode=status.mode,
        measured=status.measured,
        commanded=status.commanded,
        fresh=status.fresh,
        late_ticks=status.late_ticks,
        worst_lateness_s=status.worst_lateness_s,
        clamped=status.clamped,
        chunk_seq=status.chunk_seq,
        health={
            "load": status.load,
            "current": status.current,
            "temperature": status.temperature,
            "voltage": status.voltage,
        },
    )
