# SPDX-License-Identifier: Apache-2.0
"""The visible surface of a robot: its triangles, mesh files, and coarser levels of detail."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import collada
import numpy as np
import trimesh
from numpy.typing import NDArray

from calib_all_ros.robot.kinematics import RobotError

_COLLADA_IGNORED = [collada.DaeError]
# Pull towards the cluster's mean where the planes leave the position undetermined, relative to
# their weight.
_DAMPING = 1e-2


@dataclass(frozen=True, eq=False)
class RobotSurface:
    """Triangles of all links.

    Attributes:
        vertices: (V, 3) float32 metres, each in the frame of its own link.
        faces: (F, 3) int32 indices of vertices; the three belong to one link, and look
            counter-clockwise from outside.
        link_of_vertex: (V,) int32 index into `link_names`.
        link_names: All links of the robot, also those without a surface, in the order of
            `Kinematics.link_names`.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    link_of_vertex: NDArray[np.int32]
    link_names: tuple[str, ...]

    @classmethod
    def from_meshes(
        cls, meshes: Sequence[trimesh.Trimesh | None], link_names: Sequence[str]
    ) -> RobotSurface:
        """Merge one mesh per link (None for a link without a surface)."""
        vertices = [np.zeros((0, 3), np.float32)]
        faces = [np.zeros((0, 3), np.int32)]
        links = [np.zeros(0, np.int32)]
        count = 0
        for link, mesh in enumerate(meshes):
            if mesh is None or len(mesh.faces) == 0:
                continue
            vertices.append(np.asarray(mesh.vertices, dtype=np.float32))
            faces.append((np.asarray(mesh.faces) + count).astype(np.int32))
            links.append(np.full(len(mesh.vertices), link, np.int32))
            count += len(mesh.vertices)
        return cls(
            np.concatenate(vertices),
            np.concatenate(faces),
            np.concatenate(links),
            tuple(link_names),
        )

    @property
    def link_of_face(self) -> NDArray[np.int32]:
        """(F,) index of each triangle's link in `link_names`."""
        return self.link_of_vertex[self.faces[:, 0]]

    def simplified(self, cell_m: float) -> RobotSurface:
        """Return a coarser surface: all vertices of a link within one cell become one.

        See `cluster_vertices`. The result is kept, since a solve asks for the same few
        levels of detail over and over.

        Args:
            cell_m: Edge length of the cells in metres; 0 returns the surface itself.
        """
        if cell_m == 0.0:
            return self
        if cell_m not in self._levels_of_detail:
            vertices, faces, links = cluster_vertices(
                self.vertices, self.faces, self.link_of_vertex, cell_m
            )
            self._levels_of_detail[cell_m] = RobotSurface(vertices, faces, links, self.link_names)
        return self._levels_of_detail[cell_m]

    @cached_property
    def _levels_of_detail(self) -> dict[float, RobotSurface]:
        return {}

    def without_links(self, names: Collection[str]) -> RobotSurface:
        """Return the surface less that of some links; `link_names` stay as they are.

        Raises:
            RobotError: A name is not that of a link.
        """
        if unknown := sorted(set(names) - set(self.link_names)):
            raise RobotError(f"no link '{unknown[0]}'; there are: {', '.join(self.link_names)}")
        dropped = np.isin(np.array(self.link_names), list(names))
        keep_vertex = ~dropped[self.link_of_vertex]
        new_index = np.cumsum(keep_vertex, dtype=np.int32) - 1
        return RobotSurface(
            self.vertices[keep_vertex],
            new_index[self.faces[keep_vertex[self.faces[:, 0]]]].astype(np.int32),
            self.link_of_vertex[keep_vertex],
            self.link_names,
        )

    def sample(self, count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Draw points evenly over the area.

        Returns:
            Points (count, 3) in the frame of their link, and (count,) their links' indices.
        """
        corners = self.vertices[self.faces].astype(np.float64)
        edges = corners[:, 1:] - corners[:, :1]
        areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=-1)
        rng = np.random.default_rng(seed)
        face = rng.choice(len(areas), size=count, p=areas / areas.sum())
        weights = rng.random((count, 2))
        outside = weights.sum(1) > 1
        weights[outside] = 1 - weights[outside]
        points = corners[face, 0] + np.einsum("nk,nkd->nd", weights, edges[face])
        return points.astype(np.float32), self.link_of_face[face]


def load_mesh(path: Path) -> trimesh.Trimesh:
    """Load all triangles of a mesh file (dae, stl, obj and what else trimesh reads), in metres.

    As RViz does, the unit of a Collada file is applied and its up axis is not; other formats are
    taken to be in metres.

    Raises:
        RobotError: The file cannot be read or has no triangles.
    """
    try:
        if path.suffix.lower() == ".dae":
            mesh = _load_collada(path)
        else:
            mesh = trimesh.load_mesh(path, process=False, skip_materials=True)
    except Exception as error:  # the readers of the many formats raise anything
        raise RobotError(f"cannot read mesh {path}: {error}") from error
    if not isinstance(mesh, trimesh.Trimesh) or len(mesh.faces) == 0:
        raise RobotError(f"mesh {path} has no triangles: export it again")
    return welded(mesh.vertices, mesh.faces)


def welded(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> trimesh.Trimesh:
    """Return the mesh with equal vertices merged, without repeated, collapsed and unused parts."""
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    if len(faces):
        mesh.merge_vertices(merge_tex=True, merge_norm=True)
        collapsed = (mesh.faces == np.roll(mesh.faces, 1, axis=1)).any(axis=1)
        mesh.update_faces(mesh.unique_faces() & ~collapsed)
        mesh.remove_unreferenced_vertices()
    return mesh


def _load_collada(path: Path) -> trimesh.Trimesh:
    """Load a Collada file through its node transforms.

    `trimesh.load` would do the same but leaves the unit to the caller and reads every texture.
    """
    document = collada.Collada(str(path), ignore=_COLLADA_IGNORED)
    vertices, faces, count = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], 0
    for geometry in document.scene.objects("geometry"):
        for primitive in geometry.primitives():
            if isinstance(primitive, collada.polylist.BoundPolylist):
                primitive = primitive.triangleset()
            if isinstance(primitive, collada.triangleset.BoundTriangleSet) and len(primitive):
                mirrored = np.linalg.det(geometry.matrix[:3, :3]) < 0
                corners = primitive.vertex_index[:, ::-1] if mirrored else primitive.vertex_index
                vertices.append(primitive.vertex)
                faces.append(corners + count)
                count += len(primitive.vertex)
    unit_m = document.assetInfo.unitmeter or 1.0
    return trimesh.Trimesh(unit_m * np.concatenate(vertices), np.concatenate(faces), process=False)


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
