# SPDX-License-Identifier: Apache-2.0
"""The robot drawn by nvdiffrast on a CUDA GPU (Laine et al. 2020), as `rasteriser` does.

nvdiffrast follows OpenGL: pixel centres lie half-way between integers, and row 0 of an image is at
clip coordinate y = -1, its bottom. Here image row 0 is put there, so that the picture is upside
down inside of nvdiffrast and no array needs flipping (`clip_space`). Corners are snapped to a
sixteenth of a pixel there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.models.device import cuda_obstacle
from calib_all_ros.models.errors import ModelUnavailableError
from calib_all_ros.models.libraries import require
from calib_all_ros.rendering.clip_space import clip_matrix
from calib_all_ros.rendering.gpu_meshes import GpuMeshes, frames_at_once
from calib_all_ros.rendering.rasteriser import BACKGROUND, checked_poses
from calib_all_ros.robot.surface import RobotSurface


class Nvdiffrast:
    """A `renderer.Renderer`; version 0.3.3 or later, for images of any size."""

    def __init__(self, device: str = "cuda", memory_bytes: int = 1 << 30) -> None:
        """Take a GPU; frames are drawn together as far as ``memory_bytes`` of its memory go.

        Raises:
            ModelUnavailableError: nvdiffrast, torch or a CUDA GPU is missing.
        """
        obstacle = None if device == "cpu" else cuda_obstacle(device)
        if obstacle is not None:
            why, todo = obstacle
            raise ModelUnavailableError(
                f"nvdiffrast draws on CUDA GPUs only, and {why}: {todo}, or set rendering.backend "
                "to cpu"
            )
        self.torch, self.device = require("torch", "cuda"), device
        self.library = require("nvdiffrast.torch", "cuda")
        self._context = self.library.RasterizeCudaContext(device=self.device)
        self._memory_bytes = memory_bytes
        self.meshes = GpuMeshes(self.torch, device)

    def __call__(
        self,
        surface: RobotSurface,
        T_camera_link: NDArray[np.floating],
        camera: Camera,
        *,
        want_depth: bool = True,
    ) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Render link ids and depth; arguments, shapes and errors as for `rasteriser.render`."""
        T = checked_poses(surface, T_camera_link, camera)
        shape = (len(T), camera.height, camera.width)
        links = np.full(shape, BACKGROUND, dtype=np.int16)
        depth = np.full(shape if want_depth else (len(T), 1, 1), np.inf, dtype=np.float32)
        mesh = self.meshes.of(surface)
        for part in self.batches(len(T), surface, camera) if len(surface.faces) else ():
            points = self.meshes.points(surface, T[part])
            corners = points @ self.meshes.tensor(clip_matrix(camera).T)
            image = self.draw(corners.float(), mesh.faces, camera)
            links[part] = mesh.link_of_number[image[..., 3].long()].cpu().numpy()
            if want_depth:
                z, _ = self.library.interpolate(
                    points[..., 2:3].float().contiguous(), image, mesh.faces
                )
                z[image[..., 3:] == 0] = np.inf
                depth[part] = z[..., 0].cpu().numpy()
        return links, depth

    def draw(self, corners: Any, faces: Any, camera: Camera) -> Any:
        """Rasterise (N, V, 4) corners in clip space: (N, H, W, 4) u, v, z/w and face + 1."""
        size = (camera.height, camera.width)
        return self.library.rasterize(self._context, corners, faces, size)[0]

    def batches(self, count: int, surface: RobotSurface, camera: Camera) -> list[slice]:
        """Return which of ``count`` frames are drawn together."""
        step = frames_at_once(surface, camera, self._memory_bytes)
        return [slice(first, first + step) for first in range(0, count, step)]
