# SPDX-License-Identifier: Apache-2.0
"""Interfaces of detectors and segmenters, with the boxes and masks that they return.

Pixel centres lie at integers, so that pixel (0, 0) covers -0.5 to 0.5 and an image of W x H pixels
reaches from -0.5 to W - 0.5 and H - 0.5. Boxes are edges in these continuous coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class SegmentationError(CalibAllError):
    """What was asked of the segmentation is impossible, such as a click outside of its image."""


class UncertainMasksError(SegmentationError):
    """The masks are not sure enough to be used; the message says why."""


@dataclass(frozen=True)
class Detections:
    """Boxes that answer a text prompt, the most certain first.

    Attributes:
        boxes: (B, 4) edges u0, v0, u1, v1 in pixels, within the image.
        scores: (B,) 0 to 1, how well the best word of the prompt fits.
        phrases: (B,) the words of the prompt that fit, such as "robotic arm"; may be empty.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    phrases: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.boxes)


def box_around(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the (4,) edges of the smallest box that holds every pixel of a mask that has some."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5])


def box_union(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (4,) edges of the smallest box that holds (B, 4) boxes."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def box_area(box: NDArray[np.float64]) -> float:
    """Return the area of a (4,) box in square pixels; 0 for one that is inside out."""
    return float(np.prod(np.maximum(box[2:] - box[:2], 0.0)))


def box_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the intersection over union of two (4,) boxes, 0 to 1."""
    shared = box_area(
        np.concatenate([np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])]),
    )
    joined = box_area(a) + box_area(b) - shared
    return shared / joined if joined > 0 else 0.0


def share_in_box(mask: NDArray[np.bool_], box: NDArray[np.float64]) -> float:
    """Return which share of the pixels of an (H, W) mask have their centres in a box, 0 to 1."""
    total = int(np.count_nonzero(mask))
    return pixels_in_box(mask, box) / total if total else 0.0


def pixels_in_box(mask: NDArray[np.bool_], box: NDArray[np.float64]) -> int:
    """Return how many pixels of an (H, W) mask have their centres in a box."""
    left, top = np.maximum(np.ceil(box[:2]).astype(int), 0)
    right, bottom = np.floor(box[2:]).astype(int) + 1
    return int(np.count_nonzero(mask[top : max(bottom, 0), left : max(right, 0)]))


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
