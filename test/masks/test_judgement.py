# SPDX-License-Identifier: Apache-2.0
"""Which masks are believed."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.masks.judgement import MaskJudge, MaskLimits
from calib_all_ros.masks.segmentation import UncertainMasksError


def rectangle(left: int, right: int) -> np.ndarray:
    mask = np.zeros((20, 100), dtype=bool)
    mask[5:15, left:right] = True
    return mask


def test_without_a_guess_the_model_is_asked() -> None:
    believed = MaskJudge({}, MaskLimits()).believe(0, rectangle(10, 30), 0.9, "detected")
    assert (believed.predicted_iou, believed.origin) == (0.9, "detected")
    assert np.isnan(believed.agreement)


@pytest.mark.parametrize(
    ("mask", "predicted_iou", "why"),
    [
        (rectangle(0, 0), 0.9, "sees no robot"),
        (rectangle(10, 30), 0.59, "overlap the robot by 0.59 only"),
        (rectangle(28, 48), 0.9, "drawn with the coarse pose by 0.05 only .needed: 0.30"),
    ],
)
def test_doubts(mask: np.ndarray, predicted_iou: float, why: str) -> None:
    judge = MaskJudge({4: rectangle(10, 30)}, MaskLimits())
    with pytest.raises(UncertainMasksError, match=why):
        judge.believe(4, mask, predicted_iou, "followed")


def test_a_mask_that_agrees_less_than_usual_is_doubted() -> None:
    judge = MaskJudge(dict.fromkeys(range(5), rectangle(10, 30)), MaskLimits())
    for number in range(3):
        assert judge.believe(number, rectangle(11, 30), 0.9, "followed").agreement == 0.95
    # Half of the robot would do if the pose were poor; here it is not.
    with pytest.raises(UncertainMasksError, match=r"by 0.50 only \(needed: 0.57\)"):
        judge.believe(3, rectangle(10, 20), 0.9, "followed")
    poor = MaskJudge({3: rectangle(10, 30)}, MaskLimits())
    assert poor.believe(3, rectangle(10, 20), 0.9, "followed").agreement == 0.5
