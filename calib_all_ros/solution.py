# SPDX-License-Identifier: Apache-2.0
"""A solved camera pose: the pose, its diagnosis and its verdict; and the better of two."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.diagnosis.diagnosis import Diagnosis, diagnose
from calib_all_ros.diagnosis.verdict import verdict_of
from calib_all_ros.progress import Progress, silent
from calib_all_ros.results.records import Finding, FrameQuality, Verdict
from calib_all_ros.settings import Settings
from calib_all_ros.solving.image_measurer import ImageMeasurer
from calib_all_ros.solving.mark import MarkOutcome
from calib_all_ros.solving.mask_measurer import MaskMeasurer
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.pipeline import Measurer, PoseResult, Start, find_pose, refine_pose
from calib_all_ros.solving.pose_errors import compatibility, pose_difference

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
    result: PoseResult
    diagnosis: Diagnosis
    verdict: Verdict

    @property
    def frame_numbers(self) -> NDArray[np.intp]:
        """(M,) numbers in the recording of the fitted images."""
        return self.observations.frames[self.observations.solve]

    def frame_table(
        self,
        iou: NDArray[np.float64],
        contour_px: NDArray[np.float64],
        own_lag_s: NDArray[np.float64] | None = None,
    ) -> tuple[FrameQuality, ...]:
        """Return how each fitted image agrees with a pose, as it is saved.

        Args:
            iou: (M,) overlap of rendered and observed silhouettes.
            contour_px: (M,) median distance of the outlines, NaN where not measured.
            own_lag_s: (M,) what each image's own lag adds to the estimate's, NaN or None without.
        """
        lags_ms = np.full(len(iou), np.nan)
        if own_lag_s is not None:
            lags_ms = 1e3 * (own_lag_s + self.result.estimate.lag_s)
        stamps_ns = self.observations.motion.stamps_ns[self.observations.solve]
        return tuple(
            FrameQuality(
                index=int(number),
                stamp_ns=int(stamps_ns[i]),
                iou=float(iou[i]),
                contour_px=float(contour_px[i]) if contour_px[i] >= 0 else None,
                lag_ms=float(lags_ms[i]) if np.isfinite(lags_ms[i]) else None,
                used=bool(self.result.used[i]),
            )
            for i, number in enumerate(self.frame_numbers)
        )

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


def solve(
    observations: Observations,
    settings: Settings,
    starts: tuple[Start, ...] = (),
    mark: MarkOutcome | None = None,
    on_progress: Progress = silent,
    *,
    search: bool = True,
) -> Solution:
    """Find a camera pose, refine it and examine it.

    Args:
        observations: What it is fitted to: masks if they have some, else the images.
        settings: Effort, and what is estimated beside the pose.
        starts: Poses to start from, beside those that are searched for.
        mark: A track that the pose has to agree with, if there is one.
        on_progress: Called with the stage and its finished share.
        search: False only refines the one start that is given, which is within centimetres.

    Raises:
        SettingsError: The settings ask for the paper's descent, which needs masks.
    """
    measurer = _measurer(observations, settings)
    if search:
        result = find_pose(measurer, settings, starts, on_progress)
    else:
        (start,) = starts
        result = refine_pose(measurer, settings, start, on_progress)
    on_progress("verdict", 0.0)
    diagnosis = diagnose(observations, result, settings, mark)
    verdict = verdict_of(diagnosis.findings, observations.warnings)
    return Solution(observations, result, diagnosis, verdict)


def _measurer(observations: Observations, settings: Settings) -> Measurer[Any]:
    if observations.masks is None:
        return ImageMeasurer(observations, settings.search)
    descent = settings.adam if settings.refinement.method == "adam" else None
    return MaskMeasurer(observations, settings.search, descent)


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
    warned = replace(
        images,
        diagnosis=replace(images.diagnosis, findings=findings),
        verdict=verdict_of(findings, images.observations.warnings),
    )
    return warned, f"the masks contradict the images ({images.in_words()}), which count then"


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
