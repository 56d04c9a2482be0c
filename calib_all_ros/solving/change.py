# SPDX-License-Identifier: Apache-2.0
"""What changes between images of a camera that stands still."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.resizing import shrink

# Otsu's threshold separates the robot from its shadows as well as from noise; a little below it
# is where a pixel is as likely changed as not.
OTSU_SHARE = 0.8
MIN_THRESHOLD = 10.0


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
