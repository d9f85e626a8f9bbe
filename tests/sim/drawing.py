"""Whether pictures can be drawn on this machine; tests that need them say why they are skipped."""

from __future__ import annotations

import functools

import pytest


@functools.cache
def why_not() -> str:
    """ "" where a picture was drawn."""
    pytest.importorskip("mujoco")
    from policy_spec.errors import SimError
    from sim.world import World

    world = World("so101")
    try:
        world.picture("front", (8, 8))
    except SimError as error:
        return str(error)
    finally:
        world.close()
    return ""


def need_drawing() -> None:
    """Skips the test where nothing draws."""
    if why_not():
        pytest.skip(f"no pictures here: {why_not()}")
