"""Where a camera of a world sees a point, and whether something stands before it.

Takes a world and a point in the frame of the (first) arm's base; gives a place in the picture. A pinhole camera, as
MuJoCo draws it. Knows nothing of pictures and tasks.
"""

from __future__ import annotations

import mujoco
import numpy as np
import numpy.typing as npt

from policy_spec.errors import SimError, sentence
from sim.world import World

Array = npt.NDArray[np.float64]
NEAR = 0.004  # m before a point in which something may lie: the skin of what is looked at


def place_in_picture(world: World, camera: str, point: Array) -> tuple[float, float] | None:
    """(across, down), each 0..1 of the picture; None where the point [3] m is outside of it or behind the camera."""
    if camera not in world.cameras:
        raise SimError(sentence("camera", expected=" or ".join(world.cameras), got=camera))
    view, row = world.data.camera(camera), world.cameras[camera]
    right, up, back = (view.xmat.reshape(3, 3).T @ (point - view.xpos)).tolist()
    if back >= 0.0:
        return None
    half = np.tan(np.radians(row.fov_deg) / 2)  # of the picture's height, at 1 m
    across = 0.5 + right / -back / (2 * half * row.width / row.height)
    down = 0.5 - up / -back / (2 * half)
    return (across, down) if 0.0 <= across < 1.0 and 0.0 <= down < 1.0 else None


def sees(world: World, camera: str, thing: str) -> tuple[float, float] | None:
    """Where the middle of an object is in a camera's picture; None where it is outside, or hidden by something."""
    body = world.data.body(f"thing/{thing}")
    place = place_in_picture(world, camera, body.xpos)
    if place is None:
        return None
    eye = world.data.camera(camera).xpos
    first = np.array([-1], np.int32)
    way = body.xpos - eye
    share = mujoco.mj_ray(world.model, world.data, eye, way, None, 1, -1, first)
    hit = -1 if first[0] < 0 else int(world.model.geom_bodyid[first[0]])
    far = np.linalg.norm(way)
    return place if hit == body.id or share * far > far - NEAR else None
