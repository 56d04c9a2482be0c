# SPDX-License-Identifier: Apache-2.0
"""Pose errors, differences, and the camera's motion for a small motion of the robot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from calib_all_ros.geometry import se3
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.estimate import POSE_SIZE
from calib_all_ros.solving.motion import RobotMotion

_POINTS = 2000
_SEED = 0
RELATIVE_FRAME = (
    "error of T_a_b: displacement of camera b along the axes of camera a's optical frame, and "
    "small rotation about axes parallel to them through camera b"
)


@dataclass(frozen=True)
class PoseErrors:
    """Errors of a pose.

    Attributes:
        rotation_deg: Angle between the two orientations.
        position_mm: Distance between the two camera positions in the base frame.
        add_mm: Mean distance between the robot's surface points under the two poses (ADD), over
            the frames of the motion.
    """

    rotation_deg: float
    position_mm: float
    add_mm: float


def pose_errors(
    T_estimate: NDArray[np.floating],
    T_truth: NDArray[np.floating],
    robot: Robot,
    motion: RobotMotion,
) -> PoseErrors:
    """Compare two poses of one camera.

    ADD as in Hinterstoisser et al., "Model Based Training, Detection and Pose Estimation of
    Texture-Less 3D Objects in Heavily Cluttered Scenes", ACCV 2012.

    Args:
        T_estimate: (4, 4) ``T_camera_base``.
        T_truth: (4, 4) ``T_camera_base``.
        robot: Its surface is sampled evenly, the same points every time.
        motion: The robot at the frames to compare in.
    """
    points, links = robot.surface.sample(_POINTS, _SEED)
    T_base_link = motion.link_poses()[:, links]
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    in_base = np.einsum("npij,pj->npi", T_base_link, homogeneous)[..., :3]
    between = se3.transform(np.asarray(T_estimate), in_base) - se3.transform(
        np.asarray(T_truth), in_base
    )
    rotation_deg, distance_m = se3.difference(T_estimate, T_truth)
    add_m = float(np.linalg.norm(between, axis=-1).mean())
    return PoseErrors(rotation_deg, 1e3 * distance_m, 1e3 * add_m)


@dataclass(frozen=True, eq=False)
class RelativePose:
    """Where a camera is as seen from another one.

    Attributes:
        T_a_b: (4, 4) maps points in camera b's optical frame to camera a's.
        covariance: (6, 6) of camera b's position along camera a's axes (m) and its rotation about
            them (rad), in that order.
    """

    T_a_b: NDArray[np.float64]
    covariance: NDArray[np.float64]


def relative_pose(
    T_base_a: NDArray[np.float64],
    T_base_b: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> RelativePose:
    """Relate two cameras; what their errors have in common cancels.

    With small errors d (displacement) and r (rotation) of each camera along and about the base's
    axes, camera b errs by R_a^T (d_b - d_a - r_a x (p_b - p_a)) and R_a^T (r_b - r_a).

    Args:
        T_base_a: (4, 4) pose of camera a.
        T_base_b: (4, 4) pose of camera b.
        covariance: (12, 12) of the errors of a and then b, each in the order of
            `results.records.Covariance`.
    """
    R_t = T_base_a[:3, :3].T
    x, y, z = T_base_b[:3, 3] - T_base_a[:3, 3]
    apart = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    J = np.zeros((POSE_SIZE, 2 * POSE_SIZE))
    J[:3, 0:3], J[:3, 3:6], J[:3, 6:9] = -R_t, R_t @ apart, R_t
    J[3:, 3:6], J[3:, 9:12] = -R_t, R_t
    result = J @ covariance @ J.T
    return RelativePose(se3.invert(T_base_a) @ T_base_b, 0.5 * (result + result.T))


@dataclass(frozen=True, eq=False)
class PoseDifference:
    """Where one camera is as seen from where another says it is.

    Attributes:
        position_base_m: (3,) displacement along the base frame's axes.
        position_camera_m: (3,) the same along the reference camera's axes: right, down, forward.
        rotation_base_rad: (3,) rotation vector about the base frame's axes.
        rotation_camera_rad: (3,) the same about the reference camera's axes.
    """

    position_base_m: NDArray[np.float64]
    position_camera_m: NDArray[np.float64]
    rotation_base_rad: NDArray[np.float64]
    rotation_camera_rad: NDArray[np.float64]

    @property
    def position_mm(self) -> float:
        """Distance of the two cameras."""
        return 1e3 * float(np.linalg.norm(self.position_base_m))

    @property
    def rotation_deg(self) -> float:
        """Angle between the two orientations."""
        return float(np.degrees(np.linalg.norm(self.rotation_base_rad)))

    @property
    def vector(self) -> NDArray[np.float64]:
        """(6,) in the order of `results.records.Covariance`."""
        return np.concatenate([self.position_base_m, self.rotation_base_rad])


@dataclass(frozen=True)
class Compatibility:
    """Whether a difference is within its uncertainty.

    Attributes:
        mahalanobis: Length of the difference in standard deviations.
        p_value: How often chance alone makes a difference at least as long, were the covariance
            right.
    """

    mahalanobis: float
    p_value: float


def pose_difference(
    T_camera_base: NDArray[np.float64], T_reference: NDArray[np.float64]
) -> PoseDifference:
    """Compare a pose with a reference.

    Args:
        T_camera_base: (4, 4).
        T_reference: (4, 4) the other ``T_camera_base``.
    """
    pose, reference = se3.invert(T_camera_base), se3.invert(T_reference)
    R = reference[:3, :3]
    displacement = pose[:3, 3] - reference[:3, 3]
    rotation = _rotation_vector(pose[:3, :3] @ R.T)
    return PoseDifference(displacement, R.T @ displacement, rotation, R.T @ rotation)


def compatibility(
    difference: PoseDifference, covariance: NDArray[np.float64]
) -> Compatibility | None:
    """Weigh a difference by its (6, 6) covariance, None where that is singular."""
    vector = difference.vector
    # Metres and radians differ little in size here, so that the rank needs no scaling.
    if np.linalg.matrix_rank(covariance, hermitian=True) < POSE_SIZE:
        return None
    squared = float(vector @ np.linalg.solve(covariance, vector))
    if not squared >= 0.0:
        return None
    return Compatibility(float(np.sqrt(squared)), float(chi2.sf(squared, POSE_SIZE)))


def _rotation_vector(R: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z, w = se3.quaternion_xyzw(se3.make(R, np.zeros(3)))
    sine = float(np.linalg.norm([x, y, z]))
    # Twice the vector part is the rotation vector where the angle is small.
    factor = 2.0 * np.arctan2(sine, w) / sine if sine > 0.0 else 2.0
    return factor * np.array([x, y, z])


@dataclass(frozen=True)
class PoseChange:
    """By how much two camera poses differ.

    Attributes:
        position_mm: Distance of the two cameras.
        rotation_deg: Angle between the two orientations.
    """

    position_mm: float
    rotation_deg: float


def camera_from_twist(
    T_camera_base: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the (6, 6) matrix that turns twists of `Estimate.moved` into motions of the camera.

    Args:
        T_camera_base: (4, 4) the pose that the twist changes.
        centre: (3,) the twist's centre, optical frame.

    Returns:
        Maps (rotation, translation) in the optical frame to the camera's displacement along the
        base axes (m) and its rotation about them (rad), in that order, as in
        ``geometry_msgs/PoseWithCovariance``.
    """
    R = T_camera_base[:3, :3].T
    c = centre
    cross = np.array([[0.0, -c[2], c[1]], [c[2], 0.0, -c[0]], [-c[1], c[0], 0.0]])
    matrix = np.zeros((POSE_SIZE, POSE_SIZE))
    # The twist moves the robot in front of the camera; the camera moves the other way.
    matrix[:3, :3] = -R @ cross
    matrix[:3, 3:] = -R
    matrix[3:, :3] = -R
    return matrix


def pose_change(
    twist: NDArray[np.float64], T_camera_base: NDArray[np.float64], centre: NDArray[np.float64]
) -> PoseChange:
    """Return by how much a (6,) twist moves the camera."""
    motion = camera_from_twist(T_camera_base, centre) @ twist
    return PoseChange(
        1e3 * float(np.linalg.norm(motion[:3])),
        float(np.degrees(np.linalg.norm(motion[3:]))),
    )
