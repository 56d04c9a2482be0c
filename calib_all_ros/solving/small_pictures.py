# SPDX-License-Identifier: Apache-2.0
"""Silhouettes and changes on small pictures, for scores of thousands of camera poses.

Everything is tiny on purpose (about 64 x 48 pixels, a hundred faces a link): the search needs
many hypotheses more than it needs detail.
"""

from __future__ import annotations

from itertools import combinations

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.rectification import shrink
from calib_all_ros.rendering.rasteriser import rasterise_frame
from calib_all_ros.robot.surface import RobotSurface

SAMPLED_POINTS = 150
# Otsu's threshold separates the robot from its shadows as well as from noise; a little below it
# is where a pixel is as likely changed as not.
OTSU_SHARE = 0.8
MIN_THRESHOLD = 10.0


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


def shrink_images(images: NDArray[np.uint8], width: int) -> NDArray[np.float32]:
    """Average (N, H, W, 3) images down to ``width`` pixels, one exposure for all.

    Returns:
        (N, h, w, 3) images with `exposure_gains` applied, so that an automatic exposure is not
        taken for motion.
    """
    scale = width / images.shape[2]
    small = np.stack([shrink(image, scale) for image in images]).astype(np.float32)
    return small * exposure_gains(small)[:, None, None, :]


def exposure_gains(images: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the (N, 3) factors that bring each image's exposure to that of the median image.

    The gain of an image is the median over its pixels of the ratio to the per-pixel median
    image: most pixels are background, and the background does not move.
    """
    flat = images.reshape(len(images), -1, 3).astype(np.float32)
    reference = np.median(flat, axis=0)
    bright = (reference > 20.0) & (reference < 235.0)
    gains = np.ones((len(images), 3), dtype=np.float32)
    for channel in range(3):
        use = bright[:, channel]
        if np.count_nonzero(use) > 0.1 * len(use):
            ratio = reference[use, channel] / np.maximum(flat[:, use, channel], 1.0)
            gains[:, channel] = np.median(ratio, axis=1)
    return gains


def change_probability(
    small: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return, for every pair of (N, h, w, 3) images, where something changed.

    Returns:
        pairs: (P, 2) indices.
        change: (P, h, w) probability between 0 and 1.
    """
    pairs = np.array(list(combinations(range(len(small)), 2)), dtype=np.int32)
    change = np.empty((len(pairs), *small.shape[1:3]), dtype=np.float32)
    for p, (i, j) in enumerate(pairs):
        difference = np.abs(small[i] - small[j]).max(axis=2)
        otsu, _ = cv2.threshold(
            np.clip(difference, 0, 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU
        )
        threshold = max(OTSU_SHARE * otsu, MIN_THRESHOLD)
        change[p] = 1.0 / (1.0 + np.exp(-(difference - threshold) / (0.25 * threshold)))
    return pairs, change
