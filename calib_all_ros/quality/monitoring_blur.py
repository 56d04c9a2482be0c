# SPDX-License-Identifier: Apache-2.0
"""Whether an image is blurred all over, compared with those before it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = (6, 8)
DARK = 10.0
# Only the parts of the image with most detail lose any when the image is blurred.
DETAILED_QUANTILE = 0.5
# Something in front of the camera leaves the detail in other parts as it is.
INTACT_QUANTILE = 0.75
# An image is blurred when even these parts have less than this share of their usual detail.
BLURRED_SHARE = 0.6
USUAL_RATE = 0.05

_LOGARITHM = np.log(np.arange(256, dtype=np.float32) + DARK)


class BlurCheck:
    """Knows how much detail each part of a camera's images usually has."""

    def __init__(self) -> None:
        self._usual: NDArray[np.float64] | None = None

    def is_blurred(self, image: NDArray[np.uint8]) -> bool:
        """Take an (H, W, 3) image and return whether it is blurred."""
        detail = _detail(image)
        if self._usual is None:
            self._usual = detail
        detailed = self._usual >= np.quantile(self._usual, DETAILED_QUANTILE)
        left = np.quantile(detail[detailed] / self._usual[detailed], INTACT_QUANTILE)
        if left < BLURRED_SHARE:
            return True
        self._usual += USUAL_RATE * (detail - self._usual)
        return False


def _detail(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the root mean square Laplacian of the log brightness in each cell of a grid."""
    grey = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), _LOGARITHM)
    laplacian = cv2.Laplacian(grey, cv2.CV_32F)
    # Averaging over areas of whole cells.
    energy = cv2.resize(laplacian * laplacian, GRID[::-1], interpolation=cv2.INTER_AREA)
    return np.sqrt(np.asarray(energy, dtype=np.float64)) + 1e-6
