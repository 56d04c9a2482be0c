# SPDX-License-Identifier: Apache-2.0
"""Why a pose contradicts its images: masks, the robot's model, a joint's direction.

Only asked when something is wrong, for the answers take further searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from calib_all_ros.quality.joint_directions import JointDirections, examine_directions
from calib_all_ros.quality.limits import VerdictLimits
from calib_all_ros.quality.mask_truth import MaskTruth, examine_masks, seen_share
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.results.records import Cause, Finding, Severity
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.pipeline import PoseResult

DRAWN_DETAIL_M = 0.005
CLEARLY_MORE = 0.1
# What makes a robot's outline disagree without being a fault of its model.
_CAUSES_IN_THE_VIEW: tuple[Cause, ...] = ("moving_object", "light_changed", "camera_moved")
_CAUSES_OF_HYPOTHESES: tuple[Cause, ...] = (
    "images_late",
    "wrong_intrinsics",
    "wrong_robot_model",
    "camera_moved",
)
_MODEL_ADVICE = (
    "check that the URDF and its meshes are this robot's, with its tool, and that the base frame "
    "is the one its joint states speak of"
)


def explain_misfit(
    observations: Observations,
    result: PoseResult,
    findings: Sequence[Finding],
    limits: VerdictLimits,
    seed: int,
) -> list[Finding]:
    """Explain findings of the cause "unexplained".

    Args:
        observations: What the pose was fitted to.
        result: The pose and its evidence.
        findings: All findings so far.
        limits: The limits.
        seed: Seed of the searches.

    Returns:
        Further findings; none where others explain the misfit, or nothing does.
    """
    unexplained = [finding for finding in findings if finding.cause == "unexplained"]
    if not unexplained:
        return []
    severity: Severity = "warning"
    if any(finding.severity == "rejected" for finding in unexplained):
        severity = "rejected"
    strength = max(finding.strength for finding in unexplained)
    base = _moving_base(observations)
    if base is not None:
        return [Finding("wrong_robot_model", severity, base, _MODEL_ADVICE, 10.0 * strength)]
    noted = [finding for finding in findings if finding.severity == "note"]
    explaining = [finding for finding in noted if finding.cause in _CAUSES_OF_HYPOTHESES]
    if explaining:
        return [replace(explaining[0], severity=severity)]
    share = seen_share(observations)
    if share is not None and share < limits.small_robot_share:
        return [_too_small(share, severity, strength)]
    truth = examine_masks(observations)
    known = {finding.cause for finding in findings if finding.severity == severity}
    if (
        truth is not None
        and "moving_object" not in known
        and _are_bad(truth, observations, result, limits)
    ):
        return [_bad_masks(truth, severity, strength)]
    if known & {"images_late", *_CAUSES_IN_THE_VIEW}:
        return []
    if any(finding.severity == "rejected" for finding in findings):
        directions = examine_directions(observations, seed)
        gained = directions.overlap - directions.recorded
        if directions.plausible and gained >= limits.reversal_gain:
            return [_reversed_joint(directions, strength)]
    if known & {"wrong_intrinsics", "wrong_robot_model"}:
        return []
    return _by_exclusion(result, truth, unexplained[0], severity, strength, limits)


def _moving_base(observations: Observations) -> str | None:
    """Say by how much the base frame moves against the root of the robot's description."""
    kinematics = observations.motion.kinematics
    root = next(name for name in kinematics.link_names if kinematics.parent(name) is None)
    if not kinematics.moving_joints(root):
        return None
    T_base_root = observations.motion.link_poses()[:, kinematics.link_names.index(root)]
    travel_m = float(np.ptp(T_base_root[:, :3, 3], axis=0).max())
    turn = np.einsum("ij,nij->n", T_base_root[0, :3, :3], T_base_root[:, :3, :3])
    turn_deg = float(np.degrees(np.arccos(np.clip((turn.min() - 1.0) / 2.0, -1.0, 1.0))))
    if travel_m < 1e-3 and turn_deg < 0.1:
        return None
    return (
        f"the base frame '{kinematics.base_frame}' moves: {root} is displaced by "
        f"{1e3 * travel_m:.0f} mm and {turn_deg:.0f} deg in it during the recording"
    )


def _too_small(share: float, severity: Severity, strength: float) -> Finding:
    return Finding(
        "degenerate_view",
        severity,
        f"what is seen of the robot covers {100 * share:.1f} % of the image, too little to fit its "
        "outline",
        "move the camera nearer to the robot",
        5.0 * strength,
    )


def _are_bad(
    truth: MaskTruth, observations: Observations, result: PoseResult, limits: VerdictLimits
) -> bool:
    """Tell bad masks from a robot that hardly stands out against its background."""
    if (
        truth.inside_share < limits.sound_mask_agreement
        or truth.seen_share < limits.least_mask_seen
    ):
        return True
    if truth.seen_share >= limits.mask_agreement:
        return False
    drawn = silhouettes(
        observations.surface.simplified(DRAWN_DETAIL_M),
        result.estimate.T_camera_base @ result.estimate.link_poses(observations.motion),
        result.estimate.camera(observations.camera),
    )
    robot = examine_masks(observations, drawn)
    return robot is not None and robot.seen_share > truth.seen_share + CLEARLY_MORE


def _bad_masks(truth: MaskTruth, severity: Severity, strength: float) -> Finding:
    if truth.seen_share < truth.inside_share:
        evidence = (
            f"only {100 * truth.seen_share:.0f} % of the masks' pixels differ from the background "
            "in the images, so the masks show something that does not move with the robot"
        )
    else:
        evidence = (
            f"only {100 * truth.inside_share:.0f} % of what moves in the images is inside the "
            "masks, so they miss parts of the robot"
        )
    advice = "correct the masks, or calibrate from the images alone (without --masks)"
    return Finding("bad_masks", severity, evidence, advice, 5.0 * strength)


def _reversed_joint(directions: JointDirections, strength: float) -> Finding:
    return Finding(
        "mirrored_joint",
        "rejected",
        f"with joint '{directions.reversed_joint}' reversed the robot covers "
        f"{100 * directions.overlap:.0f} % of what is seen, as recorded "
        f"{100 * directions.recorded:.0f} %",
        "check the sign of this joint in the driver, and its axis in the URDF",
        20.0 * strength,
    )


def _by_exclusion(
    result: PoseResult,
    truth: MaskTruth | None,
    finding: Finding,
    severity: Severity,
    strength: float,
    limits: VerdictLimits,
) -> list[Finding]:
    """Blame the model where the images are known to be sound and still contradict it."""
    sound_masks = truth is not None and truth.agreement >= limits.sound_mask_agreement
    if not sound_masks and "outline_share" in result.quality:
        return []
    where = "the masks, which agree with what moves in the images" if sound_masks else "the images"
    evidence = (
        f"{finding.evidence}, and nothing was found wrong with {where}: so the robot's model is"
    )
    return [
        replace(
            finding,
            cause="wrong_robot_model",
            severity=severity,
            evidence=evidence,
            advice=_MODEL_ADVICE,
            strength=strength,
        )
    ]
