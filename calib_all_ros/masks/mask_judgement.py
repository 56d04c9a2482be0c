# SPDX-License-Identifier: Apache-2.0
"""Whether a mask that a model made is to be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calib_all_ros.masks.segmentation import Mask, UncertainMasksError, mask_overlap

# What is usual shows in so many masks; a single one may agree very well by chance.
ENOUGH_TO_COMPARE = 3


@dataclass(frozen=True)
class MaskLimits:
    """What a mask must reach.

    Attributes:
        predicted_iou: The overlap with the truth that the model itself expects.
        agreement: Intersection over union with the robot drawn with the coarse pose, which may be
            centimetres off.
        usual_share: That agreement over the median of the sequence's; a mask that holds half of
            the robot agrees less than the others.
        least_masks: Fewer masks of a sequence (or fewer images) are no evidence.
    """

    predicted_iou: float = 0.6
    agreement: float = 0.3
    usual_share: float = 0.6
    least_masks: int = 3


@dataclass(frozen=True)
class JudgedMask:
    """A mask that is believed.

    Attributes:
        mask: (H, W) bool.
        predicted_iou: What the model expects its overlap with the truth to be, 0 to 1.
        agreement: Intersection over union with the robot drawn with the coarse pose; NaN where
            that was not asked.
        origin: "clicked", "detected" or "followed".
    """

    mask: Mask
    predicted_iou: float
    agreement: float
    origin: str


class MaskJudge:
    """Compares masks with what the model and a coarse pose expect.

    Args:
        guesses: By image number, (H, W) the robot drawn with the coarse pose; images that are not
            there are judged by the model's own expectation only.
        limits: What to reach.
    """

    def __init__(self, guesses: Mapping[int, Mask], limits: MaskLimits) -> None:
        self.guesses = guesses
        self.limits = limits
        self._believed: dict[int, float] = {}

    def believe(self, number: int, mask: Mask, predicted_iou: float, origin: str) -> JudgedMask:
        """Return the mask of image ``number`` if it is to be believed.

        Raises:
            UncertainMasksError: it is not; the message says why.
        """
        if not mask.any():
            raise UncertainMasksError("SAM 2 sees no robot")
        if predicted_iou < self.limits.predicted_iou:
            raise UncertainMasksError(
                f"SAM 2 expects its mask to overlap the robot by {predicted_iou:.2f} only "
                f"(needed: {self.limits.predicted_iou:.2f})"
            )
        agreement = float("nan")
        if number in self.guesses:
            agreement = mask_overlap(mask, self.guesses[number])
            self.require_agreement(agreement)
            self._believed[number] = agreement
        return JudgedMask(mask, predicted_iou, agreement, origin)

    def require_agreement(self, agreement: float) -> None:
        """Raise UncertainMasksError if a mask agrees less with its guess than it must."""
        others = list(self._believed.values())
        usual = float(np.median(others)) if len(others) >= ENOUGH_TO_COMPARE else 0.0
        needed = max(self.limits.agreement, self.limits.usual_share * usual)
        if agreement < needed:
            raise UncertainMasksError(
                f"the mask overlaps the robot drawn with the coarse pose by {agreement:.2f} only "
                f"(needed: {needed:.2f})"
            )
