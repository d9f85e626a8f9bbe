"""Pictures and depth of a MuJoCo model, without a display. Takes a model, its state and a camera; gives arrays.

What draws is chosen at the first picture, never on import: what MUJOCO_GL says, else the GPU (egl) where one is
there, else the processor (osmesa). Knows nothing of arms and tasks. One thread at a time.
"""

from __future__ import annotations

import glob
import importlib
import os
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt

from policy_spec.errors import SimError, sentence

GPU_DEVICES = ("/dev/nvidia[0-9]*", "/dev/dri/renderD*")
BACKENDS = ("egl", "osmesa", "glfw")
PACKAGE = "libosmesa6"
MAX_GEOMS = 500
Size = tuple[int, int]  # H, W


def choose_backend() -> str:
    """What draws here: one of BACKENDS. Raises SimError for a MUJOCO_GL that is none of them."""
    named = os.environ.get("MUJOCO_GL", "").lower()
    if named and named not in BACKENDS:
        raise SimError(sentence("MUJOCO_GL", expected=" or ".join(BACKENDS), got=named, do="correct or unset it"))
    found = any(glob.glob(pattern) for pattern in GPU_DEVICES)
    return named or ("egl" if found else "osmesa")


class Painter:
    """Draws one model at a time; see `take`. `close` gives its memory back."""

    def __init__(self, model: mujoco.MjModel) -> None:
        """Raises SimError, with the package to install, where nothing can draw here."""
        self.backend = choose_backend()
        self._model = model
        largest = model.vis.global_.offwidth, model.vis.global_.offheight
        try:
            self._gl: Any = importlib.import_module(f"mujoco.{self.backend}").GLContext(*largest)
            self._gl.make_current()
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        except Exception as why:  # it differs with what is missing: ImportError, AttributeError, EGLError, ...
            raise SimError(_help(self.backend, why)) from why
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._scene = _scene(model)

    def take(self, model: mujoco.MjModel) -> bool:
        """Draw `model` from now on; False, changing nothing, if its buffers or textures have other sizes.

        A new context costs as much as a hundred pictures, new textures in the old one nearly nothing.
        """
        if _sizes(model) != _sizes(self._model):
            return False
        self._model, self._scene = model, _scene(model)
        self._gl.make_current()
        for texture in range(model.ntex):
            mujoco.mjr_uploadTexture(model, self._context, texture)
        return True

    def picture(self, data: mujoco.MjData, camera: str, size: Size) -> npt.NDArray[np.uint8]:
        """uint8 [H, W, 3] of `size` (H, W), RGB."""
        drawn = np.empty((*size, 3), np.uint8)
        mujoco.mjr_readPixels(drawn, None, self._draw(data, camera, size), self._context)
        return np.ascontiguousarray(drawn[::-1])  # OpenGL's first row is the lowest

    def depth(self, data: mujoco.MjData, camera: str, size: Size) -> npt.NDArray[np.float32]:
        """float32 [H, W]: m from the camera's plane; the far clipping plane where there is nothing.

        Drawn as for segmentation, without smoothing: a pixel at an edge is one thing's distance, not a mean.
        """
        flags = self._scene.flags.copy()
        for flag in (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR):
            self._scene.flags[flag] = 1
        read = np.empty(size, np.float32)
        mujoco.mjr_readPixels(None, read, self._draw(data, camera, size), self._context)
        self._scene.flags[:] = flags
        near, far = (self._model.stat.extent * part for part in (self._model.vis.map.znear, self._model.vis.map.zfar))
        # OpenGL's projection with depth reversed: 1 at `near`, 0 at `far`, hyperbolic between.
        metres = near * far / (near + read[::-1].astype(np.float64) * (far - near))
        return metres.astype(np.float32)

    def _draw(self, data: mujoco.MjData, camera: str, size: Size) -> mujoco.MjrRect:
        self._gl.make_current()
        self._camera.fixedcamid = self._model.camera(camera).id
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, data, self._option, None, self._camera, everything, self._scene)
        rect = mujoco.MjrRect(0, 0, size[1], size[0])
        mujoco.mjr_render(rect, self._scene, self._context)
        return rect

    def close(self) -> None:
        """Gives the context's memory back; drawing afterwards is an error of the caller's."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()


def _scene(model: mujoco.MjModel) -> mujoco.MjvScene:
    scene = mujoco.MjvScene(model, MAX_GEOMS)
    for flag in (mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_HAZE):
        scene.flags[flag] = 0
    return scene


def _sizes(model: mujoco.MjModel) -> tuple[object, ...]:
    """What a context keeps of a model: it needs another one where these differ."""
    view = model.vis
    textures = [
        tuple(rows.tolist()) for rows in (model.tex_type, model.tex_height, model.tex_width, model.tex_nchannel)
    ]
    return view.global_.offwidth, view.global_.offheight, view.quality.shadowsize, view.quality.offsamples, *textures


def _help(backend: str, why: Exception) -> str:
    got = f"{type(why).__name__}: {why}" if str(why) else type(why).__name__
    do = f"sudo apt-get install {PACKAGE} (no GPU), or set MUJOCO_GL to egl (a GPU) or glfw (a display)"
    return sentence("drawing pictures", expected=f"OpenGL by {backend}", got=got, do=do)
