# SPDX-License-Identifier: Apache-2.0
"""How much of the image the robot's motion reaches, and how sharp the images are."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.recording.recording import RgbImage
from calib_all_ros.recording.selection import sharpness

_WIDTH_PX = 96
# Noise and flicker stay below this at the reduced size, an arm before a background rarely does.
_CHANGED = 25.0
_KEPT = 60
_BLURRED = 0.5
# Of many images that are blurred, the sharpest tell what is possible.
_USUAL = 0.9


@dataclass(frozen=True)
class ImageFigures:
    """What the images so far amount to.

    Attributes:
        inspected: How many were looked at.
        blurred: How many of them have less than half the sharpness of the best.
        changed_share: Share of the pixels that the motion has changed.
    """

    inspected: int
    blurred: int
    changed_share: float


@dataclass(frozen=True, eq=False)
class ImageLook:
    """What is kept of one image.

    Attributes:
        size: Width and height in pixels.
        sharpness: See `recording.selection.sharpness`.
        small: (h, w) grey, reduced.
    """

    size: tuple[int, int]
    sharpness: float
    small: NDArray[np.float32]


def look_at(image: RgbImage) -> ImageLook:
    """Return what is worth knowing of an image, RGB uint8 (H, W, 3)."""
    height, width = image.shape[:2]
    size = _WIDTH_PX, max(1, round(_WIDTH_PX * height / width))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    return ImageLook((width, height), sharpness(image), grey)


class ImageCoverage:
    """Collects what images show."""

    def __init__(self) -> None:
        """Begin without images."""
        self._size: tuple[int, int] | None = None
        self._inspected = 0
        self._blurred = 0
        self._sharpness: deque[float] = deque(maxlen=_KEPT)
        self._low: NDArray[np.float32] | None = None
        self._high: NDArray[np.float32] | None = None

    def add(self, look: ImageLook) -> bool:
        """Add an image and return whether it is sharp."""
        if look.size != self._size:
            self._size = look.size
            self._low = self._high = None
        self._inspected += 1
        self._sharpness.append(look.sharpness)
        blurred = look.sharpness < _BLURRED * float(np.quantile(self._sharpness, _USUAL))
        self._blurred += blurred
        if not blurred:
            small = look.small
            self._low = small if self._low is None else np.minimum(self._low, small)
            self._high = small if self._high is None else np.maximum(self._high, small)
        return not blurred

    def figures(self) -> ImageFigures:
        """Return what the images amount to."""
        if self._low is None or self._high is None:
            return ImageFigures(self._inspected, self._blurred, 0.0)
        changed = self._high - self._low > _CHANGED
        return ImageFigures(self._inspected, self._blurred, float(changed.mean()))
