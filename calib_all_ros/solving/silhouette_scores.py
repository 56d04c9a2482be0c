# SPDX-License-Identifier: Apache-2.0
"""Score thousands of camera hypotheses on small silhouettes.

Everything is tiny on purpose (about 64 x 48 pixels, a hundred faces a link): the search needs
many hypotheses more than it needs detail.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.rasteriser import rasterise_frame
from calib_all_ros.robot.surface import RobotSurface

SAMPLED_POINTS = 150


def posed_points(surface: RobotSurface, T_base_link: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (F, 150, 3) points spread over the surface, base frame, at (F, L, 4, 4) link poses."""
    points, links = surface.sample(SAMPLED_POINTS, seed=0)
    T = T_base_link[:, links]
    return np.asarray(np.einsum("fpij,pj->fpi", T[..., :3, :3], points) + T[..., :3, 3])


class PosedRobot:
    """The robot's mesh in the base frame at F configurations.

    Attributes:
        vertices: (F, V, 3) metres, base frame.
        faces: (T, 3) vertex indices.
    """

    def __init__(self, surface: RobotSurface, T_base_link: NDArray[np.float64]) -> None:
        """Pose ``surface`` by (F, L, 4, 4) link poses."""
        T = T_base_link[:, surface.link_of_vertex]
        vertices = se3.transform(T, surface.vertices[None, :, None, :])[:, :, 0]
        self.vertices = np.ascontiguousarray(vertices, dtype=np.float32)
        self.faces = surface.faces
        self._links = np.zeros(len(surface.vertices), dtype=np.int32)

    def mask_overlap(
        self, T_camera_base: NDArray[np.float64], camera: Camera, masks: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return, for (H, 4, 4) hypotheses, the mean overlap with the (F, h, w) masks."""
        scores = np.empty(len(T_camera_base))
        poses = np.ascontiguousarray(T_camera_base[:, None, :3, :])
        _score_masks(self.vertices, self._links, self.faces, poses, camera.K, masks, scores)
        return scores

    def change_overlap(
        self,
        T_camera_base: NDArray[np.float64],
        camera: Camera,
        pairs: NDArray[np.int32],
        change: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Return how well (H, 4, 4) hypotheses explain what changes between images.

        Where one silhouette covers a pixel and the other does not, the image must change; where
        neither does, it must not; where both do, nothing can be said.

        Args:
            T_camera_base: (H, 4, 4) hypotheses.
            camera: Camera of the change maps.
            pairs: (P, 2) indices of frames.
            change: (P, h, w) probability that a pixel changed between the two frames.

        Returns:
            (H,) mean overlap of predicted and observed change over the pairs.
        """
        scores = np.empty(len(T_camera_base))
        poses = np.ascontiguousarray(T_camera_base[:, None, :3, :])
        _score_change(
            self.vertices, self._links, self.faces, poses, camera.K, pairs, change, scores
        )
        return scores


@numba.njit(parallel=True, cache=True, nogil=True)
def _score_masks(vertices, links, faces, poses, K, masks, scores):  # type: ignore[no-untyped-def]
    frames, height, width = masks.shape
    for h in numba.prange(poses.shape[0]):
        picture = np.empty((height, width), dtype=np.int16)
        depth = np.empty((1, 1), dtype=np.float32)
        total = 0.0
        for n in range(frames):
            rasterise_frame(vertices[n], links, faces, poses[h], K, False, picture, depth)
            both = 0
            either = 0
            for v in range(height):
                for u in range(width):
                    robot = picture[v, u] >= 0
                    both += robot and masks[n, v, u]
                    either += robot or masks[n, v, u]
            total += both / max(either, 1)
        scores[h] = total / frames


@numba.njit(parallel=True, cache=True, nogil=True)
def _score_change(vertices, links, faces, poses, K, pairs, change, scores):  # type: ignore[no-untyped-def]
    frames = vertices.shape[0]
    height, width = change.shape[1:]
    for h in numba.prange(poses.shape[0]):
        pictures = np.empty((frames, height, width), dtype=np.int16)
        depth = np.empty((1, 1), dtype=np.float32)
        for n in range(frames):
            rasterise_frame(vertices[n], links, faces, poses[h], K, False, pictures[n], depth)
        total = 0.0
        for p in range(pairs.shape[0]):
            first = pictures[pairs[p, 0]]
            second = pictures[pairs[p, 1]]
            both = np.float32(0.0)
            either = np.float32(1e-3)
            for v in range(height):
                for u in range(width):
                    a = first[v, u] >= 0
                    b = second[v, u] >= 0
                    if a and b:
                        continue
                    c = change[p, v, u]
                    if a or b:
                        both += c
                        either += 1.0
                    else:
                        either += c
            total += both / either
        scores[h] = total / pairs.shape[0]
