# SPDX-License-Identifier: Apache-2.0
"""How two poses of one camera differ, and whether their uncertainties explain it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from calib_all_ros.geometry import se3
from calib_all_ros.solving.estimate import POSE_SIZE


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
