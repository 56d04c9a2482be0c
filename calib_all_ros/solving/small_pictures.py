# SPDX-License-Identifier: Apache-2.0
"""Silhouettes and changes on small pictures, for scores of thousands of camera poses.

Everything is tiny on purpose (about 64 x 48 pixels, a hundred faces a link): the search needs
many hypotheses more than it needs detail.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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
# How often a pixel changes that the robot covers in one image of two, in both, and in none. At true
# poses it is 0.65 to 0.86, 0.25 to 0.53 and 0.03 to 0.23 (benchmarks/RESULTS.md, Start search).
MOVED_RATE = 0.7
STAYED_RATE = 0.35
QUIET_RATE = (0.03, 0.5)
# Share of the pixels in which something else moves.
OTHER_SHARE = 0.02


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

    def change_gain(
        self, T_camera_base: NDArray[np.float64], camera: Camera, table: ChangeTable
    ) -> NDArray[np.float64]:
        """Return how much of what there is to explain (H, 4, 4) hypotheses explain.

        Args:
            T_camera_base: (H, 4, 4) hypotheses.
            camera: Camera of the table's pictures.
            table: What the change between F images says.

        Returns:
            (H,) log-likelihood gain over no robot at all, as a share of the largest gain that any
            coverage reaches; 1 is perfect, negative values are worse than no robot.
        """
        gains = np.empty(len(T_camera_base))
        poses = np.ascontiguousarray(T_camera_base[:, None, :3, :])
        _sum_gains(self.vertices, self._links, self.faces, poses, camera.K, table.gain, gains)
        return gains / max(float(table.most.sum()), 1e-9)

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


@dataclass(frozen=True, eq=False)
class ChangeTable:
    """What the change between F images says about the robot's coverage of each pixel.

    A pixel's past is one of two: its background is still, and it changes where the robot comes and
    goes; or something else moves there, a person, a screen, a shadow, and anything may change. A
    coverage is scored by the likelihood of both together, so that the robot's motion must be seen
    where it is predicted, while other change costs next to nothing. Where the robot is in both
    images of a pair, it changes now and then as it turns.

    Attributes:
        gain: (h, w, 2^F) log-likelihood, over that of no robot, if the pixel is covered in the
            images of a pattern: bit n stands for image n.
        change: (P, h, w) probability that a pixel changed between two of the images.
    """

    gain: NDArray[np.float32]
    change: NDArray[np.float32]

    @classmethod
    def of(cls, small: NDArray[np.float32]) -> ChangeTable:
        """Compare (F, h, w, 3) images of one exposure, F at most 12."""
        pairs, change = change_probability(small)
        seen = change.reshape(len(pairs), -1).astype(np.float64)

        def log_likelihood(rate: float | NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(np.log(rate * seen + (1.0 - rate) * (1.0 - seen)))

        # Exposure and noise differ from pair to pair.
        quiet = log_likelihood(np.clip(seen.mean(axis=1), *QUIET_RATE)[:, None])
        pattern = np.arange(2 ** len(small))[:, None]
        first, second = (pattern >> pairs.T[:, None]) & 1
        moved, stayed = (first ^ second).astype(float), (first & second).astype(float)
        still = quiet.sum(axis=0) + moved @ (log_likelihood(MOVED_RATE) - quiet)
        still += stayed @ (log_likelihood(STAYED_RATE) - quiet)
        other = np.log(OTHER_SHARE) + len(pairs) * np.log(0.5)
        both = np.logaddexp(np.log(1.0 - OTHER_SHARE) + still, other)
        gain = np.ascontiguousarray((both - both[0]).T, dtype=np.float32)
        return cls(gain.reshape(*small.shape[1:3], -1), change)

    @cached_property
    def most(self) -> NDArray[np.float32]:
        """(h, w) the largest gain of each pixel."""
        return np.asarray(self.gain.max(axis=2))


@numba.njit(parallel=True, cache=True, nogil=True)
def _sum_gains(vertices, links, faces, poses, K, gain, sums):  # type: ignore[no-untyped-def]
    height, width = gain.shape[:2]
    for h in numba.prange(poses.shape[0]):
        pattern = np.zeros((height, width), dtype=np.int64)
        picture = np.empty((height, width), dtype=np.int16)
        depth = np.empty((1, 1), dtype=np.float32)
        for n in range(vertices.shape[0]):
            rasterise_frame(vertices[n], links, faces, poses[h], K, False, picture, depth)
            for v in range(height):
                for u in range(width):
                    pattern[v, u] |= (picture[v, u] >= 0) << n
        total = 0.0
        for v in range(height):
            for u in range(width):
                total += gain[v, u, pattern[v, u]]
        sums[h] = total


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
