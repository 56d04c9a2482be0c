# SPDX-License-Identifier: Apache-2.0
"""The robot drawn by nvdiffrast on a CUDA GPU (Laine et al. 2020), as `rasteriser` does.

nvdiffrast follows OpenGL: pixel centres lie half-way between integers, and row 0 of an image is at
clip coordinate y = -1, its bottom. Here image row 0 is put there, so that the picture is upside
down inside of nvdiffrast and no array needs flipping (`clip_space`). Corners are snapped to a
sixteenth of a pixel there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.models.libraries import ModelUnavailableError, cuda_obstacle, require
from calib_all_ros.rendering.rasteriser import BACKGROUND, NEAR_M, checked_poses
from calib_all_ros.robot.surface import RobotSurface


def clip_matrix(camera: Camera) -> NDArray[np.float64]:
    """Return the (4, 4) map of homogeneous points from the optical frame to clip space.

    Both u and x grow to the right; v and y grow with the number of the row, of which v has number
    0 at the top and OpenGL at the bottom. z/w is -1 at the nearest visible depth and approaches 1
    in the distance, where nothing is cut off. w is the depth in metres.
    """
    (fx, _, cx), (_, fy, cy), _ = camera.K
    width, height = camera.width, camera.height
    return np.array(
        [
            [2 * fx / width, 0.0, (2 * cx + 1) / width - 1, 0.0],
            [0.0, 2 * fy / height, (2 * cy + 1) / height - 1, 0.0],
            [0.0, 0.0, 1.0, -2 * NEAR_M],
            [0.0, 0.0, 1.0, 0.0],
        ]
    )


@dataclass(frozen=True)
class GpuMesh:
    """A surface in tensors.

    Attributes:
        vertices: (V, 4, 1) float64 homogeneous, each in the frame of its own link.
        link_of_vertex: (V,) int64.
        faces: (F, 3) int32.
        link_of_number: (F + 1,) int16 link of each face when faces are counted from one.
    """

    vertices: Any
    link_of_vertex: Any
    faces: Any
    link_of_number: Any


class GpuMeshes:
    """What was drawn stays on the GPU as long as its surface is in use."""

    def __init__(self, torch: Any, device: str) -> None:
        self._torch, self._device = torch, device
        self._meshes: WeakKeyDictionary[RobotSurface, GpuMesh] = WeakKeyDictionary()

    def tensor(self, array: NDArray[Any]) -> Any:
        """Return an array as a tensor on the GPU."""
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def of(self, surface: RobotSurface) -> GpuMesh:
        """Return a surface's mesh."""
        if surface not in self._meshes:
            vertices = np.insert(surface.vertices.astype(np.float64), 3, 1.0, axis=1)
            link_of_number = np.append(BACKGROUND, surface.link_of_face).astype(np.int16)
            self._meshes[surface] = GpuMesh(
                self.tensor(vertices[..., None]),
                self.tensor(surface.link_of_vertex.astype(np.int64)),
                self.tensor(surface.faces),
                self.tensor(link_of_number),
            )
        return self._meshes[surface]

    def points(self, surface: RobotSurface, T_frame_link: NDArray[np.floating]) -> Any:
        """Return the (N, V, 4) homogeneous vertices of links with (N, L, 4, 4) poses, float64."""
        mesh = self.of(surface)
        T = self.tensor(np.asarray(T_frame_link, dtype=np.float64))
        return (T[:, mesh.link_of_vertex] @ mesh.vertices)[..., 0]


def frames_at_once(surface: RobotSurface, camera: Camera, memory_bytes: int) -> int:
    """Return how many frames nvdiffrast can draw and blend in so much memory; at least one."""
    pixels = camera.width * camera.height
    frame_bytes = 128 * pixels + 256 * (len(surface.vertices) + len(surface.faces))
    return max(1, memory_bytes // frame_bytes)


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
