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
        rejected_iou: Refused when the median overlap of used frames is below.
        doubted_iou: Doubted below.
        fitting_share: Refused when a smaller share of the frames agrees with the pose.
        rejected_edge_share: Refused when edges are found along less of the outline.
        doubted_edge_share: Doubted below.
        rejected_position_mm: Refused when leaving frames out moves the camera by more.
        doubted_position_mm: Doubted above.
        rejected_rotation_deg: Refused when leaving frames out turns the camera by more.
        doubted_rotation_deg: Doubted above.
        doubted_lag_s: Doubted when images are later, or earlier, than that.
    """

    rejected_iou: float = 0.7
    doubted_iou: float = 0.82
    fitting_share: float = 0.5
    rejected_edge_share: float = 0.4
    doubted_edge_share: float = 0.55
    rejected_position_mm: float = 30.0
    doubted_position_mm: float = 10.0
    rejected_rotation_deg: float = 2.0
    doubted_rotation_deg: float = 1.0
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
    iou = float(np.median(result.iou[result.used]))
    reasons.judge(
        iou < limits.rejected_iou,
        iou < limits.doubted_iou,
        f"the robot drawn at this pose overlaps what the images show by only {iou:.2f} (median; "
        f"good results reach {limits.doubted_iou:.2f} and more): wrong robot model, wrong "
        "intrinsics, bad masks, or something else moved through the view",
    )
    _judge_timing(reasons, result, frame_numbers, limits)
    share = result.quality.get("edge_share")
    if share is not None:
        reasons.judge(
            share < limits.rejected_edge_share,
            share < limits.doubted_edge_share,
            f"only {100 * share:.0f} % of the robot's outline coincides with edges in the images",
        )
    if uncertainty is None:
        reasons.judge(True, True, "too few frames could be measured to say how sure the pose is")
    else:
        reasons.judge(
            uncertainty.position_mm > limits.rejected_position_mm
            or uncertainty.rotation_deg > limits.rejected_rotation_deg,
            uncertainty.position_mm > limits.doubted_position_mm
            or uncertainty.rotation_deg > limits.doubted_rotation_deg,
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
        f"{frame_numbers[i]} ({'taken' if result.own_lag_s[i] < 0 else 'stamped'} about "
        f"{abs(result.own_lag_s[i]):.2f} s late)"
        for i in np.flatnonzero(late)
    ]
    rest = [str(frame_numbers[i]) for i in np.flatnonzero(doubtful & ~late)]
    sentence = (
        f"{np.count_nonzero(doubtful)} of {len(doubtful)} images do not show the robot where its "
        "joint states say it was"
    )
    if named:
        sentence += f"; not synchronised: images {', '.join(named)}"
    if rest:
        sentence += f"; no lag explains: {', '.join(rest)}"
    sentence += (
        "; these were left out, the pose rests on images "
        f"{', '.join(str(n) for n in frame_numbers[result.used])}"
    )
    share = float(np.mean(result.used))
    reasons.judge(share < limits.fitting_share, True, sentence)
