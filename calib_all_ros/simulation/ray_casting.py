# SPDX-License-Identifier: Apache-2.0
"""First hits of viewing rays on a robot of rigid links.

Independent of the rasteriser of this package on purpose: what is measured with simulated images
must not share its conventions and mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.robot.surface import RobotSurface

_CREASE_COSINE = np.cos(np.radians(35.0))
_HULL_MARGIN_PX = 3
_EDGE_POINTS = 24
_NEAREST_M = 0.01


@dataclass(frozen=True, eq=False)
class Hits:
    """First hits of R rays.

    Attributes:
        link: (R,) index of the link, -1 for none.
        distance: (R,) multiple of the ray's direction, inf for none.
        normal: (R, 3) unit normal in the frame of the rays, towards where the ray came from.
    """

    link: NDArray[np.int16]
    distance: NDArray[np.float64]
    normal: NDArray[np.float64]


class RayCaster:
    """Casts rays on the links of a robot.

    The search trees are built once, one for each link in its own frame; rays are carried into it.
    """

    def __init__(self, surface: RobotSurface) -> None:
        """Build the search trees of all links that have a surface."""
        self._meshes: dict[int, trimesh.Trimesh] = {}
        self._corner_normals: dict[int, NDArray[np.float64]] = {}
        for link in np.unique(surface.link_of_face):
            mesh = trimesh.Trimesh(
                surface.vertices, surface.faces[surface.link_of_face == link], process=False
            )
            mesh.remove_unreferenced_vertices()
            self._meshes[int(link)] = mesh
            self._corner_normals[int(link)] = _corner_normals(mesh)

    def candidate_pixels(
        self, T_camera_link: NDArray[np.float64], camera: Camera
    ) -> dict[int, NDArray[np.bool_]]:
        """Return for each link an (H, W) mask that contains every pixel that can show it.

        Args:
            T_camera_link: (L, 4, 4) poses of the links.
            camera: The camera, with its distortion.
        """
        masks = {}
        for link, mesh in self._meshes.items():
            points = se3.transform(T_camera_link[link], mesh.vertices)
            mask = np.zeros((camera.height, camera.width), np.uint8)
            if (points[:, 2] < _NEAREST_M).any():
                masks[link] = np.full(mask.shape, bool((points[:, 2] > 0).any()))
                continue
            # The hull is taken before the distortion, which does not keep it convex.
            flat = (points[:, :2] / points[:, 2:]).astype(np.float32)
            hull = cv2.convexHull(flat)[:, 0].astype(np.float64)
            steps = np.linspace(0.0, 1.0, _EDGE_POINTS, endpoint=False)[:, None]
            edges = [
                a + steps * (b - a) for a, b in zip(hull, np.roll(hull, -1, axis=0), strict=True)
            ]
            border = np.concatenate(edges)
            pixels = camera.project(np.concatenate([border, np.ones((len(border), 1))], axis=1))
            if np.isnan(pixels).any():
                masks[link] = np.ones(mask.shape, bool)
                continue
            outline = np.clip(np.round(pixels), -10_000, 10_000).astype(np.int32)
            cv2.fillPoly(mask, [outline], 1)
            cv2.polylines(mask, [outline], True, 1, thickness=2 * _HULL_MARGIN_PX)
            masks[link] = mask.astype(bool)
        return masks

    def first_hits(
        self,
        origins: NDArray[np.float64],
        directions: NDArray[np.float64],
        T_camera_link: NDArray[np.float64],
        reaches: dict[int, NDArray[np.bool_]],
    ) -> Hits:
        """Return the first hit of each ray.

        Args:
            origins: (3,) or (R, 3) starts of the rays in the camera frame, metres.
            directions: (R, 3) directions, of any length.
            T_camera_link: (L, 4, 4) poses of the links.
            reaches: For each link the (R,) rays to try on it.
        """
        count = len(directions)
        origins = np.broadcast_to(origins, (count, 3))
        link_hit = np.full(count, -1, np.int16)
        distance = np.full(count, np.inf)
        normal = np.zeros((count, 3))
        for link, reach in reaches.items():
            tried = np.flatnonzero(reach)
            if len(tried) == 0:
                continue
            mesh, T_link_camera = self._meshes[link], se3.invert(T_camera_link[link])
            start = se3.transform(T_link_camera, origins[tried])
            along = directions[tried] @ T_link_camera[:3, :3].T
            face = np.asarray(mesh.ray.intersects_first(start, along))
            hit = face >= 0
            tried, start, along, face = tried[hit], start[hit], along[hit], face[hit]
            corners = mesh.triangles[face]
            face_normal = mesh.face_normals[face]
            away = np.einsum("rk,rk->r", corners[:, 0] - start, face_normal)
            speed = np.einsum("rk,rk->r", along, face_normal)
            with np.errstate(divide="ignore", invalid="ignore"):
                t = away / speed
            nearer = np.isfinite(t) & (t < distance[tried])
            points = start[nearer] + t[nearer, None] * along[nearer]
            shading = _interpolated(
                corners[nearer], self._corner_normals[link][face[nearer]], points
            )
            shading *= np.where(speed[nearer] > 0, -1.0, 1.0)[:, None]
            won = tried[nearer]
            link_hit[won], distance[won] = link, t[nearer]
            normal[won] = shading @ T_camera_link[link][:3, :3].T
        return Hits(link_hit, distance, normal)

    def blocked(
        self,
        origins: NDArray[np.float64],
        direction: NDArray[np.float64],
        T_camera_link: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Return which of (R, 3) points see the robot in one (3,) direction."""
        across = np.linalg.svd(direction[None])[2][1:]
        where = origins @ across.T
        result = np.zeros(len(origins), bool)
        for link, mesh in self._meshes.items():
            T_link_camera = se3.invert(T_camera_link[link])
            shade = se3.transform(T_camera_link[link], mesh.bounding_box.vertices) @ across.T
            possible = ((where >= shade.min(axis=0)) & (where <= shade.max(axis=0))).all(axis=1)
            tried = np.flatnonzero(possible & ~result)
            if len(tried):
                start = se3.transform(T_link_camera, origins[tried])
                along = np.tile(T_link_camera[:3, :3] @ direction, (len(tried), 1))
                result[tried] = np.asarray(mesh.ray.intersects_first(start, along)) >= 0
        return result


def _corner_normals(mesh: trimesh.Trimesh) -> NDArray[np.float64]:
    """Return the (F, 3, 3) normals at each face's corners, smooth except across sharp edges."""
    smooth = np.asarray(mesh.vertex_normals)[mesh.faces]
    flat = np.broadcast_to(np.asarray(mesh.face_normals)[:, None], smooth.shape)
    same = np.einsum("fck,fck->fc", smooth, flat) > _CREASE_COSINE
    return np.where(same[..., None], smooth, flat)


def _interpolated(
    corners: NDArray[np.float64], values: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (R, 3) unit vectors between those of (R, 3, 3) corners at points of the triangles."""
    # The weight of a corner is the share of the triangle that lies opposite to it.
    from_point = corners - points[:, None]
    opposite = np.cross(np.roll(from_point, -1, axis=1), np.roll(from_point, -2, axis=1))
    weights = np.linalg.norm(opposite, axis=2)
    mixed = np.einsum("rc,rck->rk", weights, values)
    length = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(mixed / np.maximum(length, 1e-18))
