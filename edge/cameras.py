"""The policy's cameras by slot: `open_cameras({"cam0": "0", "cam1": "clip.mp4"}, slots)`.

Every slot of the policy must be filled, and nothing else given. A `Cameras` hands out the newest frame of
each slot in the policy's order, and says in one word whether they are fresh enough to act on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from edge.camera import Camera, CameraPatience, Frame, Say
from policy_spec.errors import CameraError, sentence

WORDS = FRESH, STALE, LOST = "fresh", "stale", "lost"  # from good to bad


@dataclass(frozen=True, slots=True)
class CameraCondition:
    """Whether the policy may act on what it sees. `text` says which camera and why, for stale and lost."""

    word: str  # FRESH, STALE or LOST
    text: str = ""
    worst_age_s: float = 0.0


class Cameras:
    """Open cameras, one per slot. A context manager; closes all of them."""

    def __init__(self, cameras: Sequence[Camera], patience: CameraPatience) -> None:
        self._cameras = tuple(cameras)
        self._patience = patience

    @property
    def sources(self) -> dict[str, str]:
        return {camera.slot: camera.source for camera in self._cameras}

    def newest(self) -> dict[str, Frame]:
        """slot -> newest frame, in the policy's order. CameraError when one is lost."""
        return {camera.slot: camera.newest() for camera in self._cameras}

    def condition(self, now: float) -> CameraCondition:
        """Judged by the age of the oldest of the newest frames; `now` is time.monotonic."""
        try:
            frames = self.newest()
        except CameraError as error:
            return CameraCondition(LOST, str(error))
        if not frames:
            return CameraCondition(FRESH)
        judged = [
            judge_age(camera.slot, now - frames[camera.slot].t, camera.period_s, self._patience)
            for camera in self._cameras
        ]
        return max(judged, key=lambda condition: (WORDS.index(condition.word), condition.worst_age_s))

    def close(self) -> None:
        for camera in self._cameras:
            camera.close()

    def __enter__(self) -> Cameras:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def judge_age(slot: str, age_s: float, period_s: float, patience: CameraPatience) -> CameraCondition:
    """The rule: fresh, then stale (the arm holds), then lost (the run stops).

    A clip of one frame per second is not stale between two of them: three of its periods always pass.
    """
    text = f"camera {slot}: its newest frame is {age_s:.1f} s old"
    if age_s > patience.give_up_s:
        return CameraCondition(LOST, sentence(text, expected=f"at most {patience.give_up_s:g} s"), age_s)
    if age_s > max(patience.stale_s, 3 * period_s):
        return CameraCondition(STALE, text, age_s)
    return CameraCondition(FRESH, "", age_s)


def check_slots(sources: Mapping[str, str], slots: Sequence[str]) -> None:
    """Refuses an unknown and an unfilled slot; the text lists the policy's slots. CameraError."""
    unknown = [slot for slot in sources if slot not in slots]
    unfilled = [slot for slot in slots if slot not in sources]
    if not unknown and not unfilled:
        return
    problems = [f"this policy has no camera slot '{slot}'" for slot in unknown]
    problems += [f"camera slot '{slot}' is not filled" for slot in unfilled]
    raise CameraError(
        sentence(
            "; ".join(problems),
            expected="one source for each of " + ", ".join(slots),
            got=", ".join(f"{slot}={source}" for slot, source in sources.items()) or "none",
            do=" ".join(f"--camera {slot}=SOURCE" for slot in slots),
        )
    )


def open_cameras(
    sources: Mapping[str, str],
    slots: Sequence[str],
    patience: CameraPatience | None = None,
    say: Say = lambda text: None,
) -> Cameras:
    """Opens every camera and waits for its first frame; all or none. CameraError.

    `say` gets words a person should read (a clip that starts again, a camera that is opened again); it is
    called from the cameras' threads.
    """
    check_slots(sources, slots)
    patience = patience or CameraPatience()
    opened: list[Camera] = []
    try:
        for slot in slots:
            opened.append(Camera(slot, sources[slot], patience, say))
            opened[-1].open()
    except BaseException:
        Cameras(opened, patience).close()
        raise
    return Cameras(opened, patience)
