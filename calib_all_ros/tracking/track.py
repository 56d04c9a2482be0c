# SPDX-License-Identifier: Apache-2.0
"""Where a mark is in each image of a recording: what every tracker returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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
