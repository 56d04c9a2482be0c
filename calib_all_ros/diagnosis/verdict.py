# SPDX-License-Identifier: Apache-2.0
"""Verdict of a pose: its limits, and the sum of its findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from calib_all_ros.results.records import Finding, Status, Verdict

_GRAVITY = {"rejected": 0, "warning": 1, "note": 2}
# A camera that moves shows in the background, whatever else; what else seems wrong may follow.
_CONSEQUENCE = {
    "camera_moved": -1,
    "too_little_motion": 1,
    "degenerate_view": 1,
    "no_agreement": 2,
    "unexplained": 3,
}


def verdict_of(findings: Iterable[Finding], warnings: Sequence[str] = ()) -> Verdict:
    """Sum findings up.

    Among findings equally grave, a moved camera comes first; what explains a misfit comes before
    what follows from it (an uncertain pose) and before the misfit itself; then the stronger
    finding comes first.

    Args:
        findings: What is wrong, in any order.
        warnings: What is already known to be wrong with the recording, one sentence each.
    """
    ordered = sorted(
        findings,
        key=lambda f: (_GRAVITY[f.severity], _CONSEQUENCE.get(f.cause, 0), -f.strength),
    )
    status: Status = "accepted"
    if any(finding.severity == "rejected" for finding in ordered):
        status = "rejected"
    elif warnings or any(finding.severity == "warning" for finding in ordered):
        status = "warning"
    reasons = tuple(finding.sentence for finding in ordered if finding.severity != "note")
    return Verdict(status, (*reasons, *warnings), tuple(ordered))


@dataclass(frozen=True)
class VerdictLimits:
    """Limits of the verdict; ``benchmarks/verdict.py`` measures what they let through.

    Attributes:
        rejected_iou: Without recorded masks, rejected when the median overlap is below.
        warning_iou: Warning below.
        rejected_outline_share: Rejected when less of the outline agrees with recorded masks.
        warning_outline_share: Warning below.
        fitting_share: Rejected when a smaller share of the frames agrees with the pose.
        rejected_edge_share: Rejected when edges are found along less of the outline.
        warning_edge_share: Warning below.
        rejected_close_share: Rejected when fewer of the edges lie within a pixel of the outline.
        warning_close_share: Warning below.
        held_out_share: Warning when held-out images agree by a smaller share of what the fitted
            ones do.
        rejected_position_mm: Rejected when nine in ten such poses may be further off than that.
        warning_position_mm: Warning above.
        rejected_rotation_deg: Rejected when nine in ten such poses may be turned by more.
        warning_rotation_deg: Warning above.
        hypothesis_gain: A hypothesis counts when it takes this share of the squared residuals of
            images it was not fitted to, for each of its parameters but the first twice as much.
        hypothesis_significance: And its parameters exceed this many standard deviations.
        focal_significance: A wrong focal length is told from here on, since nothing else shows it.
        certain_focal_gain: Or from here on, if it is as significant as other hypotheses must be,
            or nearly so.
        edge_focal_tolerance: Edges in images read right focal lengths wrong by up to this share;
            what they read within it says nothing.
        rejected_change_mm: Rejected when a hypothesis that counts would move the camera by more.
        warning_change_mm: Warning above.
        rejected_change_deg: Rejected when it would turn the camera by more.
        warning_change_deg: Warning above.
        least_images: Fewer images cannot show what else may be wrong: a warning.
        rejected_rival: Rejected when another pose explains the images by this share as well.
        warning_rival: Warning above.
        warning_lag_s: Warning when images are later, or earlier, than that.
        small_motion_m: Robots that move less show too little.
        small_robot_share: Robots that cover less of the image are too small.
        small_visible_share: Robots of which less is in the image are cut off.
        mask_agreement: Masks of which less differs from the background are bad, if more of the
            drawn robot does.
        least_mask_seen: Masks of which less differs from the background are bad in any case.
        sound_mask_agreement: Masks that hold less of what moves in the images are bad; that agree
            more are sound.
        reversal_gain: A joint is reversed when that raises the overlap by so much.
    """

    rejected_iou: float = 0.7
    warning_iou: float = 0.82
    rejected_outline_share: float = 0.4
    warning_outline_share: float = 0.7
    fitting_share: float = 0.5
    rejected_edge_share: float = 0.4
    warning_edge_share: float = 0.55
    rejected_close_share: float = 0.55
    warning_close_share: float = 0.7
    held_out_share: float = 0.8
    rejected_position_mm: float = 40.0
    warning_position_mm: float = 16.0
    rejected_rotation_deg: float = 4.0
    warning_rotation_deg: float = 1.5
    hypothesis_gain: float = 0.025
    hypothesis_significance: float = 6.0
    focal_significance: float = 2.0
    certain_focal_gain: float = 0.01
    edge_focal_tolerance: float = 0.015
    rejected_change_mm: float = 14.0
    warning_change_mm: float = 5.0
    rejected_change_deg: float = 1.4
    warning_change_deg: float = 0.4
    least_images: int = 4
    rejected_rival: float = 0.99
    warning_rival: float = 0.96
    warning_lag_s: float = 0.15
    small_motion_m: float = 0.05
    small_robot_share: float = 0.01
    small_visible_share: float = 0.5
    mask_agreement: float = 0.6
    least_mask_seen: float = 0.25
    sound_mask_agreement: float = 0.75
    reversal_gain: float = 0.08
