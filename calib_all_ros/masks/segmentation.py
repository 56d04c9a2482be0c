# SPDX-License-Identifier: Apache-2.0
"""Masks of the robot from a model: what goes in, what comes out, and what models must be able to.

Pixel centres lie at integers everywhere, boxes are edges in the same coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.masks.detections import Detections

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class SegmentationError(CalibAllError):
    """What was asked of the segmentation is impossible, such as a click outside of its image."""


class UncertainMasksError(SegmentationError):
    """The masks are not sure enough to be used; the message says why."""


@dataclass(frozen=True)
class ScoredMasks:
    """Masks of one image.

    Attributes:
        masks: (K, H, W) bool.
        predicted_iou: (K,) what the model expects its overlap with the truth to be, 0 to 1.
    """

    masks: NDArray[np.bool_]
    predicted_iou: NDArray[np.float64]


@dataclass(frozen=True)
class SegmentedImages:
    """Masks of a sequence.

    Attributes:
        masks: N masks (H, W); None where no mask is sure.
        scores: (N,) intersection over union with the truth that the model expects, 0 to 1; NaN
            without a mask.
        agreement: (N,) intersection over union with the robot drawn with the coarse pose; NaN
            where that was not asked.
        reasons: N reasons why there is no mask; None where there is one.
        summary: One sentence: what ran and how sure it is.
    """

    masks: tuple[Mask | None, ...]
    scores: NDArray[np.float64]
    agreement: NDArray[np.float64]
    reasons: tuple[str | None, ...]
    summary: str


class Detector(Protocol):
    """Finds boxes that fit a text."""

    def detect(
        self, image: Image, prompt: str, box_threshold: float = 0.35, text_threshold: float = 0.3
    ) -> Detections:
        """Return the boxes of an (H, W, 3) RGB image."""
        ...


class MaskTrack(Protocol):
    """Follows the robot from image to image, in the order in which they are given."""

    def seed(self, image: Image, mask: Mask) -> None:
        """Say where the robot is in the next image."""
        ...

    def step(self, image: Image) -> tuple[Mask, float]:
        """Return mask (H, W) and predicted IoU in the next image; both empty if it vanished."""
        ...

    def forget(self) -> None:
        """Take the last step back, which turned out wrong, so that nothing is learnt from it."""
        ...


class Segmenter(Protocol):
    """Makes masks from boxes and clicks, and follows them."""

    def box_masks(self, image: Image, boxes: NDArray[np.float64]) -> ScoredMasks:
        """Return the mask in each of (K, 4) boxes u0, v0, u1, v1 of an (H, W, 3) RGB image."""
        ...

    def clicked_mask(
        self, image: Image, pixels: NDArray[np.float64], on_robot: NDArray[np.bool_]
    ) -> ScoredMasks:
        """Return the one mask that (P, 2) clicks mean, (P,) of them on the robot."""
        ...

    def track(self) -> MaskTrack:
        """Return a track that knows nothing yet."""
        ...


def mask_overlap(a: Mask, b: Mask) -> float:
    """Return the intersection over union of two masks, 0 if both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 0.0
