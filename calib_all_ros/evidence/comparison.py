# SPDX-License-Identifier: Apache-2.0
"""Which of two results to keep: one from the images alone, one from a model's masks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.quality.diagnosis import Diagnosis
from calib_all_ros.quality.pose_difference import compatibility, pose_difference
from calib_all_ros.quality.verdict import verdict_of
from calib_all_ros.results.records import Finding, Verdict
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.route import RouteResult

_RANK = {"accepted": 0, "warning": 1, "rejected": 2}
# Two poses that differ by chance alone differ by more in one of a thousand cases.
_LEAST_P_VALUE = 1e-3


@dataclass(frozen=True)
class Solution:
    """A pose with what it was fitted to and what is known about it.

    Attributes:
        observations: What it was fitted to.
        result: The pose and its evidence.
        diagnosis: What may be wrong with it.
        verdict: Whether it may be used.
    """

    observations: Observations
    result: RouteResult
    diagnosis: Diagnosis
    verdict: Verdict

    @property
    def frame_numbers(self) -> NDArray[np.intp]:
        """(M,) numbers in the recording of the fitted images."""
        return self.observations.frames[self.observations.solve]

    @property
    def expected_mm(self) -> float:
        """Which error of the position nine of ten such poses stay below; infinite if unknown."""
        uncertainty = self.diagnosis.uncertainty
        return math.inf if uncertainty is None else uncertainty.expected_position_mm

    def in_words(self) -> str:
        """Return the verdict and the expected error."""
        if self.verdict.status == "rejected" or not math.isfinite(self.expected_mm):
            return self.verdict.status
        return f"{self.verdict.status}, within {self.expected_mm:.1f} mm"


def better(images: Solution, masks: Solution) -> tuple[Solution, str]:
    """Return the better solution, and why it is.

    The better verdict counts, and among equal ones the smaller expected error. If both can be used
    but contradict each other, the images count and the verdict says so. So masks that are poor
    cannot make a pose worse than it is without them.

    Args:
        images: The solution from the images alone.
        masks: The solution from the masks of a model.
    """
    ranks = [(_RANK[s.verdict.status], s.expected_mm) for s in (images, masks)]
    chosen, other = (masks, images) if ranks[1] < ranks[0] else (images, masks)
    names = ("the masks", "the images alone")
    first, second = names if chosen is masks else names[::-1]
    why = f"{first} gave the better result ({chosen.in_words()}) than {second} ({other.in_words()})"
    contradiction = _contradiction(chosen, other)
    if contradiction is None:
        return chosen, why
    findings = (*images.diagnosis.findings, contradiction)
    doubted = replace(
        images,
        diagnosis=replace(images.diagnosis, findings=findings),
        verdict=verdict_of(findings, images.observations.warnings),
    )
    return doubted, f"the masks contradict the images ({images.in_words()}), which count then"


def _contradiction(chosen: Solution, other: Solution) -> Finding | None:
    """Return what is wrong if two poses that can be used differ by more than they may."""
    a, b = chosen.diagnosis.uncertainty, other.diagnosis.uncertainty
    if a is None or b is None or "rejected" in (chosen.verdict.status, other.verdict.status):
        return None
    difference = pose_difference(
        other.result.estimate.T_camera_base, chosen.result.estimate.T_camera_base
    )
    compatible = compatibility(difference, a.covariance + b.covariance)
    if compatible is None or compatible.p_value >= _LEAST_P_VALUE:
        return None
    return Finding(
        "no_agreement",
        "warning",
        f"the masks of the model and the images alone lead to cameras "
        f"{difference.position_mm:.0f} mm and {difference.rotation_deg:.1f} deg apart, more than "
        "their uncertainties allow",
        "look at the overlays and at the masks, and choose the evidence by masks.source",
        compatible.mahalanobis,
    )
