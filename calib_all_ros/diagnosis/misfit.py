# SPDX-License-Identifier: Apache-2.0
"""Causes of a misfit of pose and images: masks, the robot's model, a joint's direction.

Only asked for when something is wrong, for they take further searches. Masks are compared with what
changes in the images, whatever the robot's model says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.diagnosis.verdict import VerdictLimits
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.geometry.rectification import shrink_mask
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.results.records import Cause, Finding, Severity
from calib_all_ros.settings import SearchEffort
from calib_all_ros.solving.mask_measurer import mask_problem
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.pipeline import PoseResult
from calib_all_ros.solving.search import CHANGE_FRAMES, MASK_FRAMES, search_change, search_masks
from calib_all_ros.solving.small_pictures import shrink_images

# Small on purpose: what is compared is how well each variant can do at all.
_MASK_EFFORT = SearchEffort(hypotheses=1600, candidates=8, finalists=1)
_CHANGE_EFFORT = SearchEffort(hypotheses=1500, candidates=8, finalists=1)
# Joints that hardly move, or move about zero evenly, look alike either way.
LEAST_DIFFERENCE_RAD = 0.2
# What right descriptions reach on small pictures: with masks, and with changes between images.
PLAUSIBLE_OVERLAP = 0.65
PLAUSIBLE_CHANGE = 0.3
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
WIDTH_PX = 160
MIN_IMAGES = 5
# What differs from the background by so many grey levels is not background.
DIFFERENT = 18.0
# A pixel's background is known when it was free in so many images.
MIN_FREE_IMAGES = 3
# Where the robot is everywhere in turn, hardly any background is known.
LEAST_KNOWN_SHARE = 0.3
MARGIN_PX = 2
# Less change than this share of the image says nothing.
LEAST_CHANGE_SHARE = 0.002


@dataclass(frozen=True)
class JointDirections:
    """How well the images are explained with each joint as recorded, and reversed.

    Attributes:
        recorded: Overlap that the best of few camera poses reaches, between 0 and 1.
        reversed_joint: Name of the joint whose reversal helps most, "" where none was tried.
        overlap: The same overlap with that joint reversed.
        plausible: Whether that overlap is one that a right description reaches.
    """

    recorded: float
    reversed_joint: str
    overlap: float
    plausible: bool


def examine_directions(observations: Observations, seed: int = 0) -> JointDirections:
    """Search for the camera with each joint reversed in turn.

    Args:
        observations: Frames whose robot could not be explained.
        seed: Seed of the searches.
    """
    recorded = _best_overlap(observations, observations.motion, seed)
    best = ("", 0.0)
    motion = observations.motion.subset(observations.solve)
    positions = motion.positions()
    for column, name in enumerate(motion.kinematics.joint_names):
        if name in motion.assumed_positions:
            continue
        if np.abs(positions[:, column]).max() < LEAST_DIFFERENCE_RAD:
            continue
        overlap = _best_overlap(observations, _reversed(observations.motion, name), seed)
        if overlap > best[1]:
            best = (name, overlap)
    least = PLAUSIBLE_CHANGE if observations.masks is None else PLAUSIBLE_OVERLAP
    return JointDirections(recorded, *best, plausible=best[1] >= least)


def _reversed(motion: RobotMotion, name: str) -> RobotMotion:
    series = {other: motion.joints.series(other) for other in motion.joints.names}
    stamps, positions = series[name]
    series[name] = stamps, -positions
    return replace(motion, joints=JointTrajectory.from_series(series))


def _best_overlap(observations: Observations, motion: RobotMotion, seed: int) -> float:
    if observations.masks is not None:
        frames = observations.spread(MASK_FRAMES)
        problem = replace(mask_problem(observations, frames), motion=motion.subset(frames))
        found, _ = search_masks(problem, _MASK_EFFORT, seed)
    else:
        frames = observations.spread(CHANGE_FRAMES)
        found, _ = search_change(
            observations.images[frames], observations.surface, motion.subset(frames),
            observations.camera, _CHANGE_EFFORT, seed,
        )  # fmt: skip
    return max(candidate.score for candidate in found)


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


@dataclass(frozen=True)
class MaskTruth:
    """How masks and change in the images agree.

    Attributes:
        seen_share: Share of the masks, where the background behind them is known, that differs
            from it, median over the images.
        inside_share: Share of what differs from the background that lies in or at the masks,
            median over the images.
    """

    seen_share: float
    inside_share: float

    @property
    def agreement(self) -> float:
        """The smaller of the two."""
        return min(self.seen_share, self.inside_share)


def examine_masks(
    observations: Observations, masks: NDArray[np.bool_] | None = None
) -> MaskTruth | None:
    """Compare masks with what changes in the images.

    Args:
        observations: The images.
        masks: (N, H, W) masks of all images; None takes the recorded ones.

    Returns:
        The shares, or None without masks, with too few images, too little known background, or
        where nothing changes.
    """
    masks = observations.masks if masks is None else masks
    if masks is None or len(observations.images) < MIN_IMAGES:
        return None
    width = min(WIDTH_PX, observations.camera.width)
    small = shrink_images(observations.images, width)
    scale = width / observations.camera.width
    shrunk = np.stack([shrink_mask(mask, scale) for mask in masks])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN_PX + 1,) * 2)
    near = np.stack([cv2.dilate(mask.astype(np.uint8), disc) for mask in shrunk]) > 0
    known = np.count_nonzero(~near, axis=0) >= MIN_FREE_IMAGES
    if known.mean() < LEAST_KNOWN_SHARE:
        return None
    # The median over all images is right as well where masks miss the robot now and then.
    free = np.where(near[..., None] & known[None, ..., None], np.nan, small)
    background = np.nanmedian(free, axis=0)
    speck = np.ones((3, 3), np.uint8)
    seen, inside = [], []
    for image, mask, wide in zip(small, shrunk, near, strict=True):
        different = np.abs(image - background).max(axis=2) > DIFFERENT
        different &= known
        different = cv2.morphologyEx(different.astype(np.uint8), cv2.MORPH_OPEN, speck) > 0
        judged = mask & known
        if judged.any():
            seen.append(float(np.mean(different[judged])))
        if different.mean() > LEAST_CHANGE_SHARE:
            inside.append(float(np.mean(wide[different])))
    if not inside:
        return None
    return MaskTruth(float(np.median(seen)) if seen else 0.0, float(np.median(inside)))


def seen_share(observations: Observations) -> float | None:
    """Return the share of the image that the robot covers, whatever its pose.

    That of the masks, or without them of what differs from the images' median; median over the
    images. None with too few images.
    """
    if observations.masks is not None:
        return float(np.median(observations.masks.mean(axis=(1, 2))))
    if len(observations.images) < MIN_IMAGES:
        return None
    small = shrink_images(observations.images, min(WIDTH_PX, observations.camera.width))
    different = np.abs(small - np.median(small, axis=0)).max(axis=3) > DIFFERENT
    return float(np.median(different.mean(axis=(1, 2))))
