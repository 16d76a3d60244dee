"""Images of MuJoCo scenes without a display."""

import atexit
import ctypes.util
import importlib
import os
import sys
from typing import Any

import mujoco
import numpy as np

from m3.errors import UserError

_SIZE = 480
"""Pixels of height and width; the most that the suite's models reserve."""

_LINUX_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}
"""Modules of ``mujoco`` that render without a display -> the library each needs."""


class OffscreenRenderer:
    """Renders a model's first camera. The OpenGL context is made here, so that simulation alone never needs one."""

    def __init__(self, model: mujoco.MjModel) -> None:
        """Raises UserError where OpenGL does not work."""
        self._model = model
        self._gl = _opengl()
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        # OpenGL complains about a context that is still there when Python's modules are gone.
        atexit.register(self.close)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        self._camera = mujoco.MjvCamera()
        if model.ncam:
            self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
            self._camera.fixedcamid = 0

    def render(self, data: mujoco.MjData) -> np.ndarray:
        """Draw the scene as uint8 (480, 480, 3)."""
        self._gl.make_current()
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, mujoco.MjvOption(), None, self._camera, everything, self._scene)
        area = mujoco.MjrRect(0, 0, _SIZE, _SIZE)
        mujoco.mjr_render(area, self._scene, self._context)
        image = np.empty((_SIZE, _SIZE, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, area, self._context)
        return image[::-1].copy()

    def close(self) -> None:
        """Free the OpenGL context."""
        atexit.unregister(self.close)
        self._gl.make_current()
        self._context.free()
        self._gl.free()


def _opengl() -> Any:
    """Open an OpenGL context of one of MuJoCo's own backends."""
    backend = _backend()
    try:
        return importlib.import_module(f"mujoco.{backend}").GLContext(_SIZE, _SIZE)
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        raise UserError(
            f"rendering through {backend} does not work here ({error}); set MUJOCO_GL to another"
        ) from error


def _backend() -> str:
    """Return the user's choice in MUJOCO_GL, else what renders without a display on this system."""
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    if chosen in (*_LINUX_LIBRARIES, "glfw", "cgl"):
        return chosen
    if sys.platform == "darwin":
        return "cgl"
    if sys.platform != "linux":
        return "glfw"
    for name, library in _LINUX_LIBRARIES.items():
        if ctypes.util.find_library(library):
            return name
    raise UserError("rendering needs libEGL or libOSMesa, and neither is installed (Debian: apt install libegl1)")
