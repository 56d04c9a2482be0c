# SPDX-License-Identifier: Apache-2.0
"""Observability of the pose: how much of the robot, and of its motion, the images show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.diagnosis.uncertainty import PoseUncertainty
from calib_all_ros.diagnosis.verdict import VerdictLimits
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.results.records import Finding, Severity
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.small_pictures import posed_points

EXAMINED_WIDTH_PX = 160
_DIRECTIONS = ("sideways", "up and down in the image", "along the viewing direction")


@dataclass(frozen=True)
class ViewFigures:
    """How much of the robot, and of its motion, is to be seen.

    Attributes:
        images: Images that the pose is fitted to.
        motion_m: Root mean square distance of the robot's surface points from their mean place.
        robot_share: Share of the image that the robot covers, median over the images.
        visible_share: Share of the robot that is inside the image, median over the images.
    """

    images: int
    motion_m: float
    robot_share: float
    visible_share: float


def view_figures(
    observations: Observations, estimate: Estimate, used: NDArray[np.bool_]
) -> ViewFigures:
    """Measure what is to be seen of the robot in the images used."""
    motion = observations.motion.subset(observations.solve[used])
    poses = estimate.link_poses(motion)
    points = posed_points(observations.surface, poses)
    travel = float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=-1).mean()))
    scale = min(1.0, EXAMINED_WIDTH_PX / observations.camera.width)
    camera = estimate.camera(observations.camera.scaled(scale))
    margin = camera.width
    rendered = silhouettes(
        observations.surface.simplified(0.01),
        estimate.T_camera_base @ poses,
        camera.padded(margin),
    )
    inside = rendered[:, margin : margin + camera.height, margin : margin + camera.width]
    seen = inside.sum(axis=(1, 2))
    return ViewFigures(
        images=int(np.count_nonzero(used)),
        motion_m=travel,
        robot_share=float(np.median(seen)) / (camera.width * camera.height),
        visible_share=float(np.median(seen / np.maximum(rendered.sum(axis=(1, 2)), 1))),
    )


def observability_findings(
    figures: ViewFigures,
    uncertainty: PoseUncertainty | None,
    T_camera_base: NDArray[np.float64],
    limits: VerdictLimits,
) -> list[Finding]:
    """Say whether the pose is known well enough, and if not, what is missing and why."""
    severity: Severity
    if uncertainty is None:
        evidence, severity = (
            "too little of the outline could be measured to know the pose",
            "rejected",
        )
        strength = 2.0
    else:
        position, rotation = uncertainty.expected_position_mm, uncertainty.expected_rotation_deg
        rejected = _excess(uncertainty, limits.rejected_position_mm, limits.rejected_rotation_deg)
        warning = _excess(uncertainty, limits.warning_position_mm, limits.warning_rotation_deg)
        # Comparisons are written such that a figure that is not a number is rejected.
        severity = "warning" if rejected <= 1.0 else "rejected"
        strength = warning
        evidence = (
            f"the camera may be off by {position:.0f} mm, most of it "
            f"{_worst_direction(uncertainty, T_camera_base)}, and {rotation:.1f} deg"
        )
        if warning <= 1.0:
            if figures.images >= limits.least_images:
                return []
            severity, strength = "warning", 1.0
            evidence = f"{figures.images} images fit, but so few cannot show whether more is wrong"
    return [_explained(figures, evidence, severity, strength, limits)]


def _excess(uncertainty: PoseUncertainty, position_mm: float, rotation_deg: float) -> float:
    """Return by how much the worse of two limits is exceeded; not a number where one is not."""
    expected = [
        uncertainty.expected_position_mm / position_mm,
        uncertainty.expected_rotation_deg / rotation_deg,
    ]
    return float(np.max(expected))


def _explained(
    figures: ViewFigures,
    evidence: str,
    severity: Severity,
    strength: float,
    limits: VerdictLimits,
) -> Finding:
    if figures.images < limits.least_images or figures.motion_m < limits.small_motion_m:
        return Finding(
            "too_little_motion",
            severity,
            f"{evidence}; the robot moves by {100 * figures.motion_m:.0f} cm (rms) in the "
            f"{figures.images} image(s) used",
            "record more, and more varied, robot poses (calib_all plan proposes some)",
            strength,
        )
    if figures.visible_share < limits.small_visible_share:
        why = f"only {100 * figures.visible_share:.0f} % of the robot is inside the image"
    else:
        why = f"the robot covers {100 * figures.robot_share:.1f} % of the image"
    return Finding(
        "degenerate_view",
        severity,
        f"{evidence}; {why}",
        "move the camera so that more of the robot is in view and larger, or record poses that "
        "bring it nearer",
        strength,
    )


def _worst_direction(uncertainty: PoseUncertainty, T_camera_base: NDArray[np.float64]) -> str:
    _, vectors = np.linalg.eigh(uncertainty.covariance[:3, :3])
    in_camera = T_camera_base[:3, :3] @ vectors[:, -1]
    return _DIRECTIONS[int(np.argmax(np.abs(in_camera)))]
