# SPDX-License-Identifier: Apache-2.0
"""Motion of the camera, from that of the background from image to image.

Corners outside of the robot are followed from one image to all others (pyramidal Lucas-Kanade,
forth and back); what most of them do in common is the camera's motion. Corners on the robot or on
a passer-by go their own ways and are voted down.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.diagnosis.scene_images import SceneImages
from calib_all_ros.monitoring.background import (
    common_motion,
    flattened_grey,
    spread_corners,
)

Affine = NDArray[np.float64]

WINDOW_PX = 15
PYRAMID_LEVELS = 4
# A corner is found again when the way back ends this close to where it began.
RETURN_PX = 0.5
MIN_CORNERS = 12
MIN_COHERENT = 0.5
# Standard deviation of their places, share of the image; 0.29 where they are everywhere.
MIN_SPREAD = (0.12, 0.08)
MIN_IMAGES = 4
# Fewer corners found than this share call for a search over the whole image.
LOST_SHARE = 0.3
FEATURES = 600
MATCHED_PX = 3.0
# Smaller displacements, in small pixels, are not worth an interpolation.
STEADY_PX = 0.15


@dataclass(frozen=True, eq=False)
class BackgroundMotion:
    """How the background moved.

    Attributes:
        known: (N,) images in which the motion could be measured.
        motion: (N, 2, 3) affine motion of pixels of the images of the solve from the reference
            image to each image; NaN where not known.
        places: (P, 2) pixels of the reference image at which displacements are measured.
        reference: Index of the reference image.
    """

    known: NDArray[np.bool_]
    motion: NDArray[np.float64]
    places: NDArray[np.float64]
    reference: int

    @property
    def displacement_px(self) -> NDArray[np.float64]:
        """(N, P, 2) displacements of the places; NaN where not known."""
        A, t = self.motion[:, :, :2], self.motion[:, :, 2]
        moved = np.einsum("nij,pj->npi", A, self.places) + t[:, None]
        return np.asarray(moved - self.places)


def background_motion(scene: SceneImages) -> BackgroundMotion | None:
    """Measure how the background moves; None where there is too little of it to say."""
    count = len(scene)
    if count < MIN_IMAGES:
        return None
    images = [flattened_grey(image) for image in scene.grey]
    covered = scene.covered_grey
    reference = count // 2
    corners = spread_corners(images[reference], ~covered[reference])
    if len(corners) < MIN_CORNERS:
        return None
    motion = np.full((count, 2, 3), np.nan)
    motion[reference] = np.eye(2, 3)
    votes = np.zeros(len(corners), dtype=int)
    for order in (range(reference + 1, count), range(reference - 1, -1, -1)):
        guess: Affine = np.eye(2, 3)
        for i in order:
            found = _follow(images[reference], images[i], corners, covered[i], guess)
            if found is None:
                guess = _matched(images[reference], images[i], covered[reference] | covered[i])
                found = _follow(images[reference], images[i], corners, covered[i], guess)
            if found is not None:
                motion[i], votes[found[1]] = found[0], votes[found[1]] + 1
                guess = motion[i]
    known = np.isfinite(motion).all(axis=(1, 2))
    if np.count_nonzero(known) < max(MIN_IMAGES, count / 2):
        return None
    usual = votes >= 0.5 * votes.max()
    if np.count_nonzero(usual) < MIN_CORNERS:
        return None
    scale = scene.grey_scale
    # A pixel u of the images of the solve is s (u + 0.5) - 0.5 here.
    places = (corners[usual].astype(np.float64) + 0.5) / scale - 0.5
    offset = 0.5 / scale - 0.5
    full = motion.copy()
    full[:, :, 2] = motion[:, :, 2] / scale + offset - motion[:, :, :2] @ np.full(2, offset)
    return BackgroundMotion(known, full, places, reference)


def _follow(
    reference: NDArray[np.uint8],
    image: NDArray[np.uint8],
    corners: NDArray[np.float32],
    covered: NDArray[np.bool_],
    guess: Affine,
) -> tuple[Affine, NDArray[np.bool_]] | None:
    """Return the common motion and the (C,) corners that share it; None if there is none."""
    start = (corners @ guess[:, :2].T + guess[:, 2]).astype(np.float32)
    forth, ok_forth, _ = cv2.calcOpticalFlowPyrLK(
        reference, image, corners[:, None], start[:, None].copy(),
        winSize=(WINDOW_PX, WINDOW_PX), maxLevel=PYRAMID_LEVELS, flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )  # fmt: skip
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(
        image, reference, forth, corners[:, None].copy(),
        winSize=(WINDOW_PX, WINDOW_PX), maxLevel=0, flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )  # fmt: skip
    forth, back = forth[:, 0], back[:, 0]
    height, width = image.shape
    u = np.clip(np.rint(forth[:, 0]), 0, width - 1).astype(int)
    v = np.clip(np.rint(forth[:, 1]), 0, height - 1).astype(int)
    inside = (forth >= 0).all(axis=1) & (forth[:, 0] < width) & (forth[:, 1] < height)
    found = (ok_forth[:, 0] > 0) & (ok_back[:, 0] > 0) & inside & ~covered[v, u]
    found &= np.linalg.norm(back - corners, axis=1) < RETURN_PX
    if np.count_nonzero(found) < max(MIN_CORNERS, LOST_SHARE * len(corners)):
        return None
    motion, coherent = common_motion(corners[found], forth[found])
    shared = np.zeros(len(corners), dtype=bool)
    shared[np.flatnonzero(found)[coherent]] = True
    if motion is None or np.mean(coherent) < MIN_COHERENT:
        return None
    # Somebody's shirt moves in common, too, but is not all over the image.
    spread = np.std(corners[shared], axis=0) / (width, height) if shared.any() else np.zeros(2)
    if np.count_nonzero(shared) < MIN_CORNERS or (spread < MIN_SPREAD).any():
        return None
    return motion, shared


def _matched(
    first: NDArray[np.uint8], second: NDArray[np.uint8], covered: NDArray[np.bool_]
) -> Affine:
    """Return the motion between two images by what their corners look like, wherever they are.

    It is the identity where too few are recognised.
    """
    detector = cv2.ORB.create(FEATURES)
    free = (~covered).astype(np.uint8)
    corners, looks = zip(
        *(detector.detectAndCompute(image, free) for image in (first, second)), strict=True
    )
    still: Affine = np.eye(2, 3)
    if any(look is None or len(look) < MIN_CORNERS for look in looks):
        return still
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(*looks)
    if len(matches) < MIN_CORNERS:
        return still
    start = np.array([corners[0][match.queryIdx].pt for match in matches])
    found = np.array([corners[1][match.trainIdx].pt for match in matches])
    motion, inliers = cv2.estimateAffinePartial2D(
        start, found, method=cv2.RANSAC, ransacReprojThreshold=MATCHED_PX, maxIters=500
    )
    if motion is None or np.count_nonzero(inliers) < MIN_CORNERS:
        return still
    return np.asarray(motion, dtype=np.float64)


def steadied(
    scene: SceneImages, motion: BackgroundMotion | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the small images with the camera's motion taken out.

    Returns:
        (N, h, w, 3) images as seen from the reference image's camera, and (N, h, w) where nothing
        is known of them.
    """
    images, unseen = scene.small.copy(), np.zeros(scene.robot.shape, dtype=bool)
    if motion is None:
        return images, unseen
    _, height, width = scene.robot.shape
    size = width, height
    moved = np.sqrt(np.square(motion.displacement_px).sum(axis=2).mean(axis=1)) * scene.scale
    for i in np.flatnonzero(~motion.known | (moved > STEADY_PX)):
        if not motion.known[i]:
            unseen[i] = True
            continue
        A, t = motion.motion[i, :, :2], motion.motion[i, :, 2]
        offset = 0.5 / scene.scale - 0.5
        small = np.column_stack([A, scene.scale * (A @ np.full(2, offset) + t - offset)])
        # The motion maps the reference image's pixels to this one's: warpAffine's inverse.
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        images[i] = cv2.warpAffine(scene.small[i], small, size, flags=flags)
        inside = cv2.warpAffine(np.ones((height, width), np.uint8), small, size, flags=flags)
        unseen[i] = inside == 0
    return images, unseen
