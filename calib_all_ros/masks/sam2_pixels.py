# SPDX-License-Identifier: Apache-2.0
"""Between the pixels of an image and those of SAM 2, which sees every image as a square.

Pixel centres lie at integers, so an image of W pixels reaches from -0.5 to W - 0.5.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Labels of SAM's prompt encoder; the last two are the corners of a box.
OFF, ON, TOP_LEFT, BOTTOM_RIGHT = 0, 1, 2, 3


def model_points(
    points: NDArray[np.float64], image_shape: tuple[int, ...], model_size: int
) -> NDArray[np.float32]:
    """Return where (..., 2) points u, v of an image lie in the square that the model sees.

    Args:
        points: Pixels or corners of boxes.
        image_shape: (H, W, ...) of the image.
        model_size: Side of the square. Its pixel centres lie at integers too.
    """
    scale = model_size / np.array([image_shape[1], image_shape[0]], dtype=np.float64)
    return np.asarray((points + 0.5) * scale - 0.5, dtype=np.float32)


def image_masks(logits: NDArray[np.float32], image_shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return (K, H, W) masks at an image's resolution from (K, h, w) logits of the whole image.

    Bilinear, as the authors do, with the outer edges of both grids at the same place.
    """
    height, width = image_shape[:2]
    large = [cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in logits]
    return np.array([one > 0 for one in large]).reshape(len(logits), height, width)
