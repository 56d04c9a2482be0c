# SPDX-License-Identifier: Apache-2.0
"""Which pixels of an image differ from the other images of a camera that stands still."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# The median of these many images is free of a robot that does not rest in half of them.
MAX_SAMPLES = 15
MIN_IMAGES = 3
# Grey levels; JPEG and sensor noise stay below.
MIN_CHANGE = 16.0
NOISE_FACTOR = 6.0


def motion_map(
    image: NDArray[np.uint8], others: Sequence[NDArray[np.uint8]]
) -> NDArray[np.bool_] | None:
    """Return the (H, W) pixels at which an image differs from the median of a recording.

    What stands in one place in most images is no motion: a robot's base, or a robot that rests.

    Args:
        image: (H, W, 3) RGB.
        others: (H, W, 3) RGB images of the same camera at other times, ``image`` may be among
            them; at most 15 are used, spread evenly.

    Returns:
        None if there are fewer than 3 images, for then nothing tells what moved.
    """
    if len(others) < MIN_IMAGES:
        return None
    count = min(len(others), MAX_SAMPLES)
    indices = np.linspace(0, len(others) - 1, count).round().astype(int)
    median = np.median(np.stack([others[k] for k in indices]), axis=0).astype(np.float32)
    difference = image.astype(np.float32) - median
    # A lamp or the exposure shifts all pixels alike.
    difference -= np.median(difference, axis=(0, 1))
    change = np.abs(difference).max(axis=2)
    threshold = max(MIN_CHANGE, NOISE_FACTOR * float(np.median(change)))
    changed = cv2.medianBlur((change > threshold).astype(np.uint8), 5)
    return np.asarray(changed > 0)
