# SPDX-License-Identifier: Apache-2.0
"""Meshes of robots in the memory of a GPU, copied there once, and moved with the links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.rasteriser import BACKGROUND
from calib_all_ros.robot.surface import RobotSurface


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
