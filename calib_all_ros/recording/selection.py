# SPDX-License-Identifier: Apache-2.0
"""Which frames of a recording to calibrate from: sharp ones, in poses that differ."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

_SMALLEST_RANGE = 0.05
_BLURRED = 0.5


def sharpness(image: NDArray[np.uint8]) -> float:
    """Return how sharp an image is: the variance of its Laplacian, over its own variance.

    At half resolution, where sensor noise and JPEG blocks weigh less; divided by the variance of
    the grey values, so that a change of exposure does not count as blur. See Pech-Pacheco et al.,
    "Diatom autofocusing in brightfield microscopy", ICPR 2000.

    Args:
        image: RGB uint8 (H, W, 3).

    Returns:
        A number to compare frames of one camera by; 0 for a uniform image.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    half = np.asarray(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    laplacian = np.asarray(cv2.Laplacian(half, cv2.CV_32F))
    one_grey_value = 1.0
    return float(laplacian.var() / (half.var() + one_grey_value))


def select_frames(
    positions: ArrayLike,
    sharpness: ArrayLike,
    count: int,
    valid: ArrayLike | None = None,
) -> NDArray[np.intp]:
    """Choose frames whose robot poses are as different as can be.

    Greedy farthest-point selection (Gonzalez 1985) in joint space, each joint divided by its
    range over the valid frames (or 0.05 rad, so that the noise of a joint at rest does not count).
    It begins with the pose farthest from the mean. Frames with less than half the median sharpness
    are skipped, unless that leaves fewer than `count`; then the sharpest are kept.

    Args:
        positions: (N, J) joint positions.
        sharpness: (N,) of each frame.
        count: How many frames to choose.
        valid: (N,) whether a frame can be used; all if None.

    Returns:
        At most `count` indices, increasing. The same input gives the same answer.
    """
    poses = np.asarray(positions, dtype=np.float64)
    sharp = np.asarray(sharpness, dtype=np.float64)
    usable = np.ones(len(poses), dtype=bool) if valid is None else np.asarray(valid, dtype=bool)
    frames = np.flatnonzero(usable)
    if len(frames) <= count or count <= 0:
        return frames[: max(count, 0)]
    in_focus = frames[sharp[frames] >= _BLURRED * np.median(sharp[frames])]
    if len(in_focus) < count:
        in_focus = np.sort(frames[np.argsort(-sharp[frames], kind="stable")[:count]])
    scaled = poses[in_focus] / np.maximum(np.ptp(poses[frames], axis=0), _SMALLEST_RANGE)
    chosen = [int(np.argmax(np.linalg.norm(scaled - scaled.mean(axis=0), axis=1)))]
    distance = np.full(len(scaled), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[chosen[-1]], axis=1))
        # Frames in the same pose stay apart in the order of time, none is chosen twice.
        distance[chosen] = -1.0
        chosen.append(int(np.argmax(distance)))
    return np.sort(in_focus[chosen])
