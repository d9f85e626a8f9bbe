"""What draws is chosen at the first picture; a machine without it is told what to install and still simulates."""

from __future__ import annotations

import importlib

import pytest

import sim.pictures
from policy_spec.errors import SimError
from sim.pictures import choose_backend
from sim.scene import Scene
from sim.world import World


def test_what_draws_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    assert choose_backend() == "osmesa"
    monkeypatch.setenv("MUJOCO_GL", "crayons")
    with pytest.raises(SimError, match="crayons"):
        choose_backend()
    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setattr(sim.pictures, "GPU_DEVICES", ("/nowhere*",))
    assert choose_backend() == "osmesa"
    monkeypatch.setattr(sim.pictures, "GPU_DEVICES", ("/dev/null",))
    assert choose_backend() == "egl"


def test_a_machine_that_cannot_draw_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"no library behind {name}")

    world = World("so101", Scene())
    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(SimError, match=r"apt-get install libosmesa6"):
        world.picture("front")
    world.advance({}, 0.1)  # and still moves
    assert world.time == pytest.approx(0.1)
