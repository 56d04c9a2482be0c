# SPDX-License-Identifier: Apache-2.0
"""Agreement of a mark's track with the link that it was said to be on, once the pose is known.

For every link, the fixed point on it is triangulated that explains the track best. If another link
explains the track and the stated one does not, the mark moves with the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.results.records import Finding
from calib_all_ros.solving.mark import MarkTrack
from calib_all_ros.solving.motion import RobotMotion

Array = NDArray[np.float64]

MIN_IMAGES = 6
# A track that moves less says nothing, pixels of an image 640 wide.
MIN_MOTION_PX = 12.0
COMPARED_WIDTH_PX = 640
# Points of a link farther from its origin are not on it.
FARTHEST_M = 0.6
NEAREST_M = 0.05
# Trackers lose marks; this share of the images, the best ones, counts.
KEPT_SHARE = 0.8
KERNEL_PX = 2.0
REPETITIONS = 12
# Links that explain the track this much worse than the best one are not told from it.
ALIKE_FACTOR = 1.5
ALIKE_PX = 0.5


@dataclass(frozen=True)
class MarkLimits:
    """When a mark is said not to be on its link.

    Attributes:
        wrong_rms_px: The stated link must miss the track by more, pixels of an image 640 wide.
        right_rms_px: Another link must miss it by less.
        factor: And by less than the stated link's error over this.
    """

    wrong_rms_px: float = 4.0
    right_rms_px: float = 2.5
    factor: float = 3.0


@dataclass(frozen=True)
class MarkFigures:
    """How well links explain the track; pixels are those of an image 640 wide.

    Attributes:
        link: The stated link.
        images: How many images the track is seen in.
        motion_px: Root mean square distance of the track from its middle.
        rms_px: Root mean square error of the best point on the stated link, over the best images.
        best_link: The link that explains the track best.
        best_rms_px: Its error.
        alike: Links that explain it about as well as the best one, it included.
    """

    link: str
    images: int
    motion_px: float
    rms_px: float
    best_link: str
    best_rms_px: float
    alike: tuple[str, ...]

    def lost(self, limits: MarkLimits = MarkLimits()) -> str | None:
        """Return a sentence if no link explains the track, None otherwise."""
        if self.best_rms_px <= 2.0 * limits.right_rms_px:
            return None
        return (
            f"no link of the robot moves as the track of the mark does (best: '{self.best_link}', "
            f"{self.best_rms_px:.1f} px rms): the mark was probably lost by the tracker"
        )


def examine_mark(
    track: MarkTrack,
    motion: RobotMotion,
    camera: Camera,
    T_camera_base: NDArray[np.floating],
    lag_s: float,
) -> MarkFigures | None:
    """Compare a track with the motion of every link.

    Args:
        track: Of the mark.
        motion: The robot's motion at the track's T images.
        camera: The pinhole camera that the track's pixels belong to.
        T_camera_base: (4, 4) the final pose.
        lag_s: The final lag.

    Returns:
        None where the track is too short or moves too little to say anything.
    """
    seen = track.seen
    pixels = track.pixels[seen]
    scale = COMPARED_WIDTH_PX / camera.width
    if len(pixels) < MIN_IMAGES:
        return None
    moved = scale * float(np.sqrt(np.square(pixels - pixels.mean(axis=0)).sum(axis=1).mean()))
    if moved < MIN_MOTION_PX:
        return None
    errors = {
        name: scale * error
        for name, error in _link_errors(pixels, seen, motion, camera.K, T_camera_base, lag_s)
    }
    if track.mark.link not in errors:
        return None
    stated = errors[track.mark.link]
    best = min(errors, key=lambda name: errors[name])
    limit = max(ALIKE_FACTOR * errors[best], errors[best] + ALIKE_PX)
    return MarkFigures(
        link=track.mark.link,
        images=len(pixels),
        motion_px=moved,
        rms_px=stated,
        best_link=best,
        best_rms_px=errors[best],
        alike=tuple(name for name, error in errors.items() if error <= limit),
    )


def _link_errors(
    pixels: Array,
    seen: NDArray[np.bool_],
    motion: RobotMotion,
    K: Array,
    T_camera_base: NDArray[np.floating],
    lag_s: float,
) -> list[tuple[str, float]]:
    """Return how well the best point on each moving link explains the track, pixels."""
    kinematics, unknown = motion.kinematics, set(motion.assumed_positions)
    T = T_camera_base @ motion.link_poses(lag_s)[seen]
    return [
        (name, _smallest_error(T[:, index], pixels, K))
        for index, name in enumerate(kinematics.link_names)
        if (joints := kinematics.moving_joints(name)) and not unknown & set(joints)
    ]


def mark_findings(figures: MarkFigures, limits: MarkLimits = MarkLimits()) -> list[Finding]:
    """Return whether the mark was on the stated link."""
    wrong = figures.rms_px > limits.wrong_rms_px
    right = figures.best_rms_px < limits.right_rms_px
    if not (wrong and right and figures.rms_px > limits.factor * figures.best_rms_px):
        return []
    names = [figures.best_link, *(name for name in figures.alike if name != figures.best_link)]
    others = f" (or {', '.join(names[1:])}, which are not told apart)" if len(names) > 1 else ""
    evidence = (
        f"the mark does not move with link '{figures.link}', the best point on which misses the "
        f"track by {figures.rms_px:.1f} px rms, but with '{names[0]}'{others}: "
        f"{figures.best_rms_px:.1f} px rms over {figures.images} images"
    )
    advice = f"give --eef-link {names[0]}, or mark a point on {figures.link}"
    strength = figures.rms_px / limits.wrong_rms_px
    return [Finding("mark_not_on_link", "warning", evidence, advice, strength)]


def _smallest_error(T_camera_link: Array, pixels: Array, K: Array) -> float:
    """Return how well the best fixed point of a link explains a track, pixels.

    Linear triangulation, each image weighted by the inverse of the depth, so that what is
    minimised is the distance in pixels, and by a Cauchy kernel (iteratively reweighted).
    """
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(K).T
    R, t = T_camera_link[:, :3, :3], T_camera_link[:, :3, 3]
    # u z = x: two rows for each image.
    A = R[:, :2] - rays[:, :2, None] * R[:, 2:3]
    b = rays[:, :2] * t[:, 2:3] - t[:, :2]
    focal = np.diag(K)[:2]
    point = np.zeros(3)
    for _ in range(REPETITIONS):
        error, depth = _errors(T_camera_link, point, pixels, K)
        kernel = np.maximum(KERNEL_PX, np.median(error))
        weight = 1.0 / np.maximum(depth, NEAREST_M) / np.sqrt(1.0 + np.square(error / kernel))
        rows = (A * (weight[:, None] * focal)[..., None]).reshape(-1, 3)
        # A weak pull to the link's origin where the track does not determine the point.
        rows = np.vstack([rows, np.eye(3)])
        wanted = np.append((b * weight[:, None] * focal).ravel(), np.zeros(3))
        point = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    if np.linalg.norm(point) > FARTHEST_M:
        point *= FARTHEST_M / np.linalg.norm(point)
    error, _ = _errors(T_camera_link, point, pixels, K)
    kept = np.sort(error)[: max(MIN_IMAGES, round(KEPT_SHARE * len(error)))]
    return float(np.sqrt(np.mean(np.square(kept))))


def _errors(T_camera_link: Array, point: Array, pixels: Array, K: Array) -> tuple[Array, Array]:
    """Return (T,) distances in pixels between a point and its track, and (T,) its depths."""
    seen = se3.transform(T_camera_link, point[None])[:, 0]
    depth = np.maximum(seen[:, 2], NEAREST_M)
    projected = seen[:, :2] / depth[:, None] * np.diag(K)[:2] + K[:2, 2]
    return np.linalg.norm(projected - pixels, axis=1), seen[:, 2]
