# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as 4x4 matrices: ``T_a_b`` maps points in frame b to frame a."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Matrix = NDArray[np.float64]


def make(rotation: NDArray[np.floating], translation: NDArray[np.floating]) -> Matrix:
    """Return the 4x4 transform of a (3, 3) rotation and a (3,) translation in metres."""
    T = np.eye(4)
    T[:3, :3] = rotation
    T[:3, 3] = translation
    return T


def invert(T: NDArray[np.floating]) -> Matrix:
    """Return the inverse of one (4, 4) or many (..., 4, 4) rigid transforms."""
    T = np.asarray(T, dtype=np.float64)
    R_t = np.swapaxes(T[..., :3, :3], -1, -2)
    inverse = np.zeros_like(T)
    inverse[..., :3, :3] = R_t
    inverse[..., :3, 3] = -np.einsum("...ij,...j->...i", R_t, T[..., :3, 3])
    inverse[..., 3, 3] = 1.0
    return inverse


def transform(T_a_b: NDArray[np.floating], points_b: NDArray[np.floating]) -> Matrix:
    """Map (..., N, 3) points in frame b to frame a with (..., 4, 4) transforms."""
    rotated = np.einsum("...ij,...nj->...ni", T_a_b[..., :3, :3], points_b)
    return np.asarray(rotated + T_a_b[..., None, :3, 3], dtype=np.float64)


def from_rotvec(rotvec: NDArray[np.floating], translation: NDArray[np.floating]) -> Matrix:
    """Return the 4x4 transform of an axis-angle vector in radians and a translation in metres."""
    return make(Rotation.from_rotvec(rotvec).as_matrix(), translation)


def from_quaternion_xyzw(
    quaternion: NDArray[np.floating], translation: NDArray[np.floating]
) -> Matrix:
    """Return the 4x4 transform of a unit quaternion (x, y, z, w) and a translation in metres."""
    return make(Rotation.from_quat(quaternion).as_matrix(), translation)


def quaternion_xyzw(T: NDArray[np.floating]) -> Matrix:
    """Return the rotation of a (4, 4) transform as a unit quaternion (x, y, z, w) with w >= 0."""
    return np.asarray(Rotation.from_matrix(T[:3, :3]).as_quat(canonical=True), dtype=np.float64)


def difference(
    T_first: NDArray[np.floating], T_second: NDArray[np.floating]
) -> tuple[float, float]:
    """Return how far two camera poses are apart: (degrees, metres between the camera centres).

    Both arguments are ``T_camera_base``; the distance is measured between the two camera
    positions in the base frame, which is what people mean by "position error of the camera".
    """
    R = T_first[:3, :3] @ T_second[:3, :3].T
    angle = np.degrees(np.linalg.norm(Rotation.from_matrix(R).as_rotvec()))
    distance = np.linalg.norm(invert(T_first)[:3, 3] - invert(T_second)[:3, 3])
    return float(angle), float(distance)
