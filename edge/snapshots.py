"""One picture of each of several sources, taken at the same time: what find-cameras and the camera check look at.

Takes source words by name, gives a Snapshot each; a source that fails is a Snapshot that says why. Knows no slots.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge.camera import Camera, CameraPatience
from edge.camera_sources import Image
from policy_spec.errors import CameraError

WARM_UP_S = 1.0  # exposure and white balance settle
APART_S = 0.4  # between the two pictures that tell a frozen camera
FIRST_FRAME_S = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """`image` [h, w, 3] uint8 RGB and a `second` one a little later; or None and an `error`."""

    source: str
    image: Image | None = None
    second: Image | None = None
    error: str = ""

    @property
    def live(self) -> bool:
        """A camera, whose pictures always differ by their noise; a file's may be equal."""
        return self.source.isdigit() or self.source.startswith("/dev/") or "://" in self.source


def take(
    sources: Mapping[str, str], warm_up_s: float = WARM_UP_S, say: Callable[[str], None] = lambda text: None
) -> dict[str, Snapshot]:
    """A Snapshot of every source, under its name; `say` hears of each as it comes."""

    def one(name: str, source: str) -> Snapshot:
        shot = _take(source, warm_up_s)
        say(f"{name}: {shot.error or 'a picture of {1} x {0}'.format(*shot.image.shape)}")  # type: ignore[union-attr]
        return shot

    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(sources))) as pool:
        jobs = {name: pool.submit(one, name, source) for name, source in sources.items()}
        return {name: job.result() for name, job in jobs.items()}


def _take(source: str, warm_up_s: float) -> Snapshot:
    patience = CameraPatience(first_frame_s=FIRST_FRAME_S, attempts=1, retry_s=0.2)
    try:
        camera = Camera(source, source, patience, lambda text: None)
    except CameraError as error:
        return Snapshot(source, error=str(error))
    wait = threading.Event().wait
    try:
        camera.open()
        live = camera.period_s == 0
        wait(warm_up_s if live else 0.0)
        image = camera.newest().image
        wait(APART_S if live else camera.period_s)
        return Snapshot(source, image, camera.newest().image)
    except CameraError as error:
        return Snapshot(source, error=str(error))
    finally:
        camera.close()
