# SPDX-License-Identifier: Apache-2.0
"""How a small motion of the robot before the camera reads as a motion of the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.solving.estimate import POSE_SIZE


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
