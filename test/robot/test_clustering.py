# SPDX-License-Identifier: Apache-2.0
"""Vertex clustering."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from calib_all_ros.robot.clustering import cluster_vertices


def clustered(mesh: trimesh.Trimesh, cell_m: float) -> trimesh.Trimesh:
    vertices, faces, _ = cluster_vertices(
        mesh.vertices, mesh.faces, np.zeros(len(mesh.vertices), int), cell_m
    )
    return trimesh.Trimesh(vertices, faces, process=False)


def test_flat_faces_and_sharp_edges_stay_where_they_are() -> None:
    fine = trimesh.creation.box(extents=[1.0, 0.7, 0.4])
    for _ in range(4):
        fine = fine.subdivide()
    coarse = clustered(fine, 0.13)
    assert len(coarse.faces) < 0.2 * len(fine.faces)
    np.testing.assert_allclose(coarse.bounds, fine.bounds, atol=3e-3)
    assert coarse.volume == pytest.approx(fine.volume, rel=0.02)


def test_a_sphere_does_not_shrink() -> None:
    fine = trimesh.creation.icosphere(subdivisions=5, radius=0.1)
    coarse = clustered(fine, 0.02)
    assert len(coarse.faces) < 0.05 * len(fine.faces)
    assert coarse.is_watertight
    assert coarse.volume == pytest.approx(fine.volume, rel=0.01)


def test_groups_are_not_mixed() -> None:
    box = trimesh.creation.box(extents=[0.1, 0.1, 0.1])
    vertices = np.concatenate([box.vertices, box.vertices])
    faces = np.concatenate([box.faces, box.faces + 8])
    groups = np.repeat([3, 7], 8)
    new_vertices, new_faces, new_groups = cluster_vertices(vertices, faces, groups, 0.05)
    assert len(new_vertices) == 16
    np.testing.assert_array_equal(np.unique(new_groups, return_counts=True), [[3, 7], [8, 8]])
    assert (new_groups[new_faces] == new_groups[new_faces][:, :1]).all()


def test_what_lies_in_one_cell_vanishes() -> None:
    box = trimesh.creation.box(extents=[0.01, 0.01, 0.01])
    _, faces, _ = cluster_vertices(box.vertices, box.faces, np.zeros(8, int), 1.0)
    assert len(faces) == 0


def test_repeated_triangles_are_dropped() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    faces = np.array([[0, 1, 2], [1, 2, 0], [2, 1, 0]])
    _, kept, _ = cluster_vertices(vertices, faces, np.zeros(3, int), 0.1)
    assert len(kept) == 1
