# SPDX-License-Identifier: Apache-2.0
"""The edges of meshes, and where their outline passes between pixels."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.antialiasing import (
    mesh_edges,
    outline_crossings,
    project_vertices,
)
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.robot.surface import RobotSurface


def test_a_box_has_twelve_edges_and_their_diagonals() -> None:
    box = RobotSurface.from_meshes([trimesh.creation.box([1, 1, 1])], ["box"])
    edges, faces = mesh_edges(box)
    assert len(edges) == 18  # Euler: V - E + F = 2 with 8 vertices and 12 triangles
    assert np.bincount(faces.ravel()).tolist() == [3] * 12


def test_open_edges_belong_to_no_pair_of_faces() -> None:
    triangle = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False)
    _, faces = mesh_edges(RobotSurface.from_meshes([triangle], ["sheet"]))
    assert faces.tolist() == [[-1, -1]] * 3


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_outline_crosses_where_it_was_put_and_moves_as_it_should(place: float) -> None:
    """A square's right side between the columns 20 and 21, at 2 m."""
    K = np.array([[100.0, 0.0, 15.5], [0.0, 100.0, 11.5], [0.0, 0.0, 1.0]])
    camera = Camera(K, 32, 24, np.zeros(0))
    pixels = [[5.5, 3.5], [20 + place, 3.5], [20 + place, 12.5], [5.5, 12.5]]
    corners = 2.0 * camera.rays(pixels)
    sheet = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)
    surface = RobotSurface.from_meshes([sheet], ["sheet"])
    mask = silhouettes(surface, np.eye(4)[None, None], camera)[0]
    edges, edge_faces = mesh_edges(surface)
    projected, points = project_vertices(
        surface.vertices, surface.link_of_vertex, np.eye(4)[None, :3], K
    )
    crossings, places = outline_crossings(
        projected, points, surface.faces, edges, edge_faces, K, mask
    )
    right = np.flatnonzero((places[:, 1] == 20) & (places[:, 3] == 21))
    assert sorted(places[right, 0]) == list(range(4, 13))
    assert crossings[right, 0] == pytest.approx(place, abs=1e-4)
    # One metre to the right is 50 px at 2 m; nearer is wider by the offset from the axis.
    expected = [50.0, 0.0, -50.0 * (20 + place - 15.5) / 100]
    np.testing.assert_allclose(crossings[right, 1:4], np.tile(expected, (9, 1)), atol=1e-3)
