# SPDX-License-Identifier: Apache-2.0
"""Smaller images and masks that agree with `Camera.scaled`."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_Number = np.integer[Any] | np.floating[Any]


def shrink(image: NDArray[_Number], scale: float) -> NDArray[_Number]:
    """Return an (H, W) or (H, W, C) image at ``scale`` times its size, averaged over areas.

    The camera's size is rounded to whole pixels, its intrinsics are not; so what the rounding
    leaves out is cut off, or repeated, at the right and lower border before the image is resized.
    Squeezing the whole image into the rounded size would shift what it shows by up to half a
    pixel.

    Args:
        image: uint8 or float32.
        scale: At most 1.
    """
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale == 1.0:
        return image
    right, below = round(size[0] / scale) - width, round(size[1] / scale) - height
    fitting: NDArray[_Number] = image[: height + min(below, 0), : width + min(right, 0)]
    if right > 0 or below > 0:
        fitting = cv2.copyMakeBorder(
            fitting, 0, max(below, 0), 0, max(right, 0), cv2.BORDER_REPLICATE
        )
    return np.asarray(cv2.resize(fitting, size, interpolation=cv2.INTER_AREA))


def shrink_mask(mask: NDArray[np.bool_], scale: float) -> NDArray[np.bool_]:
    """Return an (H, W) mask at ``scale`` times its size: the pixels at least half covered.

    Every other pixel that is exactly half covered is left out. At half the size these are many,
    and the mask would be a quarter of a pixel too fat with all of them, too thin without.
    """
    if scale == 1.0:
        return mask
    share = shrink(mask.astype(np.float32), scale)
    row, column = np.ogrid[: share.shape[0], : share.shape[1]]
    return np.asarray(share > np.where((row + column) % 2 == 0, 0.499, 0.501))
