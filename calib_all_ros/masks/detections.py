# SPDX-License-Identifier: Apache-2.0
"""What a text-prompted detector found in an image.

Pixel centres lie at integers, so that pixel (0, 0) covers -0.5 to 0.5 and an image of W x H pixels
reaches from -0.5 to W - 0.5 and H - 0.5. Boxes are edges in these continuous coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
