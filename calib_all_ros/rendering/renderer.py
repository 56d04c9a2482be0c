# SPDX-License-Identifier: Apache-2.0
"""Renderers of the robot, by their names."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.nvdiffrast import Nvdiffrast
from calib_all_ros.rendering.rasteriser import RenderingError, render
from calib_all_ros.robot.surface import RobotSurface


class Renderer(Protocol):
    """Draws link ids and depth of the robot in N configurations.

    `rasteriser.render` is one, and so is an instance of `nvdiffrast.Nvdiffrast`. A pixel shows the
    link that its centre, at integer coordinates, looks at; surfaces nearer than
    `rasteriser.NEAR_M` are cut off.
    """

    def __call__(
        self,
        surface: RobotSurface,
        T_camera_link: NDArray[np.floating],
        camera: Camera,
        *,
        want_depth: bool = True,
    ) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Return link ids and depth; arguments, shapes and errors as for `rasteriser.render`."""


def find_renderer(backend: str, device: str = "auto") -> Renderer:
    """Return what draws the robot.

    Args:
        backend: ``cpu`` or ``nvdiffrast``, which needs a CUDA GPU.
        device: The GPU, ``cuda:1``; ``auto`` (and ``cpu``, where models run there) is the first.

    Raises:
        RenderingError: There is no such backend.
        ModelUnavailableError: nvdiffrast, torch or a CUDA GPU is missing; the message says what to
            do.
    """
    if backend == "cpu":
        return render
    if backend == "nvdiffrast":
        return Nvdiffrast(device if device.startswith("cuda") else "cuda")
    raise RenderingError(f"'{backend}' draws no robots; there are: cpu, nvdiffrast")
