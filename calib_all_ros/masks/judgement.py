# SPDX-License-Identifier: Apache-2.0
"""Judgement of the masks that a model made, and what became of the images of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calib_all_ros.masks.segmentation import (
    Mask,
    SegmentedImages,
    UncertainMasksError,
    mask_overlap,
)

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


Outcome = JudgedMask | str
"""The mask of an image, or why there is none."""


def segmented_images(
    outcomes: Mapping[int, Outcome], least_masks: int, text: str
) -> SegmentedImages:
    """Return the masks of a sequence.

    Args:
        outcomes: Of the N images by their numbers, in order.
        least_masks: With fewer there is no evidence, unless there are fewer images.
        text: What the detector was asked for.

    Raises:
        UncertainMasksError: there are fewer masks.
    """
    masks = {number: one for number, one in outcomes.items() if isinstance(one, JudgedMask)}
    reasons = {number: one for number, one in outcomes.items() if isinstance(one, str)}
    if len(masks) < min(least_masks, len(outcomes)):
        number, reason = next(iter(reasons.items()))
        raise UncertainMasksError(
            f"the robot's mask is sure in {len(masks)} of {len(outcomes)} images only (image "
            f"{number}: {reason})"
        )
    return SegmentedImages(
        tuple(masks[n].mask if n in masks else None for n in outcomes),
        np.array([masks[n].predicted_iou if n in masks else np.nan for n in outcomes]),
        np.array([masks[n].agreement if n in masks else np.nan for n in outcomes]),
        tuple(reasons.get(n) for n in outcomes),
        _summary(masks, reasons, text),
    )


def _summary(masks: Mapping[int, JudgedMask], reasons: Mapping[int, str], text: str) -> str:
    by_origin = {
        origin: [n for n, one in masks.items() if one.origin == origin]
        for origin in ("clicked", "detected", "followed")
    }
    parts = []
    if by_origin["clicked"]:
        parts.append(f"clicks show the robot in {_images(by_origin['clicked'])}")
    if by_origin["detected"]:
        found = _images(by_origin["detected"])
        parts.append(f"Grounding DINO found '{text}' in {found}")
    if by_origin["followed"]:
        parts.append(f"SAM 2 followed it to {len(by_origin['followed'])} more")
    expected = [one.predicted_iou for one in masks.values()]
    parts.append(
        f"expected overlap with the truth {np.median(expected):.2f} (least {min(expected):.2f})"
    )
    agreement = [one.agreement for one in masks.values() if np.isfinite(one.agreement)]
    if agreement:
        parts.append(
            f"overlap with the coarse pose {np.median(agreement):.2f} (least {min(agreement):.2f})"
        )
    if reasons:
        number, reason = next(iter(reasons.items()))
        parts.append(f"no mask in {_images(list(reasons))} ({number}: {reason})")
    return ", ".join(parts)


def _images(numbers: list[int]) -> str:
    listed = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
    return f"image{'s' * (len(numbers) != 1)} {listed}"
