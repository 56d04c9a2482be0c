# SPDX-License-Identifier: Apache-2.0
"""Reduction of a mesh to fewer triangles by clustering its vertices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Pull towards the cluster's mean where the planes leave the position undetermined, relative to
# their weight.
_DAMPING = 1e-2


def cluster_vertices(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    groups: NDArray[np.integer],
    cell_m: float,
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Merge the vertices of a group that share a cell of a cubic grid.

    Vertex clustering (Rossignac and Borrel, 1993) with the merged vertex placed where it is
    nearest to the planes of the triangles around it (Lindstrom, Out-of-core simplification of
    large polygonal models, SIGGRAPH 2000). Against the mean of the cluster this keeps edges sharp
    and does not shrink the mesh; against edge collapse it never tears or loses parts of the
    unwelded, self-intersecting meshes that robots come with.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3) indices of vertices.
        groups: (V,) only vertices of equal group are merged.
        cell_m: Edge length of the cells in metres.

    Returns:
        New vertices (W, 3), at most half a cell from the mean of those they stand for in each
        axis; new faces, without collapsed and repeated ones; and the group of each new vertex.
    """
    points = np.asarray(vertices, dtype=np.float64)
    cells = np.floor(points / cell_m + 0.5).astype(np.int64)
    keys = np.column_stack([np.asarray(groups, dtype=np.int64), cells])
    kept, cluster = np.unique(keys, axis=0, return_inverse=True)
    cluster = cluster.reshape(-1)
    count = len(kept)
    sizes = np.bincount(cluster, minlength=count)
    means = np.column_stack([np.bincount(cluster, x, count) for x in points.T]) / sizes[:, None]
    moved = means + np.clip(
        _towards_planes(points[faces], cluster[faces], means), -0.5 * cell_m, 0.5 * cell_m
    )
    new_faces = cluster[faces]
    corners = np.sort(new_faces, axis=1)
    whole = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2])
    _, first = np.unique(corners[whole], axis=0, return_index=True)
    return (
        moved.astype(np.float32),
        new_faces[whole][np.sort(first)].astype(np.int32),
        kept[:, 0].astype(np.int32),
    )


def _towards_planes(
    triangles: NDArray[np.float64], clusters: NDArray[np.integer], means: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the step from each cluster's mean to the damped least-squares point of its planes."""
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    normals = normals / np.maximum(areas, 1e-18)[:, None]
    heights = np.einsum("fd,fd->f", normals, triangles[:, 0])
    count = len(means)
    weight, A, b = np.zeros(count), np.zeros((count, 3, 3)), np.zeros((count, 3))
    for corner in clusters.T:
        distances = areas * (heights - np.einsum("fd,fd->f", normals, means[corner]))
        weight += np.bincount(corner, areas, count)
        for i in range(3):
            b[:, i] += np.bincount(corner, distances * normals[:, i], count)
            for j in range(3):
                A[:, i, j] += np.bincount(corner, areas * normals[:, i] * normals[:, j], count)
    A += (_DAMPING * weight + 1e-12)[:, None, None] * np.eye(3)
    return np.asarray(np.linalg.solve(A, b[..., None])[..., 0])
