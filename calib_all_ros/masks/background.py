# SPDX-License-Identifier: Apache-2.0
"""The background behind a moving robot, from a camera that stands still."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

# Camera noise after JPEG; a spread estimated from few samples can be smaller by luck.
MIN_SPREAD = 3.0
MIN_SAMPLES = 3
# Of a normal distribution, over its median absolute deviation.
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Background:
    """What each pixel looks like without the robot.

    Attributes:
        mean: (H, W, 3) robust mean colour, 0 to 255; meaningless where unknown.
        spread: (H, W) robust standard deviation of a channel.
        samples: (H, W) in how many frames the pixel was seen without the robot.
    """

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    samples: NDArray[np.int32]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(H, W) pixels that were seen often enough."""
        return self.samples >= MIN_SAMPLES


def estimate_background(
    images: NDArray[np.float32], covered: NDArray[np.bool_], margin_px: int
) -> Background:
    """Estimate the background from the frames in which each pixel is not covered.

    Args:
        images: (N, H, W, 3) colours of one exposure.
        covered: (N, H, W) where the robot may be, with a margin for the pose's error.
        margin_px: The background is of interest up to so far from what is ever covered; farther
            away it stays unknown.
    """
    ever = np.asarray(covered.any(axis=0), dtype=np.uint8)
    size = 2 * margin_px + 1
    wanted = cv2.dilate(ever, np.ones((size, size), np.uint8)) > 0
    height, width = images.shape[1:3]
    background = Background(
        np.zeros((height, width, 3), np.float32),
        np.full((height, width), MIN_SPREAD, np.float32),
        np.zeros((height, width), np.int32),
    )
    _estimate(images, covered, wanted, background.mean, background.spread, background.samples)
    return background


@numba.njit(parallel=True, cache=True, nogil=True)
def _estimate(images, covered, wanted, mean, spread, samples):  # type: ignore[no-untyped-def]
    count, height, width = covered.shape
    for v in numba.prange(height):
        values = np.empty(count, dtype=np.float32)
        for u in range(width):
            if not wanted[v, u]:
                continue
            total = 0.0
            seen = 0
            for channel in range(3):
                seen = 0
                for n in range(count):
                    if not covered[n, v, u]:
                        values[seen] = images[n, v, u, channel]
                        seen += 1
                if seen == 0:
                    break
                middle = np.median(values[:seen])
                mean[v, u, channel] = middle
                for n in range(seen):
                    values[n] = abs(values[n] - middle)
                total += np.median(values[:seen])
            samples[v, u] = seen
            if seen > 0:
                spread[v, u] = max(np.float32(MIN_SPREAD), np.float32(MAD_TO_SIGMA * total / 3.0))
