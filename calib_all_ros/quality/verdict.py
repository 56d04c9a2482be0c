# SPDX-License-Identifier: Apache-2.0
"""Whether a pose can be vouched for, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.quality.jackknife import PoseUncertainty
from calib_all_ros.results.records import Status, Verdict
from calib_all_ros.solving.route import RouteResult


@dataclass(frozen=True)
class VerdictLimits:
    """Beyond which figures a pose is doubted, and beyond which it is refused.

    Attributes:
        rejected_iou: Without recorded masks, refused when the median overlap is below.
        doubted_iou: Doubted below.
        rejected_outline_share: Refused when less of the outline agrees with recorded masks.
        doubted_outline_share: Doubted below.
        fitting_share: Refused when a smaller share of the frames agrees with the pose.
        rejected_edge_share: Refused when edges are found along less of the outline.
        doubted_edge_share: Doubted below.
        rejected_position_mm: Refused when leaving frames out moves the camera by more.
        doubted_position_mm: Doubted above.
        rejected_rotation_deg: Refused when leaving frames out turns the camera by more.
        doubted_rotation_deg: Doubted above.
        rejected_close_share: Refused when fewer of the edges lie within a pixel of the outline.
        doubted_close_share: Doubted below.
        rejected_focal_error: Refused when the images ask for a focal length this much different.
        doubted_focal_error: Doubted above.
        focal_sigmas: The images' wish counts when it exceeds this many standard deviations.
        doubted_lag_s: Doubted when images are later, or earlier, than that.
    """

    rejected_iou: float = 0.7
    doubted_iou: float = 0.82
    rejected_outline_share: float = 0.4
    doubted_outline_share: float = 0.7
    fitting_share: float = 0.5
    rejected_edge_share: float = 0.4
    doubted_edge_share: float = 0.55
    rejected_position_mm: float = 30.0
    doubted_position_mm: float = 10.0
    rejected_rotation_deg: float = 2.0
    doubted_rotation_deg: float = 1.0
    rejected_close_share: float = 0.55
    doubted_close_share: float = 0.7
    rejected_focal_error: float = 0.025
    doubted_focal_error: float = 0.012
    focal_sigmas: float = 3.0
    doubted_lag_s: float = 0.15


class _Reasons:
    """Collects reasons, the gravest first."""

    def __init__(self) -> None:
        self._rejected: list[str] = []
        self._warned: list[str] = []

    def judge(self, rejected: bool, warned: bool, reason: str) -> None:
        if rejected:
            self._rejected.append(reason)
        elif warned:
            self._warned.append(reason)

    def verdict(self) -> Verdict:
        status: Status = "accepted"
        if self._rejected:
            status = "rejected"
        elif self._warned:
            status = "warning"
        return Verdict(status, (*self._rejected, *self._warned))


def judge(
    result: RouteResult,
    frame_numbers: NDArray[np.intp],
    uncertainty: PoseUncertainty | None,
    warnings: Sequence[str] = (),
    limits: VerdictLimits = VerdictLimits(),
) -> Verdict:
    """Judge a refined pose by how its own frames agree with it.

    Args:
        result: The pose and its evidence.
        frame_numbers: (M,) numbers in the recording of the fitted frames.
        uncertainty: Of the pose, None where it could not be estimated.
        warnings: What is already known to be wrong with the recording.
        limits: The limits.
    """
    reasons = _Reasons()
    # Comparisons are written such that a figure that is not a number is refused.
    _judge_overlap(reasons, result, limits)
    _judge_timing(reasons, result, frame_numbers, limits)
    share = result.quality.get("edge_share")
    if share is not None:
        reasons.judge(
            not share >= limits.rejected_edge_share,
            not share >= limits.doubted_edge_share,
            f"only {100 * share:.0f} % of the robot's outline coincides with edges in the images",
        )
    close = result.quality.get("edge_within_1px_share")
    if close is not None:
        reasons.judge(
            not close >= limits.rejected_close_share,
            not close >= limits.doubted_close_share,
            f"only {100 * close:.0f} % of the edges found lie within a pixel of the robot's "
            "outline: its model, a joint's zero position or the intrinsics may be wrong",
        )
    _judge_focal_length(reasons, result, limits)
    if uncertainty is None:
        reasons.judge(True, True, "too few frames could be measured to say how sure the pose is")
    else:
        reasons.judge(
            not uncertainty.position_mm <= limits.rejected_position_mm
            or not uncertainty.rotation_deg <= limits.rejected_rotation_deg,
            not uncertainty.position_mm <= limits.doubted_position_mm
            or not uncertainty.rotation_deg <= limits.doubted_rotation_deg,
            f"leaving frames out moves the camera by {uncertainty.position_mm:.0f} mm and "
            f"{uncertainty.rotation_deg:.1f} deg: record more, and more varied, robot poses",
        )
    lag = result.estimate.lag_s
    reasons.judge(
        False,
        abs(lag) > limits.doubted_lag_s,
        f"the images are stamped {abs(lag) * 1e3:.0f} ms too {'late' if lag > 0 else 'early'} "
        "for the joint states; the pose accounts for it, but check the clocks",
    )
    for warning in warnings:
        reasons.judge(False, True, warning)
    return reasons.verdict()


def _judge_overlap(reasons: _Reasons, result: RouteResult, limits: VerdictLimits) -> None:
    causes = "wrong robot model, wrong intrinsics, bad masks, or something else moved in the view"
    outline = result.quality.get("outline_share")
    if outline is not None:
        reasons.judge(
            not outline >= limits.rejected_outline_share,
            not outline >= limits.doubted_outline_share,
            f"only {100 * outline:.0f} % of the robot's outline, drawn at this pose, runs along "
            f"the masks' (median over the images): {causes}",
        )
        return
    iou = float(np.median(result.iou[result.used])) if result.used.any() else 0.0
    reasons.judge(
        not iou >= limits.rejected_iou,
        not iou >= limits.doubted_iou,
        f"the robot drawn at this pose overlaps what the images show by only {iou:.2f} (median; "
        f"good results reach {limits.doubted_iou:.2f} and more): {causes}",
    )


def _judge_focal_length(reasons: _Reasons, result: RouteResult, limits: VerdictLimits) -> None:
    scale = result.quality.get("free_focal_scale")
    if scale is None:
        return
    error = abs(scale - 1.0)
    if error < limits.focal_sigmas * result.quality["free_focal_scale_sigma"]:
        return
    reasons.judge(
        error > limits.rejected_focal_error,
        error > limits.doubted_focal_error,
        f"the images fit a focal length {100 * error:.1f} % {'longer' if scale > 1 else 'shorter'} "
        "than camera_info says, and the camera's distance changes with it: calibrate the "
        "intrinsics, or set refinement.focal_scale to true",
    )


def _judge_timing(
    reasons: _Reasons,
    result: RouteResult,
    frame_numbers: NDArray[np.intp],
    limits: VerdictLimits,
) -> None:
    doubtful = ~result.used
    if not doubtful.any():
        return
    late = np.isfinite(result.own_lag_s)
    named = [
        f"{frame_numbers[i]} (shows the robot as it was about {abs(result.own_lag_s[i]):.2f} s "
        f"{'later' if result.own_lag_s[i] < 0 else 'earlier'})"
        for i in np.flatnonzero(late)
    ]
    rest = [str(frame_numbers[i]) for i in np.flatnonzero(doubtful & ~late)]
    sentence = (
        f"{np.count_nonzero(doubtful)} of {len(doubtful)} images do not show the robot where its "
        "joint states say it was"
    )
    if named:
        sentence += f"; out of step with the joint states: {', '.join(named)}"
    if rest:
        sentence += f"; no lag explains: {', '.join(rest)}"
    sentence += (
        "; these were left out, the pose rests on images "
        f"{', '.join(str(n) for n in frame_numbers[result.used])}"
    )
    share = float(np.mean(result.used))
    reasons.judge(share < limits.fitting_share, True, sentence)
