# SPDX-License-Identifier: Apache-2.0
"""The pose of one camera relative to another, and its covariance from that of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.solving.estimate import POSE_SIZE

RELATIVE_FRAME = (
    "error of T_a_b: displacement of camera b along the axes of camera a's optical frame, and "
    "small rotation about axes parallel to them through camera b"
)


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
