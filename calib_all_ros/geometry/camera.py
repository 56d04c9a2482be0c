# SPDX-License-Identifier: Apache-2.0
"""Camera model: intrinsics, lens distortion, projection and viewing rays.

Pixel centres are at integer coordinates (OpenCV); points are in the optical frame of REP-103,
z forward, x right, y down.

OpenCV is imported where lens distortion is computed: reading a saved camera is faster without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.errors import CalibAllError

COEFFICIENT_COUNTS: dict[str, tuple[int, ...]] = {
    "pinhole": (0,),
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (4,),
}
"""Distortion models by their ROS names, and how many coefficients each may have."""

_WIDEST_ANGLE = np.radians(89.0)
_NEWTON_STEPS = 12
_RAY_TOLERANCE_PX = 1e-3


class CameraError(CalibAllError):
    """A camera description cannot be used."""


@dataclass(frozen=True, eq=False)
class Camera:
    """Intrinsics of one camera.

    Attributes:
        K: (3, 3) intrinsic matrix in pixels, without skew.
        width: Image width in pixels.
        height: Image height in pixels.
        distortion: (D,) coefficients in the order of `sensor_msgs/CameraInfo`; empty means none.
        model: "pinhole", "plumb_bob", "rational_polynomial" or "equidistant".
        frame_id: Name of the optical frame.

    Raises:
        CameraError: The values are not those of a calibrated camera.
    """

    K: NDArray[np.float64]
    width: int
    height: int
    distortion: NDArray[np.float64]
    model: str = "plumb_bob"
    frame_id: str = "camera_color_optical_frame"

    def __post_init__(self) -> None:
        K = np.array(self.K, dtype=np.float64)
        distortion = np.array(self.distortion, dtype=np.float64).reshape(-1)
        K.setflags(write=False)
        distortion.setflags(write=False)
        object.__setattr__(self, "K", K)
        object.__setattr__(self, "distortion", distortion)
        self._check()

    def _check(self) -> None:
        of = f"of camera '{self.frame_id}'"
        K, model = self.K, self.model
        if K.shape != (3, 3) or not np.isfinite(K).all():
            raise CameraError(f"K {of} must be 3x3 and finite, got {K.tolist()}")
        if K[0, 0] == 0:
            raise CameraError(
                f"the intrinsics {of} are uncalibrated (K[0] is 0): calibrate the camera's "
                "intrinsics first, e.g. with ROS camera_calibration"
            )
        without_skew = [[K[0, 0], 0, K[0, 2]], [0, K[1, 1], K[1, 2]], [0, 0, 1]]
        if K[0, 0] < 0 or K[1, 1] <= 0 or K.tolist() != without_skew:
            raise CameraError(
                f"K {of} must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with positive fx and fy, "
                f"got {K.tolist()}"
            )
        if self.width <= 0 or self.height <= 0:
            size = f"{self.width}x{self.height}"
            raise CameraError(f"the image size {of} must be positive, got {size}")
        if model not in COEFFICIENT_COUNTS:
            raise CameraError(
                f"unknown distortion model '{model}' {of}; known are: "
                f"{', '.join(COEFFICIENT_COUNTS)}"
            )
        if len(self.distortion) not in COEFFICIENT_COUNTS[model]:
            expected = " or ".join(str(n) for n in COEFFICIENT_COUNTS[model])
            raise CameraError(
                f"distortion model '{model}' {of} takes {expected} coefficients, "
                f"got {len(self.distortion)}"
            )
        if not np.isfinite(self.distortion).all():
            raise CameraError(f"the distortion {of} must be finite, got {self.distortion.tolist()}")

    @property
    def is_pinhole(self) -> bool:
        """Whether straight lines in space are straight in the image."""
        return self.model != "equidistant" and not self.distortion.any()

    def project(self, points_camera: ArrayLike) -> NDArray[np.float64]:
        """Project points of the optical frame into the image.

        Args:
            points_camera: (..., 3) points in metres.

        Returns:
            (..., 2) pixels, also outside the image; NaN for points behind the camera and for those
            so far off the axis that the distortion polynomial no longer grows with the angle
            (there it would fold them back into the image).
        """
        points = np.asarray(points_camera, dtype=np.float64)
        flat = points.reshape(-1, 3)
        pixels = np.full((len(flat), 2), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            xy = flat[:, :2] / flat[:, 2:]
            usable = flat[:, 2] > 0
            if not self.is_pinhole:
                usable &= np.hypot(xy[:, 0], xy[:, 1]) < self._largest_tangent
        pixels[usable] = self._to_pixels(xy[usable])
        return pixels.reshape(*points.shape[:-1], 2)

    def rays(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Return the viewing ray of each pixel.

        Args:
            pixels: (..., 2) pixel coordinates in the (distorted) image, also fractional.

        Returns:
            (..., 3) directions in the optical frame with z = 1; NaN where no direction within
            89 degrees of the axis projects to that pixel.
        """
        pixels = np.asarray(pixels, dtype=np.float64)
        flat = np.ascontiguousarray(pixels.reshape(-1, 2))
        focal, centre = np.diag(self.K)[:2], self.K[:2, 2]
        if self.is_pinhole or len(flat) == 0:
            xy = (flat - centre) / focal
        else:
            xy = self._undistorted(flat)
            with np.errstate(invalid="ignore"):
                wrong = np.abs(self._to_pixels(xy) - flat).max(1) > _RAY_TOLERANCE_PX
                wrong |= ~(np.hypot(xy[:, 0], xy[:, 1]) < self._largest_tangent)
            xy[wrong] = np.nan
        return np.concatenate([xy, np.ones((len(xy), 1))], axis=1).reshape(*pixels.shape[:-1], 3)

    def scaled(self, scale: float) -> Camera:
        """Return the camera of the image resized by `scale`: u becomes s(u + 0.5) - 0.5."""
        K = self.K.copy()
        K[:2] *= scale
        K[:2, 2] += 0.5 * scale - 0.5
        size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        return replace(self, K=K, width=size[0], height=size[1])

    def cropped(self, left_px: int, top_px: int, width: int, height: int) -> Camera:
        """Return the camera of the part of the image whose top-left pixel is (left, top)."""
        K = self.K.copy()
        K[:2, 2] -= left_px, top_px
        return replace(self, K=K, width=width, height=height)

    def padded(self, margin_px: int) -> Camera:
        """Return the camera of a canvas that is larger by `margin_px` on each side."""
        return self.cropped(
            -margin_px, -margin_px, self.width + 2 * margin_px, self.height + 2 * margin_px
        )

    @cached_property
    def _largest_tangent(self) -> float:
        """Tangent of the angle up to which the image radius grows with the angle."""
        angles = np.linspace(0.0, _WIDEST_ANGLE, 4000)
        xy = np.stack([np.tan(angles), np.zeros_like(angles)], axis=1)
        radial = self.distortion.copy()
        if self.model != "equidistant":
            radial[2:4] = 0.0  # tangential terms shift the image but do not fold it
            radial[8:] = 0.0
        # In units of the focal length, so that the test does not depend on the resolution.
        radii = replace(self, K=np.eye(3), distortion=radial)._to_pixels(xy)[:, 0]
        folded = np.flatnonzero(np.diff(radii) <= 1e-9)
        return float(xy[folded[0] if len(folded) else -1, 0])

    def _to_pixels(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distort (N, 2) coordinates on the plane z = 1 and apply K."""
        if self.is_pinhole or len(xy) == 0:
            return np.asarray(xy * np.diag(self.K)[:2] + self.K[:2, 2], dtype=np.float64)
        import cv2

        points = np.concatenate([xy, np.ones((len(xy), 1))], axis=1)[:, None]
        if self.model == "equidistant":
            pixels, _ = cv2.fisheye.projectPoints(
                points, np.zeros(3), np.zeros(3), self.K, self.distortion
            )
        else:
            pixels, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), self.K, self.distortion)
        return np.asarray(pixels, dtype=np.float64).reshape(-1, 2)

    def _undistorted(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, 2) coordinates on the plane z = 1; wrong ones must be sorted out after."""
        import cv2

        if self.model == "equidistant":
            fisheye = cv2.fisheye.undistortPoints(pixels[:, None], self.K, self.distortion)
            return np.array(fisheye, dtype=np.float64).reshape(-1, 2)
        # OpenCV stops after five fixed-point steps, which leaves tenths of a pixel near the corners
        # of a wide lens; Newton steps on the forward model finish the work.
        start = cv2.undistortPoints(pixels[:, None], self.K, self.distortion)
        xy: NDArray[np.float64] = np.asarray(start, dtype=np.float64).reshape(-1, 2)
        step_m = 1e-6
        for _ in range(_NEWTON_STEPS):
            here = self._to_pixels(xy)
            error = here - pixels
            if not np.nanmax(np.abs(error), initial=0.0) > 1e-7:
                break
            J = np.stack(
                [(self._to_pixels(xy + np.eye(2)[i] * step_m) - here) / step_m for i in range(2)],
                -1,
            )
            determinant = J[:, 0, 0] * J[:, 1, 1] - J[:, 0, 1] * J[:, 1, 0]
            with np.errstate(all="ignore"):
                dx = (J[:, 1, 1] * error[:, 0] - J[:, 0, 1] * error[:, 1]) / determinant
                dy = (J[:, 0, 0] * error[:, 1] - J[:, 1, 0] * error[:, 0]) / determinant
            xy = np.clip(xy - np.stack([dx, dy], axis=1), -1e3, 1e3).astype(np.float64)
        return xy
