# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as 4x4 matrices: ``T_a_b`` maps points in frame b to frame a.

Plain NumPy: the node that publishes a saved pose starts in a fraction of the time that SciPy's
import takes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


def from_rotvec(rotvec: ArrayLike, translation: ArrayLike) -> Matrix:
    """Return the 4x4 transform of an axis-angle vector in radians and a translation in metres."""
    vector = np.asarray(rotvec, dtype=np.float64)
    angle = np.linalg.norm(vector)
    # np.sinc keeps its precision down to an angle of zero.
    half = np.sinc(angle / (2.0 * np.pi)) / 2.0
    return from_quaternion_xyzw(np.append(half * vector, np.cos(angle / 2.0)), translation)


def from_quaternion_xyzw(quaternion: ArrayLike, translation: ArrayLike) -> Matrix:
    """Return the 4x4 transform of a quaternion (x, y, z, w) and a translation in metres.

    Raises:
        ValueError: The quaternion is zero; any other is normalised.
    """
    q = np.asarray(quaternion, dtype=np.float64)
    length = np.linalg.norm(q)
    if length == 0.0:
        raise ValueError("a quaternion of zero length is no rotation")
    x, y, z, w = q / length
    R = np.array(
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
        ]
    )
    return make(R, np.asarray(translation, dtype=np.float64))


def quaternion_xyzw(T: NDArray[np.floating]) -> Matrix:
    """Return the rotation of a (4, 4) transform as a unit quaternion (x, y, z, w) with w >= 0."""
    R = np.asarray(T, dtype=np.float64)[:3, :3]
    xx, yy, zz = np.diag(R)
    # Four times the outer product of (x, y, z, w) with itself. Its longest row is the quaternion
    # up to a factor, and no difference of nearly equal numbers decides about that row.
    products = np.array(
        [
            [1.0 + xx - yy - zz, R[0, 1] + R[1, 0], R[0, 2] + R[2, 0], R[2, 1] - R[1, 2]],
            [R[0, 1] + R[1, 0], 1.0 - xx + yy - zz, R[1, 2] + R[2, 1], R[0, 2] - R[2, 0]],
            [R[0, 2] + R[2, 0], R[1, 2] + R[2, 1], 1.0 - xx - yy + zz, R[1, 0] - R[0, 1]],
            [R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1], 1.0 + xx + yy + zz],
        ]
    )
    q = products[np.argmax(np.diag(products))]
    sign = -1.0 if q[3] < 0.0 else 1.0
    return np.asarray(sign * q / np.linalg.norm(q), dtype=np.float64)


def difference(
    T_first: NDArray[np.floating], T_second: NDArray[np.floating]
) -> tuple[float, float]:
    """Return how far two camera poses are apart: (degrees, metres between the camera centres).

    Both arguments are ``T_camera_base``; the distance is measured between the two camera
    positions in the base frame, which is what people mean by "position error of the camera".
    """
    q = quaternion_xyzw(make(T_first[:3, :3] @ T_second[:3, :3].T, np.zeros(3)))
    angle = np.degrees(2.0 * np.arctan2(np.linalg.norm(q[:3]), q[3]))
    distance = np.linalg.norm(invert(T_first)[:3, 3] - invert(T_second)[:3, 3])
    return float(angle), float(distance)
