# SPDX-License-Identifier: Apache-2.0
"""Features of square patches of an image, and where in the image they are.

The image is resized by one factor, so that its aspect ratio stays, and what is missing to whole
patches is added on both sides alike. The coordinates account for both exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.marks.errors import MarkError

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class PatchGrid:
    """Where the (h, w) patches of an image are, in pixels of that image.

    Attributes:
        origin_px: (2,) centre (u, v) of the patch in the first row and column.
        step_px: (2,) from one patch to the next, along u and along v.
    """

    origin_px: Array
    step_px: Array

    def pixels(self, cells: ArrayLike) -> Array:
        """Return the pixels (..., 2) of places (..., 2) counted in patches, (column, row)."""
        return self.origin_px + self.step_px * np.asarray(cells, dtype=np.float64)

    def cells(self, pixels: ArrayLike) -> Array:
        """Return the places (..., 2) of pixels (..., 2), counted in patches: (column, row)."""
        return (np.asarray(pixels, dtype=np.float64) - self.origin_px) / self.step_px


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Features of an image's patches.

    Attributes:
        features: (h, w, C) float32, each of length one; `unit_length` makes them so.
        grid: Where the patches are.
    """

    features: NDArray[np.float32]
    grid: PatchGrid

    def __post_init__(self) -> None:
        if self.features.ndim != 3 or 0 in self.features.shape:
            raise MarkError(f"a feature map needs shape (h, w, C), got {self.features.shape}")
        if not np.isfinite(self.features).all():
            raise MarkError(
                "the model's features are not numbers (NaN): its checkpoint is damaged, or the "
                "device computes wrongly; load it again, or try the device cpu"
            )

    def at(self, pixel: ArrayLike) -> Array:
        """Return the feature (C,) at a pixel, of length one: bilinear between patches.

        Beyond the centres of the outermost patches it is the one on the line between these.
        """
        height, width = self.features.shape[:2]
        column, row = self.grid.cells(pixel)
        rows, columns = hat_weights(row, height), hat_weights(column, width)
        mixed = np.einsum("r,c,rcd->d", rows, columns, self.features)
        return np.asarray(unit_length(mixed), dtype=np.float64)


def hat_weights(place: float, count: int) -> Array:
    """Return the weights (count,) of linear interpolation at a place between 0 and count - 1."""
    inside = np.clip(place, 0.0, count - 1.0)
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(np.arange(count) - inside)))


def unit_length(features: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Return features (..., C) divided by their length; zeros stay zeros."""
    length = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.asarray(features / np.where(length > 0.0, length, 1.0))


class FeatureExtractor(Protocol):
    """What a foundation model does here.

    Attributes:
        name: What it is called in logs and results.
    """

    name: str

    def __call__(self, image: Image, /) -> FeatureMap:
        """Return the features of an RGB image, (H, W, 3) uint8."""
        ...


def on_patch_grid(
    image: Image, patch: int, longer_side_px: int
) -> tuple[NDArray[np.float32], PatchGrid]:
    """Bring an image to the size that a vision transformer works on.

    Args:
        image: (H, W, 3) RGB.
        patch: Side of a patch, pixels of the working size.
        longer_side_px: Working size of the image's longer side; the next number of whole patches
            is taken.

    Returns:
        (h * patch, w * patch, 3) float32, normalised with ImageNet's mean and standard deviation;
        where its (h, w) patches are in ``image``.

    Raises:
        MarkError: The image is not an RGB image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise MarkError(
            f"an RGB image, (H, W, 3) uint8, is needed, got {image.shape} {image.dtype}"
        )
    height, width = image.shape[:2]
    longer = max(1, round(longer_side_px / patch)) * patch
    factor = longer / max(height, width)
    size = np.maximum(1, np.rint(factor * np.array([width, height]))).astype(int)
    method = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC
    resized = cv2.resize(image, size.tolist(), interpolation=method)
    missing = -size % patch
    before = missing // 2
    (left, top), (right, bottom) = before.tolist(), (missing - before).tolist()
    padded = cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_REPLICATE)
    mean, deviation = (np.array(of, dtype=np.float32) for of in (IMAGENET_MEAN, IMAGENET_STD))
    pixels = (padded.astype(np.float32) / np.float32(255.0) - mean) / deviation
    # Rounding to whole pixels makes the factors along u and v differ by less than a thousandth.
    factors = size / np.array([width, height], dtype=np.float64)
    origin = ((patch - 1) / 2 - before + 0.5) / factors - 0.5
    return pixels, PatchGrid(origin, patch / factors)
