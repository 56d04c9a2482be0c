# SPDX-License-Identifier: Apache-2.0
"""Meshes in tensors; the CPU stands in for the GPU."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import trimesh

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.nvdiffrast import GpuMeshes, frames_at_once
from calib_all_ros.robot.surface import RobotSurface


def boxes() -> RobotSurface:
    meshes = [trimesh.creation.box([0.1, 0.2, 0.3]), None, trimesh.creation.box([0.3, 0.1, 0.1])]
    return RobotSurface.from_meshes(meshes, ["one", "frame", "other"])


@pytest.fixture
def meshes() -> GpuMeshes:
    torch = pytest.importorskip("torch", reason="pip install '.[foundation]'")
    return GpuMeshes(torch, "cpu")


def test_every_vertex_moves_with_its_link(meshes: GpuMeshes) -> None:
    surface = boxes()
    rng = np.random.default_rng(0)
    poses = [se3.from_rotvec(rng.normal(size=3), rng.normal(size=3)) for _ in range(6)]
    T = np.array(poses).reshape(2, 3, 4, 4)
    points = meshes.points(surface, T).numpy()
    assert points.shape == (2, 16, 4)
    for frame in range(2):
        for vertex, link in ((3, 0), (12, 2)):
            expected = T[frame, link] @ [*surface.vertices[vertex], 1.0]
            np.testing.assert_allclose(points[frame, vertex], expected, atol=1e-12)


def test_faces_are_numbered_from_one(meshes: GpuMeshes) -> None:
    mesh = meshes.of(boxes())
    assert mesh.link_of_number.tolist() == [-1, *[0] * 12, *[2] * 12]


def test_a_mesh_is_kept_as_long_as_its_surface(meshes: GpuMeshes) -> None:
    surface = boxes()
    mesh = meshes.of(surface)
    assert meshes.of(surface) is mesh
    kept = weakref.ref(mesh.faces)
    del surface, mesh
    gc.collect()
    assert kept() is None


def test_frames_are_as_many_as_the_memory_allows() -> None:
    camera = Camera(np.array([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]]), 100, 100, np.zeros(0))
    assert frames_at_once(boxes(), camera, 1) == 1
    few, many = (frames_at_once(boxes(), camera, size << 20) for size in (16, 64))
    assert 10 < few < 16 and many // few == 4
