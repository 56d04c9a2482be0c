# SPDX-License-Identifier: Apache-2.0
"""Information of the robot's outlines about the pose of the camera.

EasyHeC (Chen et al., "EasyHeC: Accurate and Automatic Hand-eye Calibration via Differentiable
Rendering and Space Exploration", RA-L 2023) renders the robot from camera poses drawn from its
belief and goes where the silhouettes vary most. To first order a silhouette varies because its
contour moves by ``J d`` pixels along its normals when the pose moves by d, so that variance is the
trace of ``J S J^T`` for a belief of covariance S. It is large also where all contour points vary
alike, say because the whole arm shifts, and where what varies is not the pose but the focal
length, a joint's zero or how fat the masks are; and two configurations that each vary much may say
the same. The information matrix ``J^T W J`` (Fedorov, "Theory of Optimal Experiments", 1972) knows
these differences: matrices of several images add up, and inverting the sum gives the covariance
to be expected, nuisances marginalised. It is averaged over camera poses drawn from the prior, as
EasyHeC's variance is, because what is best for the rough pose need not be for the true one.

The columns of J are those of the solver's Gauss-Newton step, on the solver's own outlines. The
time lag is left out, for the arm rests when an image is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.planning.camera_prior import CameraPrior
from calib_all_ros.planning.joint_ranges import JointRanges
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.estimate import (
    FIRST_JOINT,
    FOCAL_SCALE,
    MASK_BIAS,
    POSE_SIZE,
    Estimate,
)
from calib_all_ros.solving.gauss_newton import Measurements, residual_derivatives
from calib_all_ros.solving.motion import NS_PER_S, RobotMotion
from calib_all_ros.solving.normal_equations import NormalEquations
from calib_all_ros.solving.observations import make_view
from calib_all_ros.solving.outline import Outline, render_outline

_WORKING_WIDTH_PX = 960
_RENDERED_WIDTH_PX = 160
_DETAIL_M = 0.01
_BATCH = 32


@dataclass(frozen=True)
class ErrorModel:
    """How wrong masks, intrinsics and joints are expected to be.

    Attributes:
        outline_sigma_px: Standard deviation of an outline's place, pixels of the image.
        correlated_px: Length of outline that errs together, pixels of the image.
        mask_bias_sigma_px: By how much all masks are too fat, standard deviation.
        frame_bias_sigma_px: By how much one mask is fatter than the others, standard deviation.
        focal_scale_sigma: Relative standard deviation of the focal length.
        joint_offset_sigma: Standard deviation of each joint's zero, radians or metres.
    """

    outline_sigma_px: float = 2.0
    correlated_px: float = 30.0
    mask_bias_sigma_px: float = 2.0
    frame_bias_sigma_px: float = 1.0
    focal_scale_sigma: float = 0.01
    joint_offset_sigma: float = float(np.radians(0.1))


@dataclass(frozen=True, eq=False)
class Information:
    """Information matrices of C configurations seen from S camera poses.

    The parameters: position of the camera along the base's axes (m), its rotation about them
    (rad), focal scale, mask bias (px), offset of each joint that a plan lists.

    Attributes:
        matrices: (C, S, P, P) of each configuration's outline.
        prior: (P, P) of what is known before.
    """

    matrices: NDArray[np.float64]
    prior: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.matrices)

    def total(self, chosen: NDArray[np.integer] | list[int]) -> NDArray[np.float64]:
        """Return the (S, P, P) information of some configurations together, prior included."""
        chosen = np.asarray(chosen, dtype=np.intp)
        return np.asarray(self.prior + self.matrices[chosen].sum(axis=0))

    def expected_sigmas(self, chosen: NDArray[np.integer] | list[int]) -> tuple[float, float]:
        """Return the standard deviation to expect of position (m) and rotation (rad).

        All directions together, root mean square over the camera poses.
        """
        covariance = np.linalg.inv(self.total(chosen))
        variances = np.diagonal(covariance, axis1=1, axis2=2).mean(axis=0)
        return float(np.sqrt(variances[:3].sum())), float(np.sqrt(variances[3:POSE_SIZE].sum()))


def outline_information(
    robot: Robot,
    ranges: JointRanges,
    prior: CameraPrior,
    T_camera_base: NDArray[np.float64],
    positions: NDArray[np.float64],
    errors: ErrorModel = ErrorModel(),
    on_progress: Callable[[float], None] = lambda share: None,
) -> Information:
    """Compute the information of configurations.

    Args:
        robot: The robot.
        ranges: Which joints a plan lists.
        prior: The camera, and how well its pose is known.
        T_camera_base: (S, 4, 4) camera poses drawn from the prior.
        positions: (C, J) configurations.
        errors: What is expected to be wrong, and by how much.
        on_progress: Called with the share that is done.
    """
    full = make_view(prior.camera, _WORKING_WIDTH_PX).camera
    scale = min(1.0, _RENDERED_WIDTH_PX / full.width)
    camera = full.scaled(scale)
    surface = robot.surface.simplified(_DETAIL_M)
    joints = ranges.columns(ranges.listed)
    size = POSE_SIZE + 2 + len(joints)
    matrices = np.zeros((len(positions), len(T_camera_base), size, size))
    for first in range(0, len(positions), _BATCH):
        motion = resting(robot, positions[first : first + _BATCH])
        for s, T in enumerate(T_camera_base):
            outline = render_outline(surface, motion, camera, Estimate(T), with_joints=True)
            matrices[first : first + _BATCH, s] = _matrices(
                outline, camera, T, joints, scale, errors, len(motion)
            )
        on_progress(min(1.0, (first + _BATCH) / len(positions)))
    sigmas = np.concatenate(
        [
            np.full(3, prior.position_sigma_m / np.sqrt(3.0)),
            np.full(3, prior.rotation_sigma_rad / np.sqrt(3.0)),
            [errors.focal_scale_sigma, errors.mask_bias_sigma_px],
            np.full(len(joints), errors.joint_offset_sigma),
        ]
    )
    return Information(matrices, np.diag(sigmas**-2))


def resting(robot: Robot, positions: NDArray[np.float64]) -> RobotMotion:
    """Return the motion whose images show the robot at rest in (N, J) configurations."""
    stamps = np.arange(len(positions), dtype=np.int64) * NS_PER_S
    trajectory = JointTrajectory(robot.kinematics.joint_names, stamps, positions)
    return RobotMotion(robot.kinematics, trajectory, stamps)


def _matrices(
    outline: Outline,
    camera: Camera,
    T_camera_base: NDArray[np.float64],
    joints: list[int],
    scale: float,
    errors: ErrorModel,
    count: int,
) -> NDArray[np.float64]:
    """Return the (count, P, P) matrices of the outlines of one camera pose."""
    u, v = outline.pixels.T
    inside = (u >= 0) & (v >= 0) & (u <= camera.width - 1) & (v <= camera.height - 1)
    seen = np.flatnonzero(inside)
    nothing, one = np.zeros(len(seen)), np.ones(len(seen))
    columns = np.array(
        [*range(POSE_SIZE), FOCAL_SCALE, MASK_BIAS, *(FIRST_JOINT + np.array(joints))]
    )
    measured = Measurements(seen, outline.normals[seen], nothing, one)
    J = residual_derivatives(outline, measured, camera, columns, np.zeros(3), bias_derivative=scale)
    # Points move against the camera: seen from it, and expressed along the axes of the base.
    R_camera_base = T_camera_base[:3, :3]
    turns, shifts = J[:, :3] @ -R_camera_base, J[:, 3:POSE_SIZE] @ -R_camera_base
    J[:, :POSE_SIZE] = np.concatenate([shifts, turns], axis=1)
    # A pixel of the small picture stands for 1/scale pixels of outline, each 1/scale as large.
    J /= scale
    weight = one / (scale * errors.correlated_px * errors.outline_sigma_px**2)
    sums = NormalEquations.of(J, nothing, weight, outline.frame[seen], count)
    # Each image's own mask bias is eliminated: its column is that of the common one.
    reduced, *_ = sums.eliminated(POSE_SIZE + 1, errors.frame_bias_sigma_px**-2)
    return reduced.H
