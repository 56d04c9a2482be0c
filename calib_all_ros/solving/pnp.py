# SPDX-License-Identifier: Apache-2.0
"""The classical Perspective-n-Point solvers, with errors a user can act on."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry import se3

Array = NDArray[np.float64]

_SMALLEST_SPREAD_M = 1e-3
_EPNP_POINTS = 4
_RANSAC_ROUNDS = 100


class TemporalPnpError(CalibAllError):
    """The track cannot give a camera pose."""


def solve_epnp(points_base: Array, pixels: Array, K: Array) -> Array:
    """Return ``T_camera_base`` from points and their pixels with EPnP, trusting all of them.

    Args:
        points_base: (N, 3) points in the base frame, metres.
        pixels: (N, 2) where they are seen, without lens distortion.
        K: (3, 3) intrinsic matrix.

    Raises:
        TemporalPnpError: fewer than four points, points on one line, values that are not finite,
            or a solution with points behind the camera.
    """
    points = np.ascontiguousarray(points_base, dtype=np.float64)
    image = np.ascontiguousarray(pixels, dtype=np.float64)
    if points.ndim != 2 or points.shape[1:] != (3,) or image.shape != (len(points), 2):
        raise TemporalPnpError(
            f"EPnP needs (N, 3) points and (N, 2) pixels, got {points.shape} and {image.shape}"
        )
    if not (np.isfinite(points).all() and np.isfinite(image).all()):
        raise TemporalPnpError("EPnP needs finite points and pixels; leave out unknown frames")
    check_spread(points, _EPNP_POINTS)
    try:
        found, rotvec, translation = cv2.solvePnP(points, image, K, None, flags=cv2.SOLVEPNP_EPNP)
    except cv2.error as error:
        raise TemporalPnpError(f"EPnP rejects these points ({error.err})") from error
    if not found:
        raise TemporalPnpError("EPnP finds no camera pose for these points")
    T_camera_base = _pose(rotvec, translation)
    if T_camera_base is None or (se3.transform(T_camera_base, points)[:, 2] <= 0).any():
        raise TemporalPnpError("EPnP puts points behind the camera: the track does not fit the arm")
    return T_camera_base


def sqpnp(points: Array, pixels: Array, K: Array, ransac_px: float | None) -> Array | None:
    """Return ``T_camera_base`` from all points, or from those that RANSAC keeps; None if none.

    Points are (N, 3) in the base frame, pixels (N, 2). The solver is SQPnP (Terzakis and
    Lourakis, 2020); ``ransac_px`` is the reprojection threshold of RANSAC, None to use all points.
    """
    try:
        if ransac_px is None:
            found, rotvec, translation = cv2.solvePnP(
                points, pixels, K, None, flags=cv2.SOLVEPNP_SQPNP
            )
        else:
            found, rotvec, translation, _ = cv2.solvePnPRansac(
                points,
                pixels,
                K,
                None,
                iterationsCount=_RANSAC_ROUNDS,
                reprojectionError=ransac_px,
                flags=cv2.SOLVEPNP_SQPNP,
            )
    except cv2.error:
        # SQPnP asserts that its points do not coincide, and RANSAC may hand it such.
        return None
    return _pose(rotvec, translation) if found else None


def check_spread(points: Array, fewest: int) -> None:
    """Raise TemporalPnpError where (N, 3) points are too few, or on one line."""
    if len(points) < fewest:
        raise TemporalPnpError(f"PnP needs {fewest} points, got {len(points)}")
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) / np.sqrt(len(points))
    if spread[1] < _SMALLEST_SPREAD_M:
        raise TemporalPnpError(
            f"the mark moves along a line or not at all (spread {spread[0] * 100:.1f} cm by "
            f"{spread[1] * 100:.1f} cm); record a motion in more directions"
        )


def _pose(rotvec: Any, translation: Any) -> Array | None:
    """Return the 4x4 transform of OpenCV's answer, None where that is not finite."""
    if not (np.isfinite(rotvec).all() and np.isfinite(translation).all()):
        return None
    return se3.from_rotvec(rotvec.ravel(), translation.ravel())
