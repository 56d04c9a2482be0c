# SPDX-License-Identifier: Apache-2.0
"""What became of the images of a sequence, and one sentence about it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calib_all_ros.masks.mask_judgement import JudgedMask
from calib_all_ros.masks.segmentation import SegmentedImages, UncertainMasksError

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
