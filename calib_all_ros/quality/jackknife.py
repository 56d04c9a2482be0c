# SPDX-License-Identifier: Apache-2.0
"""How far the pose would move if frames were left out: the honest part of its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.solving.estimate import POSE_SIZE
from calib_all_ros.solving.gauss_newton import LinearSystem


@dataclass(frozen=True)
class PoseUncertainty:
    """Uncertainty of the camera's pose in the base frame.

    Attributes:
        covariance: (6, 6) of the camera's position along the base axes (m) and its rotation about
            them (rad), in that order, as in ``geometry_msgs/PoseWithCovariance``.
        position_mm: Standard deviation of the position, all directions together.
        rotation_deg: Standard deviation of the rotation, about all axes together.
    """

    covariance: NDArray[np.float64]
    position_mm: float
    rotation_deg: float


def pose_uncertainty(
    system: LinearSystem, T_camera_base: NDArray[np.float64]
) -> PoseUncertainty | None:
    """Estimate the uncertainty from the scatter of leave-one-frame-out solutions.

    The delete-one jackknife (Efron and Stein, 1981) on the linearised system, plus the
    linearised system's own covariance. What all frames have in common (wrong intrinsics, a wrong
    robot model) does not show in it.

    Args:
        system: Measurements linearised at the solution.
        T_camera_base: The solution.

    Returns:
        The uncertainty, or None where fewer than two frames were measured or the system is
        singular.
    """
    shifts = _leave_one_out_shifts(system)
    if shifts is None:
        return None
    scatter = (shifts - shifts.mean(axis=0))[:, :POSE_SIZE]
    count = len(scatter)
    information = system.information()
    try:
        formal = np.linalg.inv(information)[:POSE_SIZE, :POSE_SIZE]
    except np.linalg.LinAlgError:
        return None
    twist = (count - 1) / count * scatter.T @ scatter + formal
    R = se3.invert(T_camera_base)[:3, :3]
    # The twist moves the robot in front of the camera; the camera moves the other way.
    c = system.centre
    cross = np.array([[0.0, -c[2], c[1]], [c[2], 0.0, -c[0]], [-c[1], c[0], 0.0]])
    to_pose = np.zeros((POSE_SIZE, POSE_SIZE))
    to_pose[:3, :3] = -R @ cross
    to_pose[:3, 3:] = -R
    to_pose[3:, :3] = -R
    covariance = to_pose @ twist @ to_pose.T
    return PoseUncertainty(
        covariance,
        1e3 * float(np.sqrt(np.trace(covariance[:3, :3]))),
        float(np.degrees(np.sqrt(np.trace(covariance[3:, 3:])))),
    )


def last_parameter_sigma(system: LinearSystem) -> float:
    """Return the standard deviation of the system's last parameter, infinite where unknown."""
    shifts = _leave_one_out_shifts(system)
    if shifts is None:
        return float("inf")
    own = shifts[:, -1] - shifts[:, -1].mean()
    count = len(own)
    try:
        formal = float(np.linalg.inv(system.information())[-1, -1])
    except np.linalg.LinAlgError:
        return float("inf")
    return float(np.sqrt((count - 1) / count * (own**2).sum() + formal))


def _leave_one_out_shifts(system: LinearSystem) -> NDArray[np.float64] | None:
    """Return (F, P) how the parameters move when each of F frames is left out."""
    frames = np.unique(system.frame)
    if len(frames) < 2:
        return None
    weighted = system.J * system.evidence[:, None]
    information = system.information()
    gradient = weighted.T @ system.residual
    shifts = []
    for frame in frames:
        own = system.frame == frame
        H = information - weighted[own].T @ system.J[own]
        g = gradient - weighted[own].T @ system.residual[own]
        shifts.append(-np.linalg.lstsq(H, g, rcond=None)[0])
    return np.stack(shifts)
