# SPDX-License-Identifier: Apache-2.0
"""Findings about the agreement of images and robot at the pose: outlines, edges, timing, starts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.diagnosis.verdict import VerdictLimits
from calib_all_ros.results.records import Finding, Severity
from calib_all_ros.solving.pipeline import PoseResult

# So many images whose lags follow their times so closely show a drift.
MIN_LATE_IMAGES = 4
DRIFT_CORRELATION = 0.85
GENERAL_ADVICE = (
    "look at the overlays; the robot model, the intrinsics, the masks or something else that "
    "moves may be wrong"
)


def overlap_findings(result: PoseResult, limits: VerdictLimits) -> list[Finding]:
    """Judge how much of the robot's outline, drawn at the pose, is seen in the images."""
    figures = (
        (
            "outline_share",
            limits.rejected_outline_share,
            limits.warning_outline_share,
            "only {:.0f} % of the robot's outline, drawn at this pose, runs along the masks' "
            "(median over the images)",
        ),
        (
            "edge_share",
            limits.rejected_edge_share,
            limits.warning_edge_share,
            "only {:.0f} % of the robot's outline coincides with edges in the images",
        ),
        (
            "edge_within_1px_share",
            limits.rejected_close_share,
            limits.warning_close_share,
            "only {:.0f} % of the edges found lie within a pixel of the robot's outline",
        ),
    )
    findings = []
    for name, rejected, warning, words in figures:
        if name in result.quality:
            share = result.quality[name]
            findings += _shortfall(share, rejected, warning, words.format(100 * share))
    if "outline_share" not in result.quality:
        iou = float(np.median(result.iou[result.used])) if result.used.any() else 0.0
        findings += _shortfall(
            iou,
            limits.rejected_iou,
            limits.warning_iou,
            f"the robot drawn at this pose overlaps what is seen by only {iou:.2f} (median)",
        )
    return findings


def _shortfall(share: float, rejected: float, warning: float, evidence: str) -> list[Finding]:
    """Return a finding where a share is too small, or not a number."""
    if share >= warning:
        return []
    severity: Severity = "warning" if share >= rejected else "rejected"
    strength = warning / max(share, 1e-3)
    return [Finding("unexplained", severity, evidence, GENERAL_ADVICE, strength)]


def held_out_findings(result: PoseResult, limits: VerdictLimits) -> list[Finding]:
    """Judge whether images that were not fitted agree as well as those that were."""
    held_out = result.quality.get("held_out_outline_share")
    fitted = result.quality.get("outline_share")
    if fitted is None and "edge_share" in result.quality:
        fitted = result.quality["edge_share"] * result.quality["edge_within_1px_share"]
    if held_out is None or not fitted or held_out >= limits.held_out_share * fitted:
        return []
    evidence = (
        f"images that the pose was not fitted to agree along {100 * held_out:.0f} % of the "
        f"outline, those that it was along {100 * fitted:.0f} %"
    )
    strength = limits.held_out_share * fitted / max(held_out, 1e-3)
    return [Finding("unexplained", "warning", evidence, GENERAL_ADVICE, strength)]


def start_findings(result: PoseResult, limits: VerdictLimits) -> list[Finding]:
    """Judge whether independent starts led to one pose."""
    starts = result.starts
    if starts.rival <= limits.warning_rival:
        return []
    severity: Severity = "rejected" if starts.rival > limits.rejected_rival else "warning"
    evidence = (
        f"{starts.agreeing} of {starts.tried} starts led to this pose, and a different one "
        f"explains the images {100 * starts.rival:.0f} % as well"
    )
    advice = "record robot poses that differ more, above all wrist and elbow, or give a mark"
    return [
        Finding("no_agreement", severity, evidence, advice, starts.rival / limits.warning_rival)
    ]


def timing_findings(
    result: PoseResult,
    frame_numbers: NDArray[np.intp],
    stamps_s: NDArray[np.float64],
    limits: VerdictLimits,
) -> list[Finding]:
    """Judge the lag common to all images, and name images that are out of step.

    Args:
        result: The pose and its evidence.
        frame_numbers: (M,) numbers in the recording of the fitted images.
        stamps_s: (M,) their times.
        limits: The limits.
    """
    findings = []
    lag = result.estimate.lag_s
    if abs(lag) > limits.warning_lag_s:
        findings.append(
            Finding(
                "images_late",
                "warning",
                f"the images are stamped {abs(lag) * 1e3:.0f} ms too "
                f"{'late' if lag > 0 else 'early'} for the joint states",
                "the pose accounts for it, but check the clocks and the camera driver's stamps",
                abs(lag) / limits.warning_lag_s,
            )
        )
    left_out = ~result.used
    if left_out.any():
        findings.append(_images_out_of_step(result, frame_numbers, stamps_s, limits))
    return findings


def _drift(result: PoseResult, stamps_s: NDArray[np.float64]) -> float | None:
    """Return by how much the lag grows each second, if late images get later and later."""
    late = np.isfinite(result.own_lag_s)
    known = late | result.used
    if np.count_nonzero(late) < MIN_LATE_IMAGES:
        return None
    lags = np.where(late, result.own_lag_s, 0.0)[known]
    times = stamps_s[known]
    if not np.ptp(lags) > 0.0 or abs(np.corrcoef(times, lags)[0, 1]) < DRIFT_CORRELATION:
        return None
    return float(np.polyfit(times, lags, 1)[0])


def _images_out_of_step(
    result: PoseResult,
    frame_numbers: NDArray[np.intp],
    stamps_s: NDArray[np.float64],
    limits: VerdictLimits,
) -> Finding:
    left_out = ~result.used
    late = np.isfinite(result.own_lag_s)
    named = [
        f"{frame_numbers[i]} (shows the robot as it was about {abs(result.own_lag_s[i]):.2f} s "
        f"{'later' if result.own_lag_s[i] < 0 else 'earlier'})"
        for i in np.flatnonzero(late)
    ]
    rest = [str(frame_numbers[i]) for i in np.flatnonzero(left_out & ~late)]
    sentence = (
        f"{np.count_nonzero(left_out)} of {len(left_out)} images do not show the robot where its "
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
    # What fits nowhere fits a little better at some other instant.
    fits = result.quality.get("outline_share", 1.0) >= limits.warning_outline_share
    drift = _drift(result, stamps_s)
    if drift is not None:
        sentence = f"the lag drifts by about {1e3 * drift:+.0f} ms a second; {sentence}"
    return Finding(
        "images_late" if fits or drift is not None else "unexplained",
        "rejected" if share < limits.fitting_share else "warning",
        sentence,
        "record again with synchronised stamps, or let the robot rest at each image",
        2.0 + (1.0 - share) * len(result.used),
    )
