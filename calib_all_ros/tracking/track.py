# SPDX-License-Identifier: Apache-2.0
"""Track of a mark through the images of a recording: what every tracker returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.errors import CalibAllError


class TrackingError(CalibAllError):
    """A mark cannot be tracked."""


class ImageSequence(Protocol):
    """Images that are decoded when asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        """Return one RGB image, (H, W, 3)."""
        ...


@dataclass(frozen=True, eq=False)
class Track:
    """One mark through N images.

    Attributes:
        pixels: (N, 2) where it is; NaN where unknown.
        visible: (N,) whether the tracker believes to see it there.
        confidence: (N,) from 0 to 1; 0 where not visible.
    """

    pixels: NDArray[np.float64]
    visible: NDArray[np.bool_]
    confidence: NDArray[np.float64]

    def __post_init__(self) -> None:
        count = len(self.pixels)
        if (
            self.pixels.shape != (count, 2)
            or self.visible.shape != (count,)
            or self.confidence.shape != (count,)
        ):
            raise TrackingError(
                f"a track needs (N, 2) pixels, (N,) visible and (N,) confidence, got "
                f"{self.pixels.shape}, {self.visible.shape} and {self.confidence.shape}"
            )
        if not np.isfinite(self.pixels[self.visible]).all():
            raise TrackingError("a track says 'visible' where its pixel is not known")


class Tracker(Protocol):
    """What follows one mark through the images."""

    @property
    def name(self) -> str:
        """What people call it, for logs and results."""
        ...

    @property
    def most_images(self) -> int:
        """Through how many images it is worth the time to follow a mark."""
        ...

    @property
    def longest_step_s(self) -> float:
        """How far images may be apart where there are more than ``most_images``."""
        ...

    def __call__(self, images: ImageSequence, pixel: ArrayLike, start: int) -> Track:
        """Return where the mark at ``pixel`` in image ``start`` is in all images.

        Args:
            images: N RGB images of one size.
            pixel: (2,) the mark, pixel centres at integer coordinates.
            start: Number of the image in which the mark was given.

        Raises:
            TrackingError: No such image, the mark lies outside it, or the images differ in size.
        """
        ...


def given_mark(
    images: ImageSequence, pixel: ArrayLike, start: int
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the mark as an array and the image in which it was given.

    Raises:
        TrackingError: No such image, or the mark lies outside it.
    """
    if not 0 <= start < len(images):
        raise TrackingError(f"there is no image {start}; the recording has {len(images)} images")
    mark = np.asarray(pixel, dtype=np.float64)
    first = images[start]
    height, width = first.shape[:2]
    # NaN fails both comparisons.
    if mark.shape != (2,) or not ((mark >= 0) & (mark <= (width - 1, height - 1))).all():
        raise TrackingError(
            f"the mark {mark.tolist()} lies outside image {start}, which is {width}x{height}"
        )
    return mark, first


def check_size(image: NDArray[np.uint8], first: NDArray[np.uint8], index: int) -> None:
    """Check that an image is as large as the first of the track.

    Raises:
        TrackingError: It is not.
    """
    if image.shape != first.shape:
        raise TrackingError(
            f"image {index} has another size than the first of the track; record one camera"
        )
